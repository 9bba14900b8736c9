"""A forecast as Prometheus text: gauges of the present with the horizon as a label, and never a timestamp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsf.errors import SinkError
from tsf.kinds import duration_text, horizon_text
from tsf.params import PushParams
from tsf.series import Floats, Forecast, label_rows

__all__ = ["ModelInfo", "Present", "forecast_exposition", "output_cardinality", "output_names"]

RESERVED = {"task", "horizon", "quantile", "job", "alertname", "alertstate", "severity"}
HELP = {
    "tsf_forecast": "Forecast in the unit of the task's metric, by horizon and quantile.",
    "tsf_breach_probability_ratio": "Probability that the limit is reached within the horizon, 0 to 1.",
    "tsf_breach_before_work_probability_ratio": "Probability that the limit is reached before somebody is at work.",
    "tsf_limit_reached_timestamp_seconds": "Unix time when the limit is expected to be reached, +Inf for not in sight.",
    "tsf_used": "Newest value of the task's metric that the forecast was made from.",
    "tsf_limit": "Newest limit of it.",
    "tsf_owner_info": "Who is asked about the series with these labels.",
    "tsf_forecast_issued_timestamp_seconds": "Unix time when the task's forecast was written.",
    "tsf_shifted_series": "Series of the task whose newest day lies far outside the range of the days before.",
    "tsf_abstained_series": "Series of the task that have no forecast, by reason.",
    "tsf_model_info": "What the task's forecast was made by and from.",
}


@dataclass(frozen=True)
class ModelInfo:
    """The lineage of a forecast: name and version of the model, hash of the data it learnt from, commit of the code."""

    model: str
    version: str
    data: str
    commit: str


@dataclass(frozen=True, eq=False)
class Present:
    """What is so at the moment of a forecast of N series.

    used, limit: (N,) newest known values, limit None for a task without one. before_work: (N,) chance that the limit is
    reached before somebody is at work again, 0 while somebody is. owners: labels that name a part of the series, and
    `owner`. shifted: how many series have left the range they had.
    """

    used: Floats
    limit: Floats | None = None
    before_work: Floats | None = None
    owners: Sequence[Mapping[str, str]] = ()
    shifted: int = 0


def output_cardinality(n_series: int, push: PushParams, has_limit: bool, n_totals: int = 0) -> int:
    """How many series a forecast of `n_series` and `n_totals` with or without a limit writes, owners aside.

    Exact when all of them have a forecast and a limit; those without write less.
    """
    alias = len(push.horizons) * bool(push.alias)
    breach = (len(push.horizons) + 3) * has_limit  # time to the limit, before work, limit
    each = len(push.horizons) * len(push.quantiles) + breach + 1  # used
    per_task = 4  # issued, shifted, abstained, model
    return n_series * (each + alias) + n_totals * (each - has_limit) + per_task  # of totals nothing before work


def forecast_exposition(
    forecast: Forecast,
    present: Present,
    task: str,
    push: PushParams,
    info: ModelInfo,
    issued_seconds: int,
    totals: tuple[Forecast, Present] | None = None,
) -> bytes:
    """The text that retells `forecast`, in the order of its series; equal forecasts give equal bytes.

    Horizons are whole hours where they can be (24h, never 1d). Each sample keeps the series' own labels. Those that the
    output needs itself (task, horizon, quantile), that the Pushgateway would overwrite (job), that an alert has of its
    own (alertname, alertstate, severity: of two series that differ in nothing else Prometheus makes no alerts at all)
    or that Prometheus keeps for itself (__…) become exported_<name>, as Prometheus does it. `instance` stays; only a
    scrape without honor_labels makes it exported_instance.

    A series that abstains, and a value that is NaN (no limit known), is absent. A limit that is not in sight is +Inf,
    so that `tsf_limit_reached_timestamp_seconds - time() < 3600` is false, `> …` true, and the series does not come
    and go. With push.alias the median also goes out as ai_forecast_<alias>.

    Raises SinkError for more than push.max_series series and for horizons that the forecast does not reach, and
    SeriesError for quantiles outside the learnt ones.
    """
    _check_size(forecast, push, totals)
    own = f"task={_quoted(task)}"
    lines = _series_lines(forecast, present, own, push)
    if totals is not None:
        lines += _series_lines(*totals, own, push.model_copy(update={"alias": ""}), "tsf_total_")
    if present.owners:
        names = output_names(list(forecast.labels))
        owners = [_text_of(names, row) for row in present.owners]
        lines += _family("tsf_owner_info", [own], owners, np.ones((len(owners), 1), np.int64))
    lines += _family("tsf_forecast_issued_timestamp_seconds", [own], [""], np.array([[issued_seconds]]))
    lines += _family("tsf_shifted_series", [own], [""], np.array([[present.shifted]]))
    kinds = _abstained_kinds(forecast)
    counts = np.array([[count] for count in kinds.values()])
    lines += _family("tsf_abstained_series", [own], [f",reason={_quoted(kind)}" for kind in kinds], counts)
    lineage = "".join(f",{name}={_quoted(value)}" for name, value in vars(info).items())
    lines += _family("tsf_model_info", [own], [lineage], np.array([[1]]))
    return ("\n".join(lines) + "\n").encode()


def _series_lines(forecast: Forecast, present: Present, own: str, push: PushParams, prefix: str = "tsf_") -> list[str]:
    """What is said of each series; own: the label of the task."""
    steps = _steps(forecast, push)
    rows = np.flatnonzero(forecast.abstained == "")
    labels = _label_texts(forecast, rows)
    horizons = [f"{own},horizon={_quoted(horizon_text(seconds))}" for seconds in push.horizons]
    quantiles = [f"{horizon},quantile={_quoted(repr(level))}" for level in push.quantiles for horizon in horizons]

    def at(level: float) -> NDArray[np.float64]:
        return forecast.at(level)[rows][:, steps]  # (N, horizons)

    lines: list[str] = []
    if push.quantiles:
        lines += _family(
            f"{prefix}forecast", quantiles, labels, np.concatenate([at(q) for q in push.quantiles], axis=1)
        )
    if push.alias:
        lines += _family(f"ai_forecast_{push.alias}", horizons, labels, at(0.5))
    if forecast.p_breach is not None:
        lines += _family(f"{prefix}breach_probability_ratio", horizons, labels, forecast.p_breach[rows][:, steps])
    for name, known in {
        "limit_reached_timestamp_seconds": forecast.limit_time,
        "breach_before_work_probability_ratio": present.before_work,
        "used": present.used,
        "limit": present.limit,
    }.items():
        lines += [] if known is None else _family(prefix + name, [own], labels, known[rows, None])
    return lines


def _family(name: str, prefixes: Sequence[str], labels: Sequence[str], values: NDArray[np.float64]) -> list[str]:
    """HELP, TYPE and the samples of one metric; values: (series, prefixes)."""
    starts = [f"{name}{{{prefix}" for prefix in prefixes]
    return [
        f"# HELP {name} {_help(name)}",
        f"# TYPE {name} gauge",
        *(
            f"{start}{label}}} {_number(value)}"
            for label, row in zip(labels, values.tolist(), strict=True)
            for start, value in zip(starts, row, strict=True)
            if value == value  # false for NaN alone
        ),
    ]


def _help(name: str) -> str:
    if name.startswith("tsf_total_"):
        return "The same of the sums over push.totals: " + HELP[name.replace("total_", "", 1)]
    return HELP.get(name, "Median forecast in the unit of the metric, by horizon.")


def _check_size(forecast: Forecast, push: PushParams, totals: tuple[Forecast, Present] | None) -> None:
    n = len(forecast.quantiles)
    n_totals = 0 if totals is None else len(totals[0].quantiles)
    if (count := output_cardinality(n, push, forecast.p_breach is not None, n_totals)) > push.max_series:
        raise SinkError(
            f"{n:,} series would be written as {count:,}, more than push.max_series {push.max_series}",
            cure="aggregate the query, drop horizons or quantiles, or raise the cap",
        )


def _steps(forecast: Forecast, push: PushParams) -> list[int]:
    """The index in the forecast of each horizon."""
    for seconds in push.horizons:
        if seconds % forecast.step_seconds or seconds // forecast.step_seconds > forecast.quantiles.shape[1]:
            reach = duration_text(forecast.quantiles.shape[1] * forecast.step_seconds)
            what = f"the forecast reaches {reach} in steps of {duration_text(forecast.step_seconds)}"
            raise SinkError(f"{what}, not {duration_text(seconds)}", where="push.horizons", cure="train the task again")
    return [seconds // forecast.step_seconds - 1 for seconds in push.horizons]


def _label_texts(forecast: Forecast, rows: NDArray[np.int64]) -> list[str]:
    """`,name="value"…` of each of the rows."""
    names = output_names(list(forecast.labels))
    labels = {name: column[rows] for name, column in forecast.labels.items()}
    if not labels:
        return [""] * len(rows)
    return [_text_of(names, row) for row in label_rows(labels)]


def _text_of(names: Mapping[str, str], row: Mapping[str, str]) -> str:
    return "".join(f",{names.get(name, name)}={_quoted(value)}" for name, value in row.items())


def output_names(names: Sequence[str]) -> dict[str, str]:
    """The name under which each label of a series is written."""
    taken, renamed = RESERVED | set(names), {}
    for name in names:
        new = name
        if name in RESERVED or name.startswith("__"):
            while new in taken:
                new = f"exported_{new}"
            taken.add(new)
        renamed[name] = new
    return renamed


def _abstained_kinds(forecast: Forecast) -> dict[str, int]:
    """Kind of reason -> count, without the figures, each of which would be a series of its own.

    "" -> 0 where nothing abstained, so that the metric is there.
    """
    reasons = forecast.abstained.tolist()
    return dict(sorted(Counter(reason.partition(" (")[0] for reason in reasons if reason).items())) or {"": 0}


def _number(value: float) -> str:
    return {"inf": "+Inf", "-inf": "-Inf"}.get(text := repr(value), text)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
