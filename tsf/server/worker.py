"""What runs in the warm worker processes: whatever calls a stage, so that only they ever load torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsf.io.files import json_text
from tsf.params import Params, parse_params
from tsf.series import Forecast, label_rows, title_of
from tsf.server.answers import time_text
from tsf.server.views import series_entries
from tsf.units import unit_of

if TYPE_CHECKING:
    from tsf.stages.predict import Predicted

__all__ = ["explain", "plan", "predict", "write_rules"]

SHOWN_SERIES = 6
KEPT_BYTES = 64 * 2**20  # of forecasts, in each worker
LEAST_BYTES = 64 * 2**10  # that one counts for at the least, so that small ones are no more than a thousand


def predict(root: Path, task: str, steps: int | None, model: str, labels: Mapping[str, str], limit: int) -> bytes:
    """The body of an answer to /predict: a fresh forecast of `task`, the most urgent series first."""
    from tsf.stages.predict import predict_task

    predicted = predict_task(
        task, root, steps=steps, model_name=model, labels=labels, with_totals=False, load=_kept_model, kept=_forecasts
    )
    _forget_old()
    forecast = predicted.forecast
    rows, levels = predicted.urgent_rows[:limit], [f"{level:g}" for level in forecast.levels]
    middle = forecast.at(0.5)
    names = label_rows(predicted.context.take(rows).labels)
    used: Any = predicted.model  # one of the registry, as it was measured
    measured = used.calibration
    return json_text(
        {
            "task": task,
            "user": labels.get("user"),
            **_made_by(predicted),
            "step_seconds": forecast.step_seconds,
            "levels": forecast.levels,
            "coverage": {
                "nominal": measured.interval[1] - measured.interval[0],
                "measured": measured.coverage,
                "n": measured.n,
                "reason": "measured on the newest training data, on windows that did not teach",
            },
            "total": predicted.context.n_series,
            "predictions": [
                {
                    "labels": named,
                    "title": title_of(named),
                    "predictions": middle[row],
                    "quantiles": dict(zip(levels, forecast.quantiles[row].T, strict=True)),
                    "p_breach": None if forecast.p_breach is None else forecast.p_breach[row],
                    "limit_time": None if forecast.limit_time is None else time_text(float(forecast.limit_time[row])),
                    "abstained": forecast.abstained[row],
                }
                for row, named in zip(rows, names, strict=True)
            ],
        }
    )


def explain(root: Path, task: str, labels: Mapping[str, str], model: str) -> bytes:
    """The body of an answer to /explain: what the fresh forecast of one series rests on."""
    from tsf.stages.explain import explain_task

    found = explain_task(task, root, labels=labels, model_name=model, load=_kept_model, kept=_forecasts)
    _forget_old()
    [named], explanation = label_rows(found.reasons.series.labels), found.reasons.explanation
    hours = explanation.hours.tolist()
    return json_text(
        {
            "task": task,
            **_made_by(found.predicted),
            "labels": named,
            "title": title_of(named),
            "unit": found.reasons.unit,
            "predictions": found.predicted.forecast.at(0.5)[found.row],
            "past": [
                {"from_hours": older, "to_hours": newer, "moves_by": moved}
                for older, newer, moved in zip(hours, hours[1:], explanation.past[0], strict=False)
            ],
            "inputs": {name: moved[0] for name, moved in explanation.inputs.items()},
        }
    )


def _made_by(predicted: Predicted) -> dict[str, Any]:
    """What an answer says of its forecast: the model, the newest sample, and the moments that were forecast."""
    info, forecast = predicted.info, predicted.forecast
    return {
        "model": {"name": info.model, "version": info.version, "data_hash": info.data, "commit": info.commit},
        "origin": time_text(forecast.origin_seconds),
        "timestamps": [time_text(int(moment)) for moment in forecast.times],
    }


def plan(params: Mapping[str, Any], task: str, diff: str) -> bytes:
    """The body of an answer to /plan. params: all of params.yaml with the task as it would be."""
    from tsf.stages.preview import preview_task

    checked: Params = parse_params(params)
    settings = checked.task(task)
    seen = preview_task(checked, settings)
    shown = seen.series.take(seen.rows[:SHOWN_SERIES])
    return json_text(
        {
            "series": seen.series.n_series,
            "samples": seen.samples,
            "output_series": seen.output_series,
            "output_series_allowed": settings.push.max_series,
            "parameters": seen.parameters,
            "minutes": seen.minutes,
            "basis": seen.basis,
            "diff": diff,
            "source": seen.source,
            "labels": seen.label_values,
            "quality": {name: value for name, value in seen.quality.items() if name != "warnings"},
            "warnings": [*seen.quality["warnings"], *filter(None, [seen.warning])],
            "preview": {
                "unit": unit_of(settings.fetch.metric_query),
                "times": shown.times,
                "series": series_entries(shown, range(shown.n_series)),
            },
        }
    )


def write_rules(root: Path, task: str) -> None:
    """Write the rule file of `task` and its cases."""
    from tsf.stages.rules import write_rules

    write_rules(task, root)


_models: dict[tuple[str, int], Any] = {}
_forecasts: dict[tuple[Any, ...], Forecast] = {}


def _forget_old() -> None:
    """Let go of the oldest forecasts until what is kept has room."""
    sizes = {key: max(one.quantiles.nbytes, LEAST_BYTES) for key, one in _forecasts.items()}
    total = sum(sizes.values())
    for key, size in sizes.items():
        if total <= KEPT_BYTES:
            return
        total -= size
        del _forecasts[key]


def _kept_model(folder: Path) -> Any:
    """load_model, once per version: a folder's name is the hash of what is in it."""
    from tsf.stages.models import load_model

    key = (str(folder), folder.stat().st_mtime_ns)
    if key not in _models:
        if len(_models) >= 8:
            _models.pop(next(iter(_models)))
        _models[key] = load_model(folder)
    return _models[key]
