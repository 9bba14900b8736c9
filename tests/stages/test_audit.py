"""What was forecast is kept, and compared with what came, as PromQL compares it by offset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.io.test_exposition import forecast_of
from tests.servers import OpenMetric, Server, openmetrics
from tsf import plots
from tsf.alarm.rulefile import RuleTerms, rule_file
from tsf.io.artifacts import read_series
from tsf.kinds import moment_text, span_text
from tsf.params import PushParams
from tsf.series import Forecast, SeriesSet
from tsf.stages.audit import Audit, keep_issued

START, STEP, STEPS = 1_793_491_200, 3_600, 40
PUSH = PushParams(horizons=["2h", "6h"], quantiles=[0.1, 0.5, 0.9])
LABELS = {"group": ["a", "a", "b"], "user": ["x", "y", ""]}


def truth_of(seed: int = 1, limit: float | None = 400.0) -> SeriesSet:
    """Three series around the medians of forecast_of, with gaps."""
    rng = np.random.default_rng(seed)
    values = 100.0 * np.arange(3)[:, None] + 4 + rng.normal(0, 8, (3, STEPS))
    values[rng.random(values.shape) < 0.1] = np.nan
    labels = {name: np.array(column, object) for name, column in LABELS.items()}
    times = START + STEP * np.arange(STEPS)
    return SeriesSet(labels, times, STEP, values, None if limit is None else np.full(values.shape, limit))


def issued_at(step: int, **changes: object) -> Forecast:
    return forecast_of(LABELS, origin_seconds=START + STEP * step, **changes)


def audit_of(folder: Path, steps: list[int], truth: SeriesSet) -> Audit:
    for step in steps:
        issued = keep_issued(issued_at(step), PUSH, folder / "issued.parquet")
    return Audit(issued, truth)


def test_each_value_is_compared_with_what_was_said_of_it_before(tmp_path: Path) -> None:
    truth = truth_of()
    steps = [0, 1, 2, 5, 20, 33, 34, 38]
    audit = audit_of(tmp_path, steps, truth)
    found = {(row.horizon, row.time): row for row in audit.moments.itertuples()}
    expected = {(STEP * ahead, START + STEP * (step + ahead)) for ahead in (2, 6) for step in steps}
    assert set(found) <= expected
    assert len(found) == sum(step + ahead < STEPS for step in steps for ahead in (2, 6))
    for (horizon, time), row in found.items():
        came = truth.values[:, (time - START) // STEP]
        middle = 100.0 * np.arange(3) + horizon // STEP
        known = np.isfinite(came)
        assert row.n == known.sum()
        assert row.inside == (np.abs(came - middle)[known] <= 10).mean()
        np.testing.assert_allclose(row.error, (np.abs(came - middle)[known] / 400).mean())
    assert audit.table.index.tolist() == ["2 h", "6 h"]
    assert audit.table["promised"].tolist() == ["80 %", "80 %"]
    assert "values lay inside the interval" in audit.summary
    newest = audit.numbers.iloc[-1].to_dict()
    assert newest["values"] == len(truth.values)
    assert (audit.numbers.index[-1], newest["ahead"]) == (moment_text(max(found)[1]), span_text(max(found)[0]))
    plots.plot_audit(audit.moments, audit.table.index).savefig(tmp_path / "audit.png")


def test_before_there_is_anything_to_compare_it_says_when_there_will_be(tmp_path: Path) -> None:
    audit = audit_of(tmp_path, [39], truth_of())
    assert audit.moments.empty
    assert audit.table.empty
    assert audit.summary.endswith("the first will be at 2026-11-02 17:00 UTC.")
    plots.plot_audit(audit.moments, []).savefig(tmp_path / "audit.png")


def test_the_same_moment_pushed_again_counts_once_and_old_ones_are_let_go(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    for step in (0, 0, 1):
        kept = keep_issued(issued_at(step), PUSH, path)
    assert (kept.n_series, kept.n_steps) == (3 * 2 * 3, 2)
    assert read_series(path).data_hash == kept.data_hash
    assert keep_issued(issued_at(170), PUSH, path).n_steps == 171
    assert keep_issued(issued_at(180), PUSH, path).n_steps == 174  # 168 and the longest horizon
    assert keep_issued(issued_at(10_000), PUSH, path).n_steps == 1
    assert keep_issued(issued_at(10_001), PUSH, path, anew=True).n_steps == 1
    off = forecast_of(LABELS, origin_seconds=START + STEP * 10_002 + 60)
    assert keep_issued(off, PUSH, path).n_steps == 1  # no grid holds both


def test_a_clock_that_was_ahead_for_a_push_costs_no_past(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    for step in (0, 1, 2, 30):
        keep_issued(issued_at(step), PUSH, path)
    kept = keep_issued(issued_at(3), PUSH, path)
    assert kept.times.tolist() == [START + STEP * step for step in range(4)]
    assert np.isfinite(kept.values).all()


def test_series_that_come_and_go_keep_their_own_past(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    keep_issued(issued_at(0), PUSH, path)
    part = forecast_of({"group": ["b", "c"], "user": ["", "z"]}, origin_seconds=START + STEP)
    kept = keep_issued(part, PUSH, path)
    audit = Audit(kept, truth_of())
    assert audit.moments[audit.moments["horizon"] == 2 * STEP]["n"].tolist() == [
        np.isfinite(truth_of().values[:, 2]).sum(), np.isfinite(truth_of().values[2:, 3]).sum()
    ]  # fmt: skip
    assert kept.n_series == 4 * 2 * 3


def test_a_label_that_a_series_lacks_is_as_one_that_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    keep_issued(forecast_of({"group": ["a", "b"]}, origin_seconds=START), PUSH, path)
    more = forecast_of({"group": ["b", "c"], "zone": ["", "z"]}, origin_seconds=START + STEP)
    kept = keep_issued(more, PUSH, path)
    assert (kept.n_series, kept.n_steps) == (3 * 2 * 3, 2)
    truth = SeriesSet({"group": np.array(["b", "a"], object)}, truth_of().times, STEP, np.tile([[100.0], [0.0]], STEPS))
    moments = Audit(kept, truth).moments.set_index(["horizon", "time"])
    assert moments.loc[(2 * STEP, START + 2 * STEP), "n"] == 2
    assert moments.loc[(2 * STEP, START + 3 * STEP), "n"] == 1
    nameless = replace(forecast_of({"group": ["a"]}, origin_seconds=START), labels={})
    without = keep_issued(nameless, PUSH, tmp_path / "single.parquet")
    single = SeriesSet({}, truth_of().times, STEP, np.zeros((1, STEPS)))
    assert Audit(without, single).moments["n"].tolist() == [1, 1]


def test_a_damaged_file_begins_the_audit_again(tmp_path: Path) -> None:
    (tmp_path / "issued.parquet").write_bytes(b"half")
    assert keep_issued(issued_at(0), PUSH, tmp_path / "issued.parquet").n_steps == 1


@pytest.mark.parametrize("limit", [400.0, None])
def test_the_report_says_what_the_recording_rules_of_a_real_prometheus_say(
    prometheus_server: Callable[..., Server], tmp_path: Path, limit: float | None
) -> None:
    """The same forecasts and values as tsf pushes them, backfilled; the rules' expressions evaluated at each moment."""
    truth = replace(truth_of(limit=limit), values=np.nan_to_num(truth_of().values, nan=1e3))
    audit = audit_of(tmp_path, [*range(STEPS)], truth)
    series = []
    for row in range(truth.n_series):
        labels = {"task": "storage"} | {name: column[row] for name, column in truth.labels.items() if column[row]}
        told = {"tsf_used": truth.values[row]} | ({} if limit is None else {"tsf_limit": np.full(STEPS, limit)})
        for name, values in told.items():
            series.append(OpenMetric(name, labels, truth.times.tolist(), values.tolist()))
        for ahead in (2, 6):
            for level, shift in ((0.1, -10), (0.5, 0), (0.9, 10)):
                own = labels | {"horizon": f"{ahead}h", "quantile": f"{level}"}
                said = [100.0 * row + ahead + shift] * STEPS
                series.append(OpenMetric("tsf_forecast", own, truth.times.tolist(), said))
    young = {"task": "storage", "group": "young"}  # of which nothing was forecast yet
    series.append(OpenMetric("tsf_used", young, truth.times.tolist(), [1e4] * STEPS))
    issued = OpenMetric("task:tsf_forecast_fresh:bool", {"task": "storage"}, truth.times.tolist(), [1.0] * STEPS)
    server = prometheus_server(samples=openmetrics(*series, issued))
    text = rule_file(RuleTerms("storage", ["2h", "6h"], limited=limit is not None))
    for metric, column in (("coverage", "inside"), ("error", "error")):
        expressions = [
            line.split("expr: ")[1][1:-1]
            for name, line in zip(text.splitlines(), text.splitlines()[1:], strict=False)
            if name.endswith(f"record: task_horizon:tsf_forecast_{metric}:ratio")
        ]
        assert len(expressions) == 2
        for expression, horizon in zip(expressions, (2 * STEP, 6 * STEP), strict=True):
            part = audit.moments[audit.moments["horizon"] == horizon]
            assert len(part) == STEPS - horizon // STEP
            for row in part.itertuples():
                [found] = server.query(expression, time=row.time)
                np.testing.assert_allclose(float(found["value"][1]), getattr(row, column), rtol=1e-9)


