from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pyarrow.parquet as parquet
import pytest
import requests

from tests.faults import Answer, FaultServer
from tests.servers import OpenMetric, Server, bitbrains_openmetrics, left_open, openmetrics, shared_file
from tsf.errors import EmptyError, ParamsError, QueryError, ServerError
from tsf.io import http, ranges
from tsf.io.prometheus import check_server, fetch_series
from tsf.io.quality import Quality
from tsf.params import FetchParams, PrometheusParams, effective
from tsf.series import SeriesSet, label_rows

pytestmark = pytest.mark.servers

END = 1_700_000_040  # a multiple of a minute, but not of an hour
MINUTES = END + 60 * np.arange(-12_000, 1)
HOSTILE = ['a"b', "back\\slash", "line\nend", "{x='}", '"values":[[1,"2"]]', '},"values":[[', "é 漢 🙂", ",", "]]}"]


def metric(name: str, labels: dict[str, str], values: np.ndarray, times: np.ndarray = MINUTES) -> OpenMetric:
    return OpenMetric(name, labels, times.tolist(), values.tolist())


def walk(seed: int, n: int = len(MINUTES)) -> np.ndarray:
    return 1e12 + np.cumsum(np.random.default_rng(seed).normal(0, 1e9, n))


def samples() -> str:
    last = MINUTES[-200:]
    tail = np.arange(200.0) + 1
    odd = tail.copy()
    odd[[10, 11]], odd[[20, 21, 22]], odd[30] = np.nan, np.inf, -np.inf
    gappy = np.r_[20:60, 80:160]  # a gap of 20 minutes, of which the lookback hides 5, or 4
    users = [{"group": f"g{i % 3}", "user": f"u{i}"} for i in range(6)]
    return openmetrics(
        *(metric("long_bytes", {"user": f"u{seed}"}, walk(seed)) for seed in range(3)),
        metric("long_bytes", {"user": "late"}, walk(9, 3000), MINUTES[-3000:]),
        metric("long_bytes", {"user": "early"}, walk(8, 3000), MINUTES[:3000]),
        *(metric("hostile_bytes", {"a": value, "b": "x" * i}, tail + i, last) for i, value in enumerate(HOSTILE)),
        metric("odd_bytes", {"kind": "numbers"}, odd, last),
        metric("odd_bytes", {"kind": "gaps"}, tail[gappy], last[gappy]),
        *(metric("used_bytes", user, tail, last) for user in users),
        *(
            metric("user_limit_bytes", user | {"job": ""}, 0 * tail + 1000 + i, last)
            for i, user in enumerate(users[::-1])
        ),
        *(
            metric("group_limit_bytes", {"group": f"g{i}"}, np.where(tail <= 100, 10.0, 20.0) * i, last)
            for i in range(2)
        ),
        *(metric("kind_limit_bytes", {"group": f"g{i}", "kind": kind}, tail, last) for i in range(3) for kind in "hs"),
        *(metric("file_count_of_user", user, tail * 2, last) for user in users),
        metric("requests_handled", {"path": "/"}, tail, last),
    )


@pytest.fixture(scope="module")
def server(prometheus_server: Callable[..., Server]) -> Server:
    return prometheus_server(samples=samples())


def fetch(
    address: str, query: str, *, until: int = END, step: str = "1m", history: str = "3h", **more: Any
) -> tuple[SeriesSet, Quality]:
    params = FetchParams(metric_query=query, step=step, history=history, **more)
    return fetch_series(PrometheusParams(base_url=address), params, until, environ={})


def asked_at_once(server: Server, query: str, times: np.ndarray) -> dict[tuple[tuple[str, str], ...], dict[int, str]]:
    form = {"query": query, "start": int(times[0]), "end": int(times[-1]), "step": int(times[1] - times[0])}
    result = requests.post(f"{server.url}/api/v1/query_range", data=form, timeout=60).json()["data"]["result"]
    return {tuple(one["metric"].items()): dict(one["values"]) for one in result}


