"""What a forecast looks like as Prometheus text."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import find_server, run_promtool, running_node_exporter
from tests.strategies import forecasts
from tsf.alarm.rulefile import RuleTerms, rule_file
from tsf.errors import SeriesError, SinkError
from tsf.io.exposition import ModelInfo, Present, forecast_exposition, output_cardinality
from tsf.io.runs import runs_exposition
from tsf.io.textfile import write_textfile
from tsf.params import PushParams
from tsf.series import Forecast

GOLDEN = Path(__file__).parents[1] / "golden" / "exposition.prom"
INFO = ModelInfo(model="model_20261101_000000", version="0123456789ab", data="feed", commit="c0ffee")
SAMPLE_LINE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\} \S+')


def forecast_of(labels: dict[str, list[str]], **changes: Any) -> Forecast:
    """24 hourly steps; quantile 0.5 of series i at step h is 100 i + h, the others 10 below and above."""
    n = len(next(iter(labels.values())))
    median = 100.0 * np.arange(n)[:, None] + np.arange(1, 25)[None, :]
    made = Forecast(
        labels={name: np.array(column, object) for name, column in labels.items()},
        origin_seconds=1_793_491_200,
        step_seconds=3600,
        levels=np.array([0.1, 0.5, 0.9]),
        quantiles=np.stack([median - 10, median, median + 10], axis=2),
        p_breach=np.tile(np.arange(1, 25) / 32, (n, 1)),
        limit_time=np.where(np.arange(n) % 2 == 0, np.inf, 1_793_500_000.0),
    )
    return replace(made, **changes)


def present_of(forecast: Forecast, **changes: Any) -> Present:
    """Series i uses 100 i of 1000, with a chance of 0.25 before somebody is at work."""
    n = len(forecast.quantiles)
    limited = forecast.p_breach is not None
    made = Present(
        100.0 * np.arange(n), np.full(n, 1e3) if limited else None, np.full(n, 0.25) if limited else None
    )  # fmt: skip
    return replace(made, **changes)


def samples(body: bytes) -> list[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of each line, as the official parser reads them."""
    return [
        (one.name, one.labels, one.value)
        for family in text_string_to_metric_families(body.decode())
        for one in family.samples
    ]


def text_of(forecast: Forecast, **push: Any) -> bytes:
    return forecast_exposition(forecast, present_of(forecast), "storage", PushParams(**push), INFO, 1_793_491_300)


def test_the_text_is_the_one_on_file() -> None:
    labels = {"group": ["vision", 'a "b" \\ \n c'], "job": ["exporter", ""], "instance": ["node:9100", ""]}
    forecast = forecast_of(labels, abstained=np.array(["", "too few samples (1 of 6)"], object))
    both = forecast_of(labels)
    body = text_of(forecast, alias="quota_group_use_ratio") + b"\n" + text_of(both, horizons=["2h"])
    assert body.decode() == GOLDEN.read_text(encoding="utf-8")


def test_every_number_is_found_under_its_labels() -> None:
    found = {
        (name, labels.get("group"), labels.get("horizon"), labels.get("quantile")): value
        for name, labels, value in samples(text_of(forecast_of({"group": ["a", "b"]}), alias="x"))
        if labels.pop("task") == "storage"
    }
    expected: dict[tuple[str | None, ...], float] = {
        ("tsf_forecast_issued_timestamp_seconds", None, None, None): 1_793_491_300,
        ("tsf_abstained_series", None, None, None): 0,
        ("tsf_shifted_series", None, None, None): 0,
        ("tsf_model_info", None, None, None): 1,
        ("tsf_limit_reached_timestamp_seconds", "a", None, None): np.inf,
        ("tsf_limit_reached_timestamp_seconds", "b", None, None): 1_793_500_000,
    }
    for start, group in [(0, "a"), (100, "b")]:
        expected[("tsf_used", group, None, None)] = start
        expected[("tsf_limit", group, None, None)] = 1e3
        expected[("tsf_breach_before_work_probability_ratio", group, None, None)] = 0.25
        for hours in (6, 12, 24):
            expected[("ai_forecast_x", group, f"{hours}h", None)] = start + hours
            expected[("tsf_breach_probability_ratio", group, f"{hours}h", None)] = hours / 32
            for level, shift in [("0.1", -10), ("0.5", 0), ("0.9", 10)]:
                expected[("tsf_forecast", group, f"{hours}h", level)] = start + hours + shift
    assert found == expected


