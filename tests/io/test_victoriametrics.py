"""VictoriaMetrics speaks Prometheus's API: what is read from it, and what comes back after a push."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.io.test_pushgateway import forecast_of, text_of
from tests.servers import OpenMetric, Server, openmetrics, running_victoriametrics
from tsf.errors import EmptyError, QueryError
from tsf.io.prometheus import check_server, fetch_series
from tsf.io.pushgateway import push_text
from tsf.params import FetchParams, PrometheusParams

pytestmark = pytest.mark.servers

HOSTILE = 'a"b\\c\nd{e}=<b>$x$é'
END = int(time.time()) // 300 * 300 - 600
TIMES = np.arange(END - 40 * 86_400, END + 1, 300)  # more than the 11,000 points of one query
USED = np.round(5e12 + np.cumsum(np.random.default_rng(0).normal(0, 2e9, len(TIMES))))
GAP = slice(5_000, 6_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pushgateway: Server) -> Iterator[Server]:
    """Two users' usage and limits over 40 days, one with a gap; it scrapes the Pushgateway every second."""
    rows = []
    for user in ("alice", HOSTILE):
        kept = np.delete(np.arange(len(TIMES)), GAP) if user == "alice" else np.arange(len(TIMES))
        rows.append(OpenMetric("used_bytes", {"user": user}, TIMES[kept].tolist(), USED[kept].tolist()))
        rows.append(OpenMetric("quota_bytes", {"user": user}, TIMES.tolist(), [6e12] * len(TIMES)))
    folder = tmp_path_factory.mktemp("victoria")
    with running_victoriametrics(folder, samples=openmetrics(*rows), scrape=[pushgateway.url]) as running:
        yield running


def fetch(server: Server, query: str) -> FetchParams:
    return FetchParams.model_validate({"metric_query": query, "limit": "quota_bytes", "step": "5m", "history": "40d"})


def test_history_and_limit_are_read_in_chunks_value_by_value(server: Server) -> None:
    source = PrometheusParams(base_url=server.url)
    series, quality = fetch_series(source, fetch(server, "used_bytes"), END)
    assert series.labels["user"].tolist() == sorted(["alice", HOSTILE])
    assert series.limit is not None
    hostile, alice = (series.labels["user"].tolist().index(user) for user in (HOSTILE, "alice"))
    np.testing.assert_array_equal(series.times, TIMES[1:])
    np.testing.assert_array_equal(series.values[hostile], USED[1:])
    assert quality.gap_samples in (999, 1_000)  # it draws a value on for a step, where Prometheus has none
    kept = np.isfinite(series.values[alice]) & ~np.isin(series.times, TIMES[GAP])
    np.testing.assert_array_equal(series.values[alice][kept], USED[1:][kept])
    assert kept.sum() == len(TIMES) - 1 - 1_000
    assert (series.limit == 6e12).all()


def test_its_version_and_its_refusals_are_told(server: Server) -> None:
    assert check_server(PrometheusParams(base_url=server.url))
    with pytest.raises(EmptyError, match="no_such_bytes"):
        fetch_series(PrometheusParams(base_url=server.url), fetch(server, "no_such_bytes"), END)
    with pytest.raises(QueryError, match="the server says"):
        fetch_series(
            PrometheusParams(base_url=server.url), fetch(server, 'label_replace(used_bytes, "a", "b", "c", "(")'), END
        )


def test_a_pushed_forecast_is_found_with_its_labels(server: Server, pushgateway: Server) -> None:
    forecast = forecast_of([HOSTILE, "plain"])
    push_text(text_of(forecast, "victoria"), PrometheusParams(pushgateway_url=pushgateway.url), "victoria", {})
    deadline = time.monotonic() + 90
    while len(found := server.query('tsf_forecast{task="victoria",horizon="12h",quantile="0.9"}')) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    values = {one["metric"]["group"]: float(one["value"][1]) for one in found}
    expected = {HOSTILE: forecast.quantiles[0, 11, 2], "plain": forecast.quantiles[1, 11, 2]}
    assert values == pytest.approx(expected, rel=1e-14)  # it keeps 15 digits
