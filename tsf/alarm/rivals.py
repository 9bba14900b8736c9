"""The rules that people use today, one small expression each, evaluated at every step of a history.

A rule's condition is a (N, T) mask over a History; it sees nothing later than the step it stands at. Rules that are
PromQL carry that text, and their conditions are what Prometheus says at the times of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from tsf.kinds import AlertLine
from tsf.series import carried

__all__ = ["PRODUCTION", "USES_FORECAST", "History", "Rule", "breach_rule", "default_rules", "evaluate_rule", "firing",
           "rolling_linear", "run_lengths"]  # fmt: skip

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
PRODUCTION = "predict_linear 6h to 12h"
CONFIRMED, RESIDUAL = f"{PRODUCTION}, confirmed", "residual"
USES_FORECAST = {CONFIRMED, RESIDUAL}  # no rivals of the forecast
SHARD = 256  # series at a time, so that the arrays stay in the processor's cache


@dataclass(frozen=True, eq=False)
class History:
    """What rules look at: N series over T steps.

    used, limit: (N, T), NaN where missing; line: where the limit counts as reached, which is a breach. horizon_steps:
    how far ahead breaches count. chance: (N, T) breach probability within the horizon as last forecast, middle: (N, T)
    the forecast median `middle_seconds` ahead, upper: (N, T) the high quantile that the forecast before this step had
    said for it. All three are NaN where there was no forecast. left_open: range selectors are those of Prometheus 3.
    """

    used: Floats
    limit: Floats
    step_seconds: int
    line: AlertLine
    horizon_steps: int = 24
    chance: Floats | None = None
    middle: Floats | None = None
    upper: Floats | None = None
    left_open: bool = False

    @property
    def share(self) -> Floats:
        """(N, T) used / limit, NaN without a limit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.limit > 0, self.used / self.limit, np.nan)

    @property
    def level(self) -> Floats:
        """(N, T) what must be used for the limit to count as reached."""
        return self.line.level(self.limit)

    @property
    def line_share(self) -> Floats:
        """(N, T) the same as a share of the limit."""
        return self.line.shares(self.limit)

    @property
    def over(self) -> Bools:
        """(N, T) whether the line is reached now."""
        return np.asarray(self.used >= self.level)

    def linear(self, values: Floats, window_seconds: int, ahead_seconds: float) -> Floats:
        """(N, T) what `predict_linear(values[window], ahead)` says at each step."""
        return rolling_linear(values, self.step_seconds, window_seconds, ahead_seconds, left_open=self.left_open)

    def shards(self) -> Iterator[History]:
        """The same history, a few series at a time."""
        arrays = {part.name: getattr(self, part.name) for part in fields(self)}
        arrays = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
        for start in range(0, len(self.used), SHARD):
            yield replace(self, **{name: array[start : start + SHARD] for name, array in arrays.items()})


@dataclass(frozen=True)
class Rule:
    """An alert rule: its condition, for how long it must hold, and the PromQL that it is, if any.

    In `promql`, `used` and `limit` stand for the two metrics, `free` for limit - used, `share` for used / limit.
    """

    name: str
    condition: Callable[[History], Bools] = field(compare=False)
    for_seconds: int = 0
    promql: str = ""


