"""Windows of a SeriesSet, gathered on the device, and their scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tsf.errors import ModelError
from tsf.learn.features import calendar, day_steps, label_indices
from tsf.learn.network import Window
from tsf.learn.weeks import WEEKS, week_quantiles
from tsf.params import TrainParams
from tsf.series import SeriesSet, carried

__all__ = ["Scale", "Windows", "count_outliers", "device_name", "pick_device"]

KNEE = 4.0  # times the spread: what lies farther out is told apart only by its order of magnitude
BEND = 0.1  # share of the level below which the scale is linear, above which it is logarithmic
FLOOR = 1e-3  # a context that varies less than about this share of its level (or limit) counts as varying that much
TINY = 1e-30
FARTHEST = 5.0  # times its largest value, a series without a limit may grow within a horizon
OVERFLOW = 1.5  # times its limit, one with a limit may


class Scale(NamedTuple):
    """scaled = (bent - centre) / spread with bent = asinh(value / level), each (B, 1) float64; logarithmic past KNEE.

    Like a logarithm for values of the window's level, without its trouble at zero and below: quantiles survive it,
    daily waves keep their shape when the level grows, and a burst out of a quiet context does not outweigh all else.
    """

    level: Tensor
    centre: Tensor
    spread: Tensor
    edge: Tensor  # |bent| is cut here both ways: what lies beyond is no forecast but an overflow

    def scaled(self, values: Tensor) -> Tensor:
        """(B, T) or (B, T, Q) in the metric's unit -> scaled float64, NaN kept."""
        level, centre, spread, edge = self._along(values)
        far = (torch.asinh(values / level).clamp(-edge, edge) - centre) / spread
        return torch.where(far.abs() > KNEE, far.sign() * KNEE * (1 + (far.abs() / KNEE).log()), far)

    def unscaled(self, scaled: Tensor) -> Tensor:
        """The way back, (B, T) or (B, T, Q) -> float64."""
        level, centre, spread, edge = self._along(scaled)
        near = scaled.double()
        far = near.sign() * KNEE * (near.abs() / KNEE - 1).clamp(max=50).exp()
        return level * torch.sinh((centre + spread * torch.where(near.abs() > KNEE, far, near)).clamp(-edge, edge))

    def _along(self, values: Tensor) -> list[Tensor]:
        """All parts, shaped to meet `values`."""
        return [part.reshape(-1, *[1] * (values.dim() - 1)) for part in self]


class Windows:
    """All windows of a SeriesSet; data lie on the device once.

    A window is (row, origin): its context ends with step `origin`, its targets are the steps after it. Steps before
    the first one are missing.
    """

    def __init__(
        self,
        params: TrainParams,
        step_seconds: int,
        values: Tensor,
        limit: Tensor | None,
        covariates: Sequence[Tensor],
        calendar: Tensor,
        labels: Tensor,
    ) -> None:
        """Windows over (N, L - 1 + T) tensors on one device: the first context ends with column L - 1."""
        self.context, self.horizon = params.sequence_length, params.prediction_steps
        self.samples, self.levels, self.device = params.breach_samples, params.quantiles, values.device
        self.derived, self.day = params.derived, day_steps(step_seconds)
        self.values, self.limit, self.covariates = values, limit, covariates
        self.calendar, self.labels = calendar, labels

    @classmethod
    def of(
        cls,
        series: SeriesSet,
        params: TrainParams,
        vocabularies: Mapping[str, Sequence[str]],
        covariates: Sequence[str],
        device: torch.device,
    ) -> Windows:
        """Those of `series`, with L - 1 blank steps before the first one; limits are carried over gaps."""

        def padded(array: np.ndarray) -> Tensor:
            blank = np.full((len(array), params.sequence_length - 1), np.nan)
            return torch.from_numpy(np.concatenate([blank, array], axis=1)).to(device)

        unknown = np.full(series.values.shape, np.nan)
        steps = np.arange(1 - params.sequence_length, series.n_steps + params.prediction_steps)
        return cls(
            params,
            series.step_seconds,
            padded(series.values),
            None if series.limit is None else padded(carried(series.limit)),
            [padded(series.covariates.get(name, unknown)) for name in covariates],
            torch.from_numpy(calendar(series.times[0] + steps * series.step_seconds, params)).to(device),
            torch.from_numpy(label_indices(series, vocabularies)).to(device),
        )

    def gather(self, rows: Tensor, origins: Tensor, factors: Tensor | None = None) -> tuple[Window, Scale]:
        """B windows ready for the network; (B, L) `factors`, if any, multiply what was measured in their contexts."""
        past = origins[:, None] + torch.arange(self.context, device=self.device)  # (B, L) in padded steps
        values = self.values[rows[:, None], past]
        if factors is not None:
            values = values * factors
        seen = values.isfinite()
        limit = None if self.limit is None else self.limit[rows, origins + self.context - 1][:, None]
        scale = _scale(values, seen, limit)
        scaled = scale.scaled(values)
        extras = _derived(scaled, self.derived, min(self.day, self.context))
        for table in self.covariates:
            raw = table[rows[:, None], past]
            there = raw.isfinite()
            extras += [_scale(raw, there, None).scaled(raw).nan_to_num(0.0), there.to(raw.dtype)]
        if limit is not None:
            known = limit.isfinite() & (limit > 0)
            full = (values / limit).clamp(-2, 2)
            extras += [
                torch.where(known & seen, full, 0.0),
                torch.where(known, scale.scaled(limit), 0.0).expand(full.shape),
            ]
        known_steps = origins[:, None] + torch.arange(self.context + self.horizon, device=self.device)
        window = Window(
            scaled.nan_to_num(0.0).float(),
            seen.float(),
            torch.stack(extras, dim=2).float() if extras else values.new_zeros((*values.shape, 0), dtype=torch.float32),
            self.calendar[known_steps],
            self.labels[rows],
        )
        return window, scale

    def targets(self, rows: Tensor, origins: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H) values after each origin and (B, H) running maxima of the least of `breach_samples` in a row.

        NaN where nothing was measured, and in the maxima where no run of samples is complete yet.
        """
        ahead = torch.arange(1 - self.samples, self.horizon, device=self.device)
        values = self.values[rows[:, None], (origins[:, None] + self.context + ahead).clamp(min=0)]
        return self._with_peaks(values)

    def weeks(self, rows: Tensor, origins: Tensor, scale: Scale, week: int) -> tuple[Tensor, Tensor]:
        """(B, H, Q) scaled quantiles of the same hours of the last WEEKS, and of their running maxima as in `targets`.

        week: its steps. A horizon of more than a week goes through each week again. NaN where too little is known.
        """
        ahead = torch.arange(1 - self.samples, self.horizon, device=self.device)
        back = week * torch.arange(1, WEEKS + 1, device=self.device)
        within = torch.where(ahead > 0, ahead % week, ahead)
        at = (origins + self.context)[:, None, None] + within - back[:, None]
        values = self.values[rows[:, None, None], at.clamp(min=0)]
        steps, peaks = self._with_peaks(torch.where(at >= 0, values, torch.nan))
        return scale.scaled(week_quantiles(steps, self.levels)), scale.scaled(week_quantiles(peaks, self.levels))

    def _with_peaks(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(..., samples - 1 + H) -> (..., H) without the steps before, and the running maxima of the runs."""
        runs = values.nan_to_num(-torch.inf).unfold(-1, self.samples, 1).amin(-1)
        peaks = runs.cummax(-1).values
        return values[..., self.samples - 1 :], torch.where(peaks.isinf(), torch.nan, peaks)