def test_the_grid_lies_on_multiples_of_the_step_and_ends_before_until(server: Server) -> None:
    series, quality = fetch(server.url, "used_bytes", until=END + 7, step="15m", history="2h50m")
    assert series.times.tolist() == [END // 900 * 900 - 900 * i for i in range(10, -1, -1)]
    assert (quality.n_series, quality.n_steps) == (6, 11)
    short, _ = fetch_series(
        PrometheusParams(base_url=server.url),
        FetchParams(metric_query="used_bytes", step="1m", history="3h"),
        END,
        history_seconds=600,
        environ={},
    )
    assert short.n_steps == 10


def test_every_value_is_the_one_that_the_server_sends_in_one_answer(server: Server) -> None:
    series, _ = fetch(server.url, "long_bytes", history="5d")
    expected = asked_at_once(server, "long_bytes", series.times)
    assert len(expected) == series.n_series == 4  # one ended before
    for labels, values in zip(label_rows(series.labels), series.values, strict=True):
        key = (("__name__", "long_bytes"), *labels.items())
        sent = expected[key]
        assert values.tolist() == pytest.approx([float(sent.get(t, "nan")) for t in series.times], rel=0, nan_ok=True)


@pytest.mark.parametrize("size", [1, 20_000, 100_000])
def test_chunks_of_any_size_give_the_same_bits(server: Server, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    history = "2h" if size == 1 else "12001m"
    whole, quality = fetch(server.url, "long_bytes", history=history)
    monkeypatch.setattr(ranges, "CHUNK_BYTES", size)
    parts, same = fetch(server.url, "long_bytes", history=history)
    assert parts.data_hash == whole.data_hash
    assert same == quality


def test_no_query_asks_for_more_than_the_server_gives_and_none_overlaps(
    server: Server, fault_server: Callable[..., FaultServer]
) -> None:
    between = fault_server(Answer(forward=server.url))
    series, quality = fetch(between.url, 'long_bytes{user="u1"}', history="12001m")
    forms = [parse_qs(request.body.decode()) for request in between.requests if request.path.endswith("query_range")]
    spans = [(int(form["start"][0]), int(form["end"][0])) for form in forms]
    assert max((last - first) // 60 for first, last in spans) <= 11_000
    assert [first for first, _ in spans[1:]] == [last + 60 for _, last in spans[:-1]]
    assert (spans[0][0], spans[-1][1]) == (series.times[0], series.times[-1])
    assert {request.headers["Accept-Encoding"] for request in between.requests} == {"identity"}
    assert quality.missing == 0


def test_a_query_that_is_too_much_is_asked_for_in_halves(prometheus_server: Callable[..., Server]) -> None:
    text = openmetrics(*(metric("many_bytes", {"user": f"u{i}"}, walk(i)[-3000:], MINUTES[-3000:]) for i in range(10)))
    small = prometheus_server(samples=text, flags=["--query.max-samples=2000"])
    series, quality = fetch(small.url, "many_bytes", history="1d")
    assert (series.n_series, quality.missing) == (10, 0)
    with pytest.raises(QueryError, match=r"too many samples.*aggregate in the query"):
        fetch(small.url, "max_over_time(many_bytes[2d])", history="1h")


def test_a_query_that_takes_too_long_is_asked_for_in_halves(
    server: Server, fault_server: Callable[..., FaultServer]
) -> None:
    slow = Answer(503, b'{"status":"error","errorType":"timeout","error":"query timed out"}')
    between = fault_server(Answer(404), slow, slow, Answer(forward=server.url))
    series, quality = fetch(between.url, "used_bytes", history="100m")
    asked = [parse_qs(request.body.decode()) for request in between.requests[1:4]]
    assert [int(form["end"][0]) - int(form["start"][0]) for form in asked] == [31 * 60, 15 * 60, 7 * 60]
    assert (series.n_steps, quality.missing) == (100, 0)


@pytest.mark.parametrize("timeout", [0.25, 3, 5, 7.777, 15, 3_600])
def test_any_time_out_is_one_that_the_server_reads(server: Server, timeout: float) -> None:
    params = FetchParams(metric_query="used_bytes", step="1m", history="10m")
    series, _ = fetch_series(PrometheusParams(base_url=server.url, timeout=timeout), params, END, environ={})
    assert series.n_series == 6


def test_more_than_memory_holds_is_refused_at_the_first_chunk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_VALUES", 1000)
    with pytest.raises(QueryError, match=r"6 series of 180 steps do not fit in memory; aggregate"):
        fetch(server.url, "used_bytes")


def test_an_answer_that_lies_is_no_answer(fault_server: Callable[..., FaultServer]) -> None:
    one = b'{"metric":{"a":"b"},"values":[[%d,"1"]]}' % END
    head, tail = b'{"status":"success","data":{"resultType":"matrix","result":[', b"]}}"
    for result, words in {
        one + b"," + one: r"holds a series twice, \{'a': 'b'\}; let the server drop duplicates",
        one.replace(b'{"a":"b"}', b"[1]"): "no labels",
        one.replace(b"[[%d" % END, b"[[7"): "off the grid",
    }.items():
        liar = fault_server(Answer(404), Answer(body=head + result + tail))
        with pytest.raises(ServerError, match=words):
            fetch(liar.url, "used_bytes", history="2m")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"status":"error","errorType":"execution","error":"no","data":%s}', QueryError, "the server says: no; mend"),
        (b'{"status": "error", "errorType": "execution", "error": "no"}', QueryError, "the server says: no; mend"),
        (b'{"status":"error","errorType":"unavailable","error":"no"}', ServerError, "the server failed with 200 no"),
        (b'{"data":%s,"error":"no","status":"error"}', ServerError, "the answer cannot be read"),
    ],
)
def test_an_error_that_comes_with_status_200_is_one(
    fault_server: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch, body: bytes, kind: type[Exception],
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(http, "FIRST_PAUSE_SECONDS", 0.001)
    part = b'{"resultType":"matrix","result":[{"metric":{},"values":[[%d,"1"]]}]}' % END
    with pytest.raises(kind, match=words):
        fetch(fault_server(Answer(404), Answer(body=body.replace(b"%s", part))).url, "used_bytes", history="2m")


def test_label_values_come_back_whatever_they_hold(server: Server) -> None:
    series, _ = fetch(server.url, "hostile_bytes", history="30m")
    assert sorted(series.labels["a"].tolist()) == sorted(HOSTILE)
    for row, value in enumerate(series.labels["a"]):
        assert series.values[row, -1] == 200 + HOSTILE.index(value)
    assert "__name__" not in series.labels
    rows = [tuple(column[row] for column in series.labels.values()) for row in range(series.n_series)]
    assert rows == sorted(rows)


def test_nan_infinity_and_gaps_are_missing_and_counted_apart(server: Server) -> None:
    series, quality = fetch(server.url, "odd_bytes", history="200m")
    kinds = series.labels["kind"].tolist()
    numbers, gaps = series.values[kinds.index("numbers")], series.values[kinds.index("gaps")]
    assert np.flatnonzero(np.isnan(numbers)).tolist() == [10, 11, 20, 21, 22, 30]
    hidden = 4 if left_open() else 5
    assert np.flatnonzero(np.isnan(gaps)).tolist() == [*range(20), *range(60 + hidden, 80), *range(160 + hidden, 200)]
    assert (quality.nan_samples, quality.infinite_samples) == (2, 4)
    assert (quality.late_starts, quality.late_start_samples) == (1, 20)
    assert (quality.early_ends, quality.early_end_samples) == (1, 40 - hidden)
    assert (quality.gaps, quality.gap_samples, quality.longest_gap_seconds) == (4, 26 - hidden, (21 - hidden) * 60)
    assert quality.missing == 86 - 2 * hidden


def test_a_limit_in_numbers_holds_for_every_step(server: Server) -> None:
    series, quality = fetch(server.url, "used_bytes", limit=2e12)
    assert (series.limit == 2e12).all()
    assert quality.without_limit == quality.limit_missing == 0
    assert fetch(server.url, "used_bytes")[0].limit is None


def test_a_limit_of_each_user_goes_to_that_user(server: Server) -> None:
    series, quality = fetch(server.url, "used_bytes", limit="user_limit_bytes", history="1h")
    assert series.limit[:, -1].tolist() == [1005 - int(user[1:]) for user in series.labels["user"]]
    assert quality.without_limit == 0


def test_a_limit_of_a_group_is_shared_changes_over_time_and_may_be_absent(server: Server) -> None:
    series, quality = fetch(server.url, "used_bytes", limit="group_limit_bytes", history="200m")
    groups = series.labels["group"]
    assert not (series.limit <= 0).any()  # what has no room is no limit
    assert (series.limit[groups == "g1"] == np.where(np.arange(200) < 100, 10.0, 20.0)).all()
    assert np.isnan(series.limit[groups == "g2"]).all()
    assert quality.without_limit == 2
    assert any("2 of 6 series have none" in text for text in quality.warnings)
    assert any("2 series have a limit of 0 or less" in text for text in quality.warnings)


def test_a_limit_that_is_infinite_or_no_number_is_counted_as_none(server: Server) -> None:
    series, quality = fetch(server.url, "used_bytes", limit="user_limit_bytes / (user_limit_bytes > bool 1000)")
    assert np.isnan(series.limit[-1]).all()  # 1000 / 0
    assert quality.without_limit == 1
    assert any("1 of 6 series has none, such as {'group': 'g2', 'user': 'u5'}" in text for text in quality.warnings)


def test_a_limit_without_labels_is_everybodys(server: Server) -> None:
    series, _ = fetch(server.url, "used_bytes", limit="sum(user_limit_bytes)", history="1h")
    assert (series.limit == sum(range(1000, 1006))).all()
    series, _ = fetch(server.url, "used_bytes", limit="3e3 * 2", history="1h")
    assert (series.limit == 6000).all()


def test_a_limit_with_a_label_of_its_own_is_refused_with_the_cure(server: Server) -> None:
    with pytest.raises(QueryError, match=r"fetch.limit 'kind_limit_bytes'.*no label kind; write max by \(group\)"):
        fetch(server.url, "used_bytes", limit="kind_limit_bytes")
    with pytest.raises(QueryError, match=r"both .* and .* belong to the series"):
        fetch(server.url, "used_bytes", limit="sum by (user) (user_limit_bytes) or sum by (group) (used_bytes)")


def test_covariates_are_joined_like_limits(server: Server) -> None:
    series, _ = fetch(
        server.url,
        "used_bytes",
        covariates={"files": "file_count_of_user", "group_total": "sum by (group) (used_bytes)"},
        history="1h",
    )
    np.testing.assert_array_equal(series.covariates["files"], 2 * series.values)
    np.testing.assert_array_equal(series.covariates["group_total"], 2 * series.values)


def test_two_metrics_with_the_same_labels_are_told_apart_or_refused(server: Server) -> None:
    with pytest.raises(QueryError, match=r"used_bytes and user_limit_bytes|user_limit_bytes and used_bytes"):
        fetch(server.url, '{__name__=~"used_bytes|user_limit_bytes"}')


def test_a_query_that_reads_no_metric_is_refused(server: Server) -> None:
    with pytest.raises(QueryError, match="reads no metric"):
        fetch(server.url, "vector(1)")


def test_an_empty_result_says_when_there_is_data(server: Server) -> None:
    with pytest.raises(
        EmptyError, match=r"long_bytes has data from about 2023-11-0\S+ to 2023-11-14T22:\S+; move"
    ) as caught:
        fetch(server.url, "long_bytes > 5 and on(user) used_bytes", until=END + 90 * 86_400)
    assert "no series from 2024-02-12T" in caught.value.what
    assert server.url in caught.value.where
    assert "long_bytes > 5" in caught.value.where


@pytest.mark.parametrize("earlier", range(0, 1_400, 200))
def test_the_time_with_data_is_told_alike_at_every_moment(
    server: Server, monkeypatch: pytest.MonkeyPatch, earlier: int
) -> None:
    now = time.time() - earlier  # which steps are looked at follows from the moment of the look
    monkeypatch.setattr("tsf.io.hints.time", SimpleNamespace(time=lambda: now))
    with pytest.raises(EmptyError, match=r"long_bytes has data from about 2023-11-0\S+ to 2023-11-14T22:"):
        fetch(server.url, "long_bytes > 5 and on(user) used_bytes", until=END + 90 * 86_400)


def test_an_empty_result_says_which_name_was_meant(server: Server) -> None:
    with pytest.raises(
        EmptyError, match=r"user_bytes has no data at all; check the metric's name; there is .*used_bytes"
    ):
        fetch(server.url, "user_bytes")
    with pytest.raises(EmptyError, match=r"there is .*used_bytes"):
        fetch(server.url, '{__name__="user_bytes"}')
    with pytest.raises(EmptyError, match=r"exists with other labels"):
        fetch(server.url, 'used_bytes{group="nobody"}')
    with pytest.raises(EmptyError, match=r"fetch.limit 'absent_bytes'"):
        fetch(server.url, "used_bytes", limit="absent_bytes")


def test_an_empty_result_of_operators_is_not_blamed_on_the_metrics(server: Server) -> None:
    with pytest.raises(EmptyError, match="its operators leave none"):
        fetch(server.url, 'used_bytes{user="u1"} / on(user) used_bytes{user="u2"}')


def test_a_range_with_too_few_samples_is_warned_of(server: Server) -> None:
    _, quality = fetch(server.url, "avg_over_time(used_bytes[1m])", history="1h")
    holds = "1 sample in" if left_open() else "2 samples in"
    assert any(text.startswith(f"used_bytes[1m] holds {holds}") for text in quality.warnings)
    assert fetch(server.url, "avg_over_time(used_bytes[5m])", history="1h")[1].warnings == ()


def test_a_metric_that_its_exporter_calls_a_counter_is_refused(
    pushgateway: Server, prometheus_server: Callable[..., Server]
) -> None:
    text = "# TYPE handled_requests counter\nhandled_requests 5\n# TYPE handled_now gauge\nhandled_now 5\n"
    requests.put(f"{pushgateway.url}/metrics/job/counters", data=text, timeout=10).raise_for_status()
    live = prometheus_server(scrape=[pushgateway.url])
    until = int(time.time()) + 1
    with pytest.raises(QueryError, match=r"handled_requests is a counter.*write rate\(handled_requests\[5m\]\)"):
        fetch(live.url, "sum(handled_requests)", until=until, step="1s", history="5s")
    with pytest.raises(QueryError, match="handled_requests is a counter"):
        fetch(live.url, '{__name__="handled_requests"}', until=until, step="1s", history="5s")
    series, _ = fetch(live.url, "handled_now", until=until, step="1s", history="5s")
    assert series.values[0, -1] == 5
    fetch(live.url, "rate(handled_requests[5s]) or handled_now", until=until, step="1s", history="5s")


def test_what_the_server_warns_of_is_kept_and_logged_for_a_push_that_has_no_table_of_it(
    fault_server: Callable[..., FaultServer], caplog: pytest.LogCaptureFixture
) -> None:
    head = b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[%d,"1"]]}]}' % END
    body = head + b',"warnings":["one store is away"],"infos":["no counter"],"isPartial":true}'
    away = fault_server(Answer(404), Answer(body=body))
    _, quality = fetch(away.url, "used_bytes", step="1m", history="2m")
    partial = "the server says that its answer is partial"
    assert quality.warnings[:3] == ("one store is away", partial, "no counter")
    told = [record.getMessage() for record in caplog.records]
    assert sorted(told) == [
        f"{away.url}, fetch.metric_query 'used_bytes': {text}" for text in ("one store is away", partial)
    ]


