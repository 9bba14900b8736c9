"""Fitting the breach head of a trained model to the history that the model learnt from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tsf.learn.breach import BreachHead, fit_head
from tsf.learn.breach_inputs import anchors, breach_features, known_values, met_by, past_of, season_steps
from tsf.learn.forecast import exceedance, least_context, rolling_answers
from tsf.learn.model import Model
from tsf.learn.places import judged_steps
from tsf.series import Floats, SeriesSet, carried

__all__ = ["fit_breach"]

LINES = (0.7, 0.8, 0.9, 0.95, 0.98, 1.0)  # shares of the limit; more than one, as breaches of the last alone are rare
MOST_WINDOWS = 40_000


def fit_breach(model: Model, series: SeriesSet) -> Model:
    """`model` with a breach head, learnt on `series`, all of which must lie before every origin it will be used at.

    A model without a limit, or whose series hardly ever came near to theirs, is returned as it is.
    """
    if series.limit is None:
        return model
    head = _fit(replace(model, breach=None), series, carried(series.limit))
    return replace(model, breach=head)


def _fit(model: Model, series: SeriesSet, limit: Floats) -> BreachHead | None:
    params, total = model.params, series.n_steps
    length, horizon, samples = params.sequence_length, params.prediction_steps, model.params.breach_samples
    steps, season = anchors(horizon), season_steps(series.step_seconds)
    judged = judged_steps(total, horizon, series.step_seconds)
    first, last = min(length, max(least_context(params), total // 3)) - 1, total - horizon - 1
    count = int(np.clip(MOST_WINDOWS // series.n_series, 16, 96))
    origins = np.unique(np.linspace(first, last, count).astype(int))
    features, events, held, rows = [], [], [], np.arange(series.n_series)
    places = origins.tolist()
    answers = rolling_answers(model, series, places, with_peaks=True)
    for origin, (_, peaks, _, _) in zip(places, answers, strict=True):
        assert peaks is not None  # noqa: S101 - asked for
        past = past_of(series.values, rows, np.full(len(rows), origin), length, horizon, series.step_seconds)
        newest = known_values(past.values)[:, -samples:].min(1)
        ahead = series.values[:, max(origin + 2 - samples, 0) : origin + 1 + horizon]
        for line in LINES:
            threshold = line * limit[:, origin]
            reached = newest >= threshold  # by the last `samples` values: then the breach has come already
            known = np.isfinite(peaks[:, 0, 0]) & np.isfinite(threshold) & ~reached & np.isfinite(ahead).any(1)
            if not known.any():
                continue
            chance = exceedance(peaks[known], np.array(params.quantiles), threshold[known])
            features.append(
                breach_features(chance[:, steps - 1], past.take(known), threshold[known], steps, season, samples, line)
            )
            events.append(met_by(ahead[known], threshold[known], samples, horizon)[:, steps - 1])
            held.append(np.full(int(known.sum()), origin + horizon >= total - judged))
    if not features:
        return None
    spacing = (last - first) / max(len(origins) - 1, 1)
    worth = min(1.0, spacing / horizon) / len(LINES)
    table, came, new = (np.concatenate(parts) for parts in (features, events, held))
    return fit_head(table, came, new, worth)