def count_outliers(values: np.ndarray) -> int:
    """How many of (N, T) values, NaN for missing, lie beyond KNEE spreads of their own series: these are compressed."""
    table = torch.tensor(values)  # a copy: those of a SeriesSet cannot be written
    away = _scale(table, table.isfinite(), None).scaled(table).abs()
    return int((away > KNEE).sum())


def _derived(scaled: Tensor, names: Sequence[str], day: int) -> list[Tensor]:
    """Inputs made of the (B, L) scaled context, NaN where missing: (B, L) each.

    rate: the change since the step before, 0 where one of the two is missing. burst: the largest rise from one step to
    the next in the last `day` steps, 0 where nothing rose.
    """
    if not names:
        return []
    rate = scaled.diff(dim=1, prepend=scaled[:, :1]).nan_to_num(0.0)
    rises = functional.pad(rate.clamp(min=0.0), (day - 1, 0))
    made = {"rate": rate, "burst": functional.max_pool1d(rises[:, None], day, 1)[:, 0]}
    return [made[name] for name in names]


def _scale(values: Tensor, seen: Tensor, limit: Tensor | None) -> Scale:
    """The scale of each (B, L) window; `limit` (B, 1) keeps a nearly empty quota from looking wild."""
    count = seen.sum(1, keepdim=True).clamp(min=1)
    size = torch.where(seen, values.abs(), 0.0).sum(1, keepdim=True) / count
    level = (BEND * size).clamp(min=TINY)
    bent = torch.where(seen, torch.asinh(values / level), 0.0)
    centre = bent.sum(1, keepdim=True) / count
    spread = torch.where(seen, (bent - centre).abs(), 0.0).sum(1, keepdim=True) / count
    least = torch.full_like(spread, FLOOR)
    most = FARTHEST * torch.where(seen, values.abs(), 0.0).amax(1, keepdim=True)
    if limit is not None:
        most = torch.where(limit > 0, torch.maximum(most / FARTHEST, OVERFLOW * limit), most)
        share = (limit.nan_to_num(0.0) / size.clamp(min=TINY)).clamp(1.0, 1_000.0)
        least = FLOOR * share
    return Scale(level, centre, torch.maximum(spread, least), torch.asinh(most / level))


def pick_device(name: str) -> torch.device:
    """`auto` is the first GPU that this process may see, else the CPU. Raises ModelError for an absent GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "there is no CUDA device", where="train.device", cure="choose auto or cpu, or run `tsf doctor`"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(name: str) -> str:
    """What `pick_device` picks, in words. Raises what it raises."""
    device = pick_device(name)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
