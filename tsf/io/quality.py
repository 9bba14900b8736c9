"""What is missing, broken or odd in fetched series, counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tsf.series import Floats, SeriesSet

__all__ = ["Quality", "measure_quality"]


@dataclass(frozen=True)
class Quality:
    """Counts over a SeriesSet of N series and T steps; `dataclasses.asdict` makes it JSON.

    missing: samples without a value; each of them counts in exactly one of late_start_samples (before a series' first
    value), early_end_samples (after its last), gap_samples (in between) and empty_series x T (no value at all).
    late_starts, early_ends, gaps: how many of them there are; longest_gap_seconds: from value to value, 0 without gaps.
    nan_samples, infinite_samples: what the server sent as NaN and as infinite or beyond 1e300; they are missing.
    resets: values below half of the positive value before them (over a gap, too): deletes, restarts, emptied caches.
    without_limit: series that found no limit although there is one. limit_missing: samples of the other series whose
    limit is unknown at that time.
    warnings: sentences, the server's own ones included.
    """

    n_series: int
    n_steps: int
    missing: int
    empty_series: int
    late_starts: int
    late_start_samples: int
    early_ends: int
    early_end_samples: int
    gaps: int
    gap_samples: int
    longest_gap_seconds: int
    nan_samples: int
    infinite_samples: int
    resets: int
    without_limit: int
    limit_missing: int
    warnings: tuple[str, ...] = ()


def measure_quality(
    series: SeriesSet,
    *,
    nan_samples: int = 0,
    infinite_samples: int = 0,
    without_limit: int = 0,
    warnings: Iterable[str] = (),
) -> Quality:
    """Count what is missing in `series`; the keywords say what only the source knows."""
    present = ~np.isnan(series.values)  # (N, T)
    filled = present.any(axis=1)  # (N,)
    late = np.where(filled, present.argmax(axis=1), 0)
    early = np.where(filled, present[:, ::-1].argmax(axis=1), 0)
    missing = int(present.size - present.sum())
    empty = int((~filled).sum())
    ends = int((present[:, :-1] & ~present[:, 1:]).sum())  # where a value is followed by none
    limit_missing = 0
    if series.limit is not None:
        unknown = np.isnan(series.limit)
        limit_missing = int((unknown & present)[~unknown.all(axis=1)].sum())
    return Quality(
        n_series=series.n_series,
        n_steps=series.n_steps,
        missing=missing,
        empty_series=empty,
        late_starts=int((late > 0).sum()),
        late_start_samples=int(late.sum()),
        early_ends=int((early > 0).sum()),
        early_end_samples=int(early.sum()),
        gaps=ends - int((early > 0).sum()),
        gap_samples=missing - int(late.sum()) - int(early.sum()) - empty * series.n_steps,
        longest_gap_seconds=max(_longest_gap(row) for row in present) * series.step_seconds,
        nan_samples=nan_samples,
        infinite_samples=infinite_samples,
        resets=sum(_resets(row[here]) for row, here in zip(series.values, present, strict=True)),
        without_limit=without_limit,
        limit_missing=limit_missing,
        warnings=tuple(warnings),
    )


def _longest_gap(present: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """Steps from one value to the next where there are others in between, else 0."""
    distances = np.diff(np.flatnonzero(present))
    longest = int(distances.max(initial=0))
    return longest if longest > 1 else 0


def _resets(values: Floats) -> int:
    before, after = values[:-1], values[1:]
    return int(((before > 0) & (after < before / 2)).sum())
