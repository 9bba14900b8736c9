"""Explain: which past hours and which inputs the forecast of a series rests on, and how far each moves its median."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from tsf.errors import HistoryError, ModelError, ParamsError
from tsf.kinds import figure_text, moment_text, span_text
from tsf.learn import Forecasting, Model
from tsf.learn.explain import Explanation, explain
from tsf.promql import matchers_text
from tsf.series import Floats, Forecast, SeriesSet, label_rows, title_of
from tsf.stages.models import load_model
from tsf.stages.predict import Predicted, predict_task
from tsf.units import Unit, amount_text

__all__ = ["Explained", "Reasons", "explain_task", "reasons_of"]


@dataclass(frozen=True, eq=False)
class Reasons:
    """How far the median of each of N `series` moves without a part of what the model saw. unit: of its values."""

    series: SeriesSet
    explanation: Explanation
    unit: Unit = ""

    @property
    def names(self) -> list[str]:
        """(N,) the series as people name them."""
        return [title_of(row) for row in label_rows(self.series.labels)]

    @property
    def spans(self) -> list[str]:
        """(P,) the parts of the past in words, the oldest first."""
        edges = [span_text(hours * 3600) for hours in self.explanation.hours.tolist()]
        older = [f"what lay {old} to {new} back" for old, new in pairwise(edges[:-1])]
        return [*older, f"the newest {edges[-2]}"]

    @property
    def shares(self) -> pd.DataFrame:
        """A row per input, the heaviest first: how far forecasts move without it, as a share of the value's size.

        The mean over the series, and the same of the one that moves most.
        """
        past = self.explanation.past
        newest = max(1, past.shape[1] // 10)
        moves = {"the newest tenth of the past": past[:, -newest:].max(axis=1)} | dict(self.explanation.inputs)
        if past.shape[1] > newest:
            moves["any other part of the past"] = past[:, :-newest].max(axis=1)
        size = self._sizes
        told = {name: pd.Series(moved / size) for name, moved in moves.items()}  # which pass over what is nowhere known
        rows = {name: (share.mean(), share.max()) for name, share in told.items()}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["moves by", "at most"])
        return frame.sort_values("moves by", ascending=False).map(figure_text, form=".2%").rename_axis("without")

    def past_shares(self, rows: Sequence[int] | None = None) -> pd.DataFrame:
        """How far each part of the past moves the forecast, as a share: hours before the origin as the index.

        The mean of all series, if there are several, then a column for each of `rows`, by default all.
        """
        shares, names = self.explanation.past / self._sizes[:, None], self.names
        frame = {"on average": pd.DataFrame(shares).mean().to_numpy()} if len(shares) > 1 else {}
        frame |= {names[row]: shares[row] for row in (range(len(names)) if rows is None else rows)}
        return pd.DataFrame(frame, index=pd.Index(self.explanation.hours[:-1], name="hours before"))

    def heaviest(self, n: int) -> pd.DataFrame:
        """Of each series the `n` parts and inputs that move its median most, in the unit of its values."""
        hidden = [*self.spans, *self.explanation.inputs]
        moved = np.column_stack([self.explanation.past, *self.explanation.inputs.values()])  # (N, P + inputs)
        order = np.argsort(-moved, axis=1, kind="stable")[:, :n]
        cells = [
            (name, hidden[place], amount_text(moved[row, place], self.unit))
            for row, name in enumerate(self.names)
            for place in order[row]
        ]
        return pd.DataFrame(cells, columns=["series", "without", "median moves by"]).set_index("series")

    @property
    def _sizes(self) -> Floats:
        known = np.isfinite(self.series.values)
        mean = np.where(known, np.abs(self.series.values), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return np.where(mean > 0, mean, np.nan)


@dataclass(frozen=True)
class Explained:
    """A forecast from the newest samples, and why that of its series `row` is what it is."""

    predicted: Predicted
    row: int
    reasons: Reasons

    @property
    def summary(self) -> str:
        """One sentence: which forecast this is, and what it rests on most."""
        forecast, heaviest = self.predicted.forecast, self.reasons.heaviest(1).iloc[0]
        ahead = span_text(forecast.quantiles.shape[1] * forecast.step_seconds)
        origin = moment_text(forecast.origin_seconds)
        return (
            f"{self.reasons.names[0]}: without {heaviest['without']} the median of the next {ahead} from {origin} by "
            f"{self.predicted.info.model} would be {heaviest['median moves by']} elsewhere on average."
        )


def reasons_of(predicted: Predicted, rows: Sequence[int]) -> Reasons:
    """Why the forecasts of these rows are what they are; only they are computed again.

    Raises ModelError for those of an exported model.
    """
    if not isinstance(predicted.model, Model):
        raise ModelError("an exported model cannot be explained", cure="explain the one that it was made of")
    series = predicted.context.take(list(rows))
    return Reasons(series, explain(predicted.model, series), predicted.urgency.unit)


def explain_task(
    name: str,
    root: Path | None = None,
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
    model_name: str = "champion",
    load: Callable[[Path], tuple[Forecasting, dict[str, Any]]] = load_model,
    kept: MutableMapping[tuple[Any, ...], Forecast] | None = None,
) -> Explained:
    """Forecast task `name` from its newest samples, and explain one series; writes nothing.

    labels: those that only it has; without any it is the most urgent one that has a forecast. load, kept: see
    `predict_task`. Raises TsfError, also where none or several series have these labels, or it has no forecast.
    """
    predicted = predict_task(name, root, labels=labels, model_name=model_name, with_totals=False, load=load, kept=kept)
    if labels and predicted.context.n_series > 1:
        some = " or ".join(matchers_text(row) for row in label_rows(predicted.context.take([0, 1]).labels))
        what = f"{predicted.context.n_series:,} series have {matchers_text(labels)}"
        raise ParamsError(what, where="labels", cure=f"name one of them, such as {some}")
    reasons = predicted.why_silent
    row = next((row for row in predicted.urgent_rows if not reasons[row]), None)
    if row is None:
        what = f"{title_of(label_rows(predicted.context.labels)[0])} has no forecast that could be explained"
        raise HistoryError(f"{what} ({reasons[0]})", where="labels", cure="choose another one")
    return Explained(predicted, row, reasons_of(predicted, [row]))