def test_without_a_limit_the_distance_is_a_share_of_the_values(tmp_path: Path) -> None:
    audit = audit_of(tmp_path, [0], truth_of(limit=None))
    assert audit.table.columns[-1] == "off by, of the values"


def test_other_quantiles_begin_the_audit_anew_and_are_not_mixed_with_the_old(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    for step in range(4):
        keep_issued(issued_at(step), PushParams(horizons=["2h"], quantiles=[0.1, 0.5]), path)
    issued = keep_issued(issued_at(4), PUSH, path)
    audit = Audit(issued, truth_of())
    assert set(audit.moments["promised"]) == {0.8}
    assert set(audit.moments.loc[audit.moments["horizon"] == 6 * STEP, "time"]) == {START + 10 * STEP}
    assert (audit.moments["time"] > START + 5 * STEP).all()  # nobody had said before how high it could get


def test_other_horizons_and_quantiles_altogether_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    for step in range(3):
        keep_issued(issued_at(step), PushParams(horizons=["2h"], quantiles=[0.1]), path)
    kept = keep_issued(issued_at(3), PushParams(horizons=["6h"], quantiles=[0.9]), path)
    assert (kept.n_series, kept.n_steps) == (3 * 2, 1)  # the median is kept, too


def test_a_shorter_forecast_leaves_the_past_of_the_longer_horizons(tmp_path: Path) -> None:
    path = tmp_path / "issued.parquet"
    keep_issued(issued_at(0), PUSH, path)
    short = issued_at(1)
    short = replace(short, quantiles=short.quantiles[:, :3], p_breach=None, limit_time=None)
    audit = Audit(keep_issued(short, PUSH, path), truth_of())
    assert set(audit.moments.loc[audit.moments["horizon"] == 6 * STEP, "time"]) == {START + 6 * STEP}
    assert set(audit.moments.loc[audit.moments["horizon"] == 2 * STEP, "time"]) == {START + 2 * STEP, START + 3 * STEP}


def test_the_distance_is_that_of_the_median_whatever_is_pushed(tmp_path: Path) -> None:
    errors = []
    for number, levels in enumerate(([0.1, 0.5, 0.9], [0.1, 0.9], [0.5])):
        push = PushParams(horizons=["2h"], quantiles=levels)
        audit = Audit(keep_issued(issued_at(0), push, tmp_path / f"{number}.parquet"), truth_of())
        errors.append(audit.moments["error"].tolist())
    assert errors[0] == errors[1] == errors[2]
    assert audit.table["inside the interval"].tolist() == ["–"]  # there is none around one quantile
    assert "of which the median had been forecast" in audit.summary