def test_the_version_is_read_and_addresses_come_from_the_environment_first(server: Server) -> None:
    configured = PrometheusParams(base_url="http://localhost:1", pushgateway_url="textfile")
    environ = {"PROMETHEUS_URL": server.url + "/", "PUSHGATEWAY_URL": "http://gateway:9091"}
    assert effective(configured, environ).base_url == server.url
    assert effective(configured, environ).pushgateway_url == "http://gateway:9091"
    assert effective(configured, {}) == configured
    assert check_server(configured, environ).split(".")[0] in ("2", "3")


@pytest.mark.parametrize("address", ["http://me:secret@host", "me:secret@host:9090", "ftp://host"])
def test_a_wrong_address_is_refused_without_showing_its_password(address: str) -> None:
    with pytest.raises(ParamsError, match="PROMETHEUS_URL") as caught:
        effective(PrometheusParams(), {"PROMETHEUS_URL": address})
    assert "secret" not in str(caught.value)


def test_memory_of_real_machines_comes_back_with_its_limits(prometheus_server: Callable[..., Server]) -> None:
    real = prometheus_server(samples=bitbrains_openmetrics(10, 4))
    start = 1_375_308_000
    series, quality = fetch(
        real.url,
        "vm_memory_used_bytes",
        limit="vm_memory_provisioned_bytes",
        until=start + 4 * 86_400,
        step="1h",
        history="3d",
    )
    table = parquet.read_table(
        shared_file("data/bitbrains_rnd/rnd_2013-8.parquet"),
        filters=[("vm", "<=", 10), ("ts", "<=", start + 5 * 86_400)],
    ).to_pandas()
    assert (series.n_series, series.n_steps, quality.without_limit) == (10, 72, 0)
    for row, labels in enumerate(label_rows(series.labels)):
        machine = table[table["vm"] == int(labels["vm"].removeprefix("vm-"))]
        for column, moment in enumerate(series.times):
            before = machine[(machine["ts"] <= moment) & (machine["ts"] >= moment - 300)]
            last = before.iloc[-1] if len(before) else {"mem_kb": np.nan, "mem_cap_kb": np.nan}
            assert series.values[row, column] == pytest.approx(float(last["mem_kb"]) * 1024, rel=0, nan_ok=True)
            assert series.limit[row, column] == pytest.approx(float(last["mem_cap_kb"]) * 1024, rel=0, nan_ok=True)
    assert quality.early_ends == 0