@settings(deadline=None)
@given(forecasts(), st.booleans())
def test_any_forecast_becomes_lines_without_timestamps_that_keep_every_label(forecast: Forecast, alias: bool) -> None:
    reached = forecast.levels[0] <= 0.5 <= forecast.levels[-1]
    push = PushParams(horizons=["1h"], quantiles=[float(forecast.levels[0])], alias="x" if alias and reached else "")
    forecast = replace(forecast, step_seconds=3600)
    body = forecast_exposition(forecast, present_of(forecast), "storage", push, INFO, 1_793_491_300)
    lines = body.decode().removesuffix("\n").split("\n")
    assert all(line.startswith(("# HELP ", "# TYPE ")) or SAMPLE_LINE.fullmatch(line) for line in lines)
    found = [labels for name, labels, _ in samples(body) if name == "tsf_forecast"]
    told = np.flatnonzero(forecast.abstained == "")
    assert len(found) == len(told)
    for row, labels in zip(told, found, strict=True):
        original = {column[row] for column in forecast.labels.values()} - {""}
        assert original <= set(labels.values())
        for name, column in forecast.labels.items():
            if not name.startswith("__"):
                assert labels.get(name, "") == column[row]


@pytest.mark.parametrize("alias", ["", "x"])
@pytest.mark.parametrize("has_limit", [True, False])
@pytest.mark.parametrize("horizons", [["1h"], ["1h", "6h", "24h"]])
def test_the_cardinality_is_the_number_of_lines(alias: str, has_limit: bool, horizons: list[str]) -> None:
    forecast = forecast_of({"n": [str(i) for i in range(7)]})
    if not has_limit:
        forecast = replace(forecast, p_breach=None, limit_time=None)
    push = PushParams(horizons=horizons, alias=alias)
    body = forecast_exposition(forecast, present_of(forecast), "storage", push, INFO, 0)
    assert output_cardinality(7, push, has_limit) == len(samples(body))


def test_too_many_series_are_refused_before_anything_is_made() -> None:
    forecast = forecast_of({"n": ["a", "b"]})
    exact = output_cardinality(2, PushParams(), True)
    assert len(samples(text_of(forecast, max_series=exact))) == exact
    with pytest.raises(SinkError, match=rf"written as {exact}, more than push\.max_series {exact - 1}; aggregate"):
        text_of(forecast, max_series=exact - 1)


def test_labels_that_the_output_needs_become_exported_like_in_prometheus() -> None:
    names = ["task", "horizon", "quantile", "job", "exported_job", "instance", "__name__", "le", "severity"]
    body = text_of(forecast_of({name: [f"own {name}"] for name in names}), horizons=["6h"], quantiles=[0.5])
    labels = next(labels for name, labels, _ in samples(body) if name == "tsf_forecast")
    assert labels == {
        "task": "storage",
        "horizon": "6h",
        "quantile": "0.5",
        "exported_task": "own task",
        "exported_horizon": "own horizon",
        "exported_quantile": "own quantile",
        "exported_exported_job": "own job",
        "exported_job": "own exported_job",
        "exported___name__": "own __name__",
        "instance": "own instance",
        "le": "own le",
        "exported_severity": "own severity",
    }


def test_series_that_differ_in_a_label_of_alerts_alone_all_have_their_alert(tmp_path: Path) -> None:
    own = {"severity": ["critical", "info"] * 2, "alertname": ["Down"] * 2 + ["Full"] * 2}
    text = text_of(forecast_of(own, limit_time=np.full(4, 1e9))).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
    inputs = [{"series": name, "values": "0+60x9" if "issued" in name else f"{value}x9"} for name, _, value in lines]
    firing = 'count(ALERTS{alertname="TsfBreachSoon",alertstate="firing"})'
    expected = {"expr": firing, "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": 4}]}
    case = {"interval": "1m", "input_series": inputs, "promql_expr_test": [expected]}
    (tmp_path / "rules.yml").write_text(rule_file(RuleTerms("storage")))
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))
    done = run_promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_horizons_are_hours_and_never_days() -> None:
    forecast = replace(forecast_of({"n": ["a"]}), step_seconds=1800)
    horizons = ["30m", "1h", "90m", "12h"]
    found = {labels["horizon"] for _, labels, _ in samples(text_of(forecast, horizons=horizons)) if "horizon" in labels}
    assert found == {"30m", "1h", "90m", "12h"}
    day = samples(text_of(forecast_of({"n": ["a"]}), horizons=["1d"]))
    assert {labels["horizon"] for _, labels, _ in day if "horizon" in labels} == {"24h"}


def test_a_series_that_abstains_is_absent_and_counted_by_reason() -> None:
    reasons = np.array(["", "drift", "the history is too short", "drift"], object)
    found = samples(text_of(forecast_of({"n": list("abcd")}, abstained=reasons)))
    assert {labels["n"] for _, labels, _ in found if "n" in labels} == {"a"}
    counts = {labels["reason"]: value for name, labels, value in found if name == "tsf_abstained_series"}
    assert counts == {"drift": 2, "the history is too short": 1}


