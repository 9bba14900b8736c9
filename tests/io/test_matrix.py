from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsf.io import matrix
from tsf.io.matrix import AnswerError, MatrixError, decode_labels, decode_matrix

FIRST, STEP, POINTS = 1_600_000_200, 300, 7
GRID = [FIRST + STEP * point for point in range(POINTS)]
NASTY = [
    '"values":[[',
    '},"values":[[1,"2"]]}',
    ',"histograms":[',
    ']]},{"metric":',
    '\\"',
    "\\",
    '"',
    "{}",
    "é",
    "\x00\n",
]
NUMBERS = ["NaN", "+Inf", "-Inf", "0", "-0", "1e-323", "1.7976931348623157e+308", "5000251460442", "0.1", "1.5e+06"]
texts = st.text(max_size=8) | st.sampled_from(NASTY)
numbers = st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
labels = st.dictionaries(st.sampled_from(["__name__", "a", "b", "values", "metric"]), texts, max_size=4)
one_series = st.tuples(labels, st.lists(st.none() | numbers, min_size=POINTS, max_size=POINTS).filter(any))


def answer(series: list[tuple[dict[str, str], list[str | None]]], **more: object) -> dict[str, object]:
    result = [
        {"metric": names, "values": [[t, text] for t, text in zip(GRID, samples, strict=True) if text is not None]}
        for names, samples in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


def as_servers_write(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(st.lists(one_series, max_size=4), st.booleans())
def test_every_sample_is_what_json_says_whatever_the_labels_hold(
    series: list[tuple[dict[str, str], list[str | None]]], spaced: bool
) -> None:
    content = answer(series, warnings=['"values":[['])
    body = json.dumps(content).encode() if spaced else as_servers_write(content)
    decoded = decode_matrix(body, FIRST, STEP, POINTS)
    sent = [[math.nan if text is None else float(text) for text in samples] for _, samples in series]
    expected = np.array(sent).reshape(-1, POINTS)
    endless = np.abs(expected) > 1e300
    n_infinite = int(endless.sum())
    expected[endless] = np.nan
    assert decoded.values.tobytes() == expected.tobytes()
    assert [json.loads(text) for text in decoded.labels] == [names for names, _ in series]
    assert decoded.nan_samples == sum(text == "NaN" for _, samples in series for text in samples)
    assert decoded.infinite_samples == n_infinite
    assert decoded.envelope["warnings"] == ['"values":[[']


@given(
    st.lists(one_series, min_size=1, max_size=3),
    st.integers(0),
    st.sampled_from([b"", b'"', b"[", b"}", b"7", b",", b"x"]),
)
def test_a_damaged_answer_is_refused_or_read_as_json_reads_it(
    series: list[tuple[dict[str, str], list[str | None]]], at: int, damage: bytes
) -> None:
    body = as_servers_write(answer(series))
    at %= len(body)
    damaged = body[:at] + damage + body[at + 1 :]
    try:
        decoded = decode_matrix(damaged, FIRST, STEP, POINTS)
        rows = [decode_labels(text) for text in decoded.labels]
    except (AnswerError, MatrixError):
        return
    slow = matrix._decode_any(damaged, FIRST, STEP, POINTS)
    assert decoded.values.tobytes() == slow.values.tobytes()
    assert rows == [decode_labels(text) for text in slow.labels]


def test_what_servers_write_is_not_read_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(matrix, "_decode_any")
    series = [({"a": nasty}, ["1", None, "NaN", "+Inf", None, "3", "4"]) for nasty in NASTY]
    assert decode_matrix(as_servers_write(answer(series)), FIRST, STEP, POINTS).values[0, 5] == 3
    partial = as_servers_write({"status": "success", "isPartial": False, **answer(series)})
    assert decode_matrix(partial, FIRST, STEP, POINTS).envelope["isPartial"] is False


@pytest.mark.parametrize("body", [b"", b"<html>login</html>", b"[]", b'"x"', b'{"status":"success"}', b"[" * 100_000])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError, match="not what a Prometheus answers"):
        decode_matrix(body, FIRST, STEP, POINTS)


@pytest.mark.parametrize("samples", [[[1, "2"]], [[FIRST + 1, "2"]], [[FIRST - STEP, "2"]], [[GRID[-1] + STEP, "2"]]])
def test_samples_off_the_grid_are_refused(samples: list[list[object]]) -> None:
    content = answer([({}, ["1"] * POINTS)])
    content["data"]["result"][0]["values"] = samples
    with pytest.raises(AnswerError, match="off the grid"):
        decode_matrix(as_servers_write(content), FIRST, STEP, POINTS)


def test_a_time_with_decimals_is_the_same_time() -> None:
    body = as_servers_write(answer([({}, ["1", None, None, None, None, None, "2"])])).replace(
        b"[1600000200,", b"[1600000200.000,"
    )
    assert decode_matrix(body, FIRST, STEP, POINTS).values[0, 0] == 1


def test_native_histograms_and_vectors_are_named() -> None:
    content = answer([({"a": "b"}, ["1"] * POINTS)])
    content["data"]["result"][0]["histograms"] = [[FIRST, {"count": "1"}]]
    with pytest.raises(MatrixError, match="native histograms"):
        decode_matrix(as_servers_write(content), FIRST, STEP, POINTS)
    vector = {"status": "success", "data": {"resultType": "vector", "result": []}}
    with pytest.raises(MatrixError, match="it is a vector"):
        decode_matrix(as_servers_write(vector), FIRST, STEP, POINTS)