def evaluate_rule(rule: Rule, history: History) -> Bools:
    """(N, T) where the rule fires: its condition has held at every step for at least `for`, as Prometheus counts it."""
    steps = -(-rule.for_seconds // history.step_seconds)
    return np.concatenate([firing(rule.condition(part), steps) for part in history.shards()])


def firing(condition: Bools, for_steps: int) -> Bools:
    """(N, T) where `condition` has held at this step and the `for_steps` before it."""
    return run_lengths(condition) > for_steps


def run_lengths(mask: Bools) -> NDArray[np.int64]:
    """(N, T) how many steps in a row up to this one are True."""
    steps = np.arange(1, mask.shape[1] + 1)
    return steps - np.maximum.accumulate(np.where(mask, 0, steps), axis=1)


def breach_rule(threshold: float, for_seconds: int = 0, gate: float = 0.0, name: str = "tsf") -> Rule:
    """Ours: the forecast probability of a breach within the horizon is at least `threshold`.

    gate: share of the limit that must be in use, by the newest sample there is.
    """

    def condition(h: History) -> Bools:
        if h.chance is None:
            return np.zeros(h.used.shape, bool)
        return np.asarray((h.chance >= threshold) & (carried(h.share) >= gate))

    return Rule(name, condition, for_seconds)


def default_rules(line: AlertLine) -> tuple[Rule, ...]:
    """The rivals: production rules, the mixins' rules with their gates, and simple forecasts; `line` as in History."""
    level, share = f"{line.share:g} * limit", f"{line.share:g}"
    if line.left is not None:
        level = f"(clamp_min(limit - {line.left!r}, 0) < {level} or {level})"  # the lesser of the two
        share = f"clamp(1 - {line.left!r} / limit, 0, {share})"
    production = f"predict_linear(share[6h], 43200) > {share}"
    return (
        Rule("predict_linear 12h to 6h", lambda h: h.linear(h.used, 12 * HOUR, 6 * HOUR) >= h.level, 0,
             f"predict_linear(used[12h], 21600) >= {level}"),
        Rule(PRODUCTION, _production, 0, production),
        Rule(CONFIRMED, lambda h: _production(h) & _confirmed(h)),
        Rule("node-mixin, 24 h, under 40 % free",
             lambda h: (1 - h.share < 0.4) & (h.linear(h.limit - h.used, 6 * HOUR, 24 * HOUR) < 0), HOUR,
             "free / limit < 0.4 and predict_linear(free[6h], 86400) < 0"),
        Rule("node-mixin, 4 h, under 20 % free",
             lambda h: (1 - h.share < 0.2) & (h.linear(h.limit - h.used, 6 * HOUR, 4 * HOUR) < 0), HOUR,
             "free / limit < 0.2 and predict_linear(free[6h], 14400) < 0"),
        Rule("kubernetes-mixin, 4 days, under 15 % free",
             lambda h: (1 - h.share < 0.15) & (h.linear(h.limit - h.used, 6 * HOUR, 4 * DAY) < 0), HOUR,
             "free / limit < 0.15 and predict_linear(free[6h], 345600) < 0"),
        Rule("kubernetes-mixin, under 3 % free", lambda h: 1 - h.share < 0.03, 60, "free / limit < 0.03"),
        Rule("static 95 %", lambda h: h.share > 0.95, 0, "used / limit > 0.95"),
        Rule("last value", lambda h: h.over, 0, f"used >= {level}"),
        Rule("seasonal naive", lambda h: _season_ago(h) >= h.level),
        Rule("climatology", lambda h: _climatology(h) >= 0.5),
        Rule("Brownian risk", lambda h: _brownian(h) >= 0.5),
        Rule(RESIDUAL, lambda h: np.zeros(h.used.shape, bool) if h.upper is None else h.used > h.upper),
    )  # fmt: skip


def _production(h: History) -> Bools:
    return np.asarray(h.linear(h.share, 6 * HOUR, 12 * HOUR) > h.line_share)


def _confirmed(h: History) -> Bools:
    return np.zeros(h.used.shape, bool) if h.middle is None else np.asarray(h.middle > h.level)


def rolling_linear(
    values: Floats, step_seconds: int, window_seconds: int, ahead_seconds: float, *, left_open: bool = False
) -> Floats:
    """(N, T) `predict_linear` at every step of (N, T) values, NaN where Prometheus gives nothing.

    Least squares over the samples of the window, x relative to the time of evaluation, at least two samples; a constant
    window gives itself. https://prometheus.io/docs/prometheus/latest/querying/functions/
    """
    n, total = values.shape
    count = -(-window_seconds // step_seconds) if left_open else window_seconds // step_seconds + 1
    seen = np.isfinite(values)
    centre = np.where(seen.any(1), np.nanmax(np.where(seen, values, -np.inf), axis=1), 0.0)[:, None]
    y, there = np.where(seen, values - centre, 0.0), seen.astype(np.float64)
    sums = np.zeros((5, n, total))  # 1, x, y, xx, xy; x in steps keeps them small
    low, high = np.full((n, total), np.inf), np.full((n, total), -np.inf)
    for back in range(min(count, total)):
        now, then = slice(back, total), slice(0, total - back)
        sums[0, :, now] += there[:, then]
        sums[1, :, now] -= back * there[:, then]
        sums[2, :, now] += y[:, then]
        sums[3, :, now] += back**2 * there[:, then]
        sums[4, :, now] -= back * y[:, then]
        low[:, now] = np.fmin(low[:, now], np.where(seen[:, then], values[:, then], np.inf))
        high[:, now] = np.fmax(high[:, now], np.where(seen[:, then], values[:, then], -np.inf))
    ones, x, ysum, xx, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (ones * xy - x * ysum) / (ones * xx - x**2)
        said = centre + ysum / ones + slope * (ahead_seconds / step_seconds - x / ones)
    said = np.where(low == high, low, said)
    return np.where(ones >= 2, said, np.nan)


def _season_ago(h: History) -> Floats:
    """(N, T) the highest value of the coming horizon as it was one week ago, or one day ago in a short history."""
    n, total = h.used.shape
    period = next((p // h.step_seconds for p in (WEEK, DAY) if h.horizon_steps <= p // h.step_seconds < total // 2), 0)
    found = np.full((n, total), np.nan)
    if not period:
        return found
    known = np.where(np.isfinite(h.used), h.used, -np.inf)
    peaks = np.lib.stride_tricks.sliding_window_view(known, h.horizon_steps, axis=1).max(2)  # (N, T - H + 1)
    found[:, period - 1 :] = peaks[:, : total - period + 1]  # at t: t - period + 1 ... t - period + H
    return found


def _climatology(h: History) -> Floats:
    """(N, T) share of the windows of the last week, those that are over by now, that began below the line and met it.

    The constants are a weak prior: without a window that counts it says 2 %.
    """
    horizon, last = h.horizon_steps, max(WEEK // h.step_seconds, 2 * h.horizon_steps)
    met = _past_sum(h.over, horizon) > 0  # in the H steps up to t
    began = np.zeros(h.used.shape, bool)
    began[:, horizon:] = (h.used < h.level)[:, :-horizon]
    return (_past_sum(met & began, last) + 0.02) / (_past_sum(began, last) + 1.0)


def _brownian(h: History) -> Floats:
    """(N, T) chance that a Brownian motion with the drift and spread of the last steps meets the line in the horizon.

    First passage in closed form, as in Kumar and Chamness, Stochastic Estimated Risk, arXiv:1901.10552.
    """
    last = max(DAY // h.step_seconds, 30)
    filled = carried(h.used)  # NaN before the first sample, which is no move
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.nan_to_num(np.diff(filled, axis=1, prepend=filled[:, :1]) / h.limit, posinf=0.0, neginf=0.0)
    mean = _past_sum(moves, last) / last
    spread = np.sqrt(np.maximum(_past_sum(moves**2, last) / last - mean**2, 0.0)) + 1e-9
    room = h.line_share - h.share
    reach = spread * np.sqrt(h.horizon_steps)
    drift = mean * h.horizon_steps
    with np.errstate(over="ignore", invalid="ignore"):
        again = np.exp(np.clip(2 * mean * room / spread**2, -700, 50)) * _normal_cdf((-room - drift) / reach)
        return np.asarray(np.clip(_normal_cdf((drift - room) / reach) + again, 0, 1))


def _past_sum(values: NDArray[np.generic], steps: int) -> Floats:
    """(N, T) sum over this step and the `steps` - 1 before it."""
    total = np.cumsum(values, axis=1, dtype=np.float64)
    total[:, steps:] = total[:, steps:] - total[:, :-steps]
    return total


def _normal_cdf(z: Floats) -> Floats:
    """Phi by formula 26.2.17 of Abramowitz and Stegun; the error is below 8e-8."""
    t = 1 / (1 + 0.2316419 * np.abs(z))
    powers = 0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429
    tail = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * sum(c * t ** (i + 1) for i, c in enumerate(powers))
    return np.asarray(np.where(z >= 0, 1 - tail, tail))
