"""Series and forecasts of every kind that the words allow, for property tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from tsf.series import Forecast, SeriesSet

__all__ = ["forecasts", "label_columns", "label_names", "series_sets", "texts"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
label_names = st.from_regex(r"\A[a-zA-Z_][a-zA-Z0-9_]{0,5}\Z")


def bits(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.float64]]:
    """Any finite float64 and any NaN, of which there are many."""
    raw = st_numpy.arrays(np.uint64, shape, elements=st.integers(0, 2**64 - 1))
    return raw.map(lambda array: array.view(np.float64)).map(lambda array: np.where(np.isinf(array), np.nan, array))


@st.composite
def label_columns(draw: st.DrawFn, n: int, avoid: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Columns of labels whose n rows differ."""
    names = draw(st.lists(label_names.filter(lambda name: name not in avoid), min_size=1, max_size=4, unique=True))
    rows = draw(st.lists(st.tuples(*[texts] * len(names)), min_size=n, max_size=n, unique=True))
    return {name: np.array([row[i] for row in rows], object) for i, name in enumerate(names)}


@st.composite
def series_sets(draw: st.DrawFn) -> SeriesSet:
    """Any SeriesSet of a few series and steps."""
    n, t = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    step = draw(st.integers(1, 100_000))
    start = draw(st.integers(-(10**9), 4 * 10**9))  # what pandas can show, too
    own = frozenset({"time", "times", "value", "values", "limit"})
    labels = draw(label_columns(n, own))
    covariates = draw(
        st.lists(label_names.filter(lambda name: name not in own | labels.keys()), max_size=2, unique=True)
    )
    return SeriesSet(
        labels=labels,
        times=start + step * np.arange(t),
        step_seconds=step,
        values=draw(bits((n, t))),
        limit=draw(st.none() | bits((n, t))),
        covariates={name: draw(bits((n, t))) for name in covariates},
    )


@st.composite
def forecasts(draw: st.DrawFn) -> Forecast:
    """Any Forecast of a few series, steps and levels."""
    n, horizon, q = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    levels = sorted(draw(st.lists(st.floats(0.001, 0.999), min_size=q, max_size=q, unique=True)))
    quantiles = np.sort(draw(st_numpy.arrays(np.float64, (n, horizon, q), elements=st.floats(-1e300, 1e300))), axis=2)
    abstained = draw(st.lists(st.just("") | texts, min_size=n, max_size=n))
    quantiles[np.array(abstained, object) != ""] = np.nan
    moments = st.floats(0, 1e12) | st.just(np.inf) | st.just(np.nan)
    return Forecast(
        labels=draw(label_columns(n)),
        origin_seconds=draw(st.integers(0, 10**10)),
        step_seconds=draw(st.integers(1, 100_000)),
        levels=np.array(levels),
        quantiles=quantiles,
        p_breach=draw(st.none() | bits((n, horizon))),
        limit_time=draw(st.none() | st_numpy.arrays(np.float64, (n,), elements=moments)),
        abstained=np.array(abstained, object),
        model_version=draw(texts),
        data_hash=draw(texts),
    )
