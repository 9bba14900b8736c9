"""Units: read from a query, and written as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsf.units import Unit, amount_text, scale_of, unit_of

TIB = 1024.0**4


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        ("storage_used_bytes", "bytes"),
        ("gpu_memory_used", "bytes"),
        ("sum by (group) (storage_used_bytes)", "bytes"),
        ("io_throughput_bytes_per_second", "bytes/s"),
        ("network_throughput", "bytes/s"),
        ("rate(node_network_receive_bytes_total[5m])", "bytes/s"),
        ("cpu_usage_percent", "percent"),
        ("quota_group_use_ratio", "ratio"),
        ("running_jobs", ""),
        ("1 - node_filesystem_avail_bytes / node_filesystem_size_bytes", "ratio"),
        ("clamp_max(max_over_time((a_bytes / b_bytes)[1h:5m]), 1)", "ratio"),
        ("100 * (a_bytes / b_bytes)", "percent"),
        ("100 * sum by (g) (a_bytes) / sum by (g) (b_bytes)", "percent"),
        ("a_bytes * 100 / b_bytes", "percent"),
        ("100 * a_bytes / b_seconds", ""),
        ("2 * a_bytes / b_bytes", ""),
        ("a_bytes * on (g) b_info / c_bytes", "ratio"),
        ("sum(a_bytes) / sum(running_jobs)", ""),
        ("rate(node_network_receive_bytes_total[5m]) * 8", ""),
        ("a_bytes / 1e9", ""),
        ("a_bytes * on (pod) group_left (node) kube_pod_info", "bytes"),
        ("sum by (group) (a_bytes - b_bytes)", "bytes"),
        ("sum by (", ""),
    ],
)
def test_the_unit_is_read_from_the_names_and_the_operators(query: str, unit: str) -> None:
    assert unit_of(query) == unit


@pytest.mark.parametrize(
    ("largest", "unit", "expected"),
    [
        (3 * TIB, "bytes", (TIB, "TiB")),
        (1023.0, "bytes", (1.0, "B")),
        (2e9, "bytes/s", (1e9, "GB/s")),
        (5.0, "", (1.0, "")),
        (5e6, "", (1e6, "M")),
        (0.3, "ratio", (0.01, "%")),
        (99.0, "percent", (1.0, "%")),
        (0.0, "bytes", (1.0, "B")),
        (1e30, "bytes", (1024.0**6, "EiB")),
    ],
)
def test_values_are_scaled_to_the_unit_that_people_read(
    largest: float, unit: Unit, expected: tuple[float, str]
) -> None:
    assert scale_of(largest, unit) == expected


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1010 * 2**20, "bytes", "1,010 MiB"),
        (1023.0, "bytes", "1,023 B"),
        (-1010 * 2**20, "bytes", "-1,010 MiB"),
        (1.5 * 2**80, "bytes", "1,572,864 EiB"),
        (12345.0, "percent", "12,345 %"),
        (123.45, "ratio", "12,345 %"),
        (999.4, "", "999"),
        (999.7, "", "1,000"),
        (1234.0, "bytes/s", "1.23 kB/s"),
        (0.0, "bytes", "0 B"),
        (float("nan"), "bytes", "–"),
    ],
)
def test_an_amount_is_written_as_people_write_numbers(value: float, unit: Unit, text: str) -> None:
    assert amount_text(value, unit) == text


@given(value=st.floats(0.001, 1e40), unit=st.sampled_from(["bytes", "bytes/s", "percent", "ratio", ""]))
def test_no_amount_has_an_exponent(value: float, unit: Unit) -> None:
    assert "e" not in amount_text(value, unit)