def test_a_reason_is_written_without_its_figures_so_that_its_series_stays_the_same() -> None:
    old = [f"too old (the newest sample is {steps} steps old, 12 are allowed)" for steps in range(13, 113)]
    reasons = np.array([*old, "too few samples (3 in the last 48 steps, 6 are needed)"], object)
    found = samples(text_of(forecast_of({"n": [str(i) for i in range(101)]}, abstained=reasons)))
    counts = {labels["reason"]: value for name, labels, value in found if name == "tsf_abstained_series"}
    assert counts == {"too old": 100, "too few samples": 1}


def test_a_series_without_a_limit_has_a_forecast_and_no_breach_output() -> None:
    p_breach = np.full((2, 24), 0.25)
    p_breach[1] = np.nan
    forecast = forecast_of({"n": ["a", "b"]}, p_breach=p_breach, limit_time=np.array([np.inf, np.nan]))
    present = present_of(forecast, limit=np.array([1e3, np.nan]), before_work=np.array([0.25, np.nan]))
    found = samples(forecast_exposition(forecast, present, "storage", PushParams(), INFO, 1_793_491_300))
    names = {name for name, labels, _ in found if labels.get("n") == "b"}
    assert names == {"tsf_forecast", "tsf_used"}


def test_owners_stand_under_the_labels_that_the_series_are_written_with() -> None:
    forecast = forecast_of({"group": ["a", "b"], "job": ["x", "y"]})
    rows = [{"job": "x", "owner": 'Ann "A" <ann@x>'}, {"job": "y", "owner": "{{ Bob }}"}]
    body = forecast_exposition(forecast, present_of(forecast, owners=rows), "storage", PushParams(), INFO, 0)
    found = [labels for name, labels, _ in samples(body) if name == "tsf_owner_info"]
    assert found == [
        {"task": "storage", "exported_job": "x", "owner": 'Ann "A" <ann@x>'},
        {"task": "storage", "exported_job": "y", "owner": "{{ Bob }}"},
    ]


def test_what_the_forecast_does_not_reach_is_refused() -> None:
    forecast = forecast_of({"n": ["a"]})
    with pytest.raises(SinkError, match=r"push\.horizons: the forecast reaches 1d in steps of 1h, not 2d"):
        text_of(forecast, horizons=["48h"])
    with pytest.raises(SinkError, match="in steps of 1h, not 1h30m"):
        text_of(forecast, horizons=["90m"])
    with pytest.raises(SeriesError, match=r"quantile 0\.95 lies outside"):
        text_of(forecast, quantiles=[0.95])


def test_a_series_without_labels_is_written() -> None:
    forecast = replace(forecast_of({"n": ["a"]}), labels={})
    found = [labels for name, labels, _ in samples(text_of(forecast)) if name == "tsf_limit_reached_timestamp_seconds"]
    assert found == [{"task": "storage"}]


def test_promtool_objects_only_to_the_name_of_the_quantile_label() -> None:
    body = text_of(forecast_of({"group": ["a", "b"]}), alias="quota_ratio")
    promtool = [str(find_server("promtool")), "check", "metrics"]
    done = subprocess.run(promtool, input=body, capture_output=True, timeout=60)
    found = set((done.stdout + done.stderr).decode().splitlines())
    assert found == {'tsf_forecast non-summary metrics should not have "quantile" label'}


def test_node_exporter_serves_the_files_of_all_tasks_whatever_their_labels(tmp_path: Path) -> None:
    hostile = 'a "quoted" \\ back\nslash é'
    bodies = {
        "storage": text_of(forecast_of({"group": ["a", hostile], "user": ["x", "y"]}), alias="quota_ratio"),
        "gpu": forecast_exposition(
            (nodes := forecast_of({"node": ["n1", "n2", "n3"]})), present_of(nodes), "gpu", PushParams(), INFO, 0
        ),
    }
    runs = runs_exposition(tmp_path, bodies)
    for task, body in bodies.items():
        write_textfile(body, tmp_path / "textfile", task)
    write_textfile(runs, tmp_path / "textfile", None)
    with running_node_exporter(tmp_path / "server", tmp_path / "textfile") as server:
        served = samples(requests.get(f"{server.url}/metrics", timeout=30).content)
    found = {with_labels(name, labels): value for name, labels, value in served}
    written = [one for body in bodies.values() for one in samples(body)]
    assert len(written) > 80
    for name, labels, value in written:
        assert found[with_labels(name, labels)] == pytest.approx(value, rel=1e-15)
    assert found["node_textfile_scrape_error",] == 0
    assert sum(name == "node_textfile_mtime_seconds" for name, *_ in found) == 3


def with_labels(name: str, labels: dict[str, str]) -> tuple[Any, ...]:
    """What a series is called; a label that is empty, as node_exporter adds it, is none to Prometheus."""
    return name, *((label, value) for label, value in sorted(labels.items()) if value)
