"""What a context says of the future without learning: naive forecasts, their errors, and how still it stands."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Naives", "stillness"]

SMALLEST = 0.02  # an error inside the context below this counts as this, in scaled units
CHANGED = 1e-4  # scaled values that differ by less are the same


class Naives(nn.Module):
    """The forecasts that need no learning, and how wrong each kind was inside the context.

    Last value; last value and the slope of the context; and for each season its last turn, its mean turn, and its last
    turn moved by how much the last step and the last segment lie above those one season earlier. What is moved stays
    within what the context has seen: scaled values are logarithms, on which a peak grows with its level.
    """

    def __init__(self, context: int, horizon: int, segment: int, seasons: tuple[int, ...]) -> None:
        super().__init__()
        self.context, self.horizon, self.seasons = context, horizon, seasons
        self.lags = (min(segment, context - 1), *seasons)
        self.moves = [
            [size for size in dict.fromkeys((1, segment)) if size <= min(season, context - season)]
            for season in seasons
        ]
        kinds = [0, 0]  # the lag whose error stands for each forecast
        for number, season in enumerate(seasons):
            kinds += [number + 1] * (1 + (context // season > 1) + len(self.moves[number]))
        self.kinds: Tensor
        self.register_buffer("kinds", torch.tensor(kinds), persistent=False)

    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """(B, L), (B, L) -> (B, H, C); what is missing falls back on the last value seen."""
        index = torch.arange(self.context, device=values.device)
        newest = torch.where(seen > 0, index, 0).amax(1, keepdim=True)
        last = values.gather(1, newest)  # (B, 1)
        ahead = torch.arange(self.horizon, device=values.device)
        slope = _slope(values, seen)
        lowest, highest = values.amin(1, keepdim=True), values.amax(1, keepdim=True)  # what is missing is 0, the centre
        found = [last.expand(-1, self.horizon), last + slope * (ahead + self.context - newest)]
        for season, moves in zip(self.seasons, self.moves, strict=True):
            count = self.context // season
            turns, there = (part[:, -count * season :].unflatten(1, (count, season)) for part in (values, seen))
            turn = torch.where(there[:, -1] > 0, turns[:, -1], last)[:, ahead % season]
            found.append(turn)
            if count > 1:
                mean = (turns * there).sum(1) / there.sum(1).clamp(min=1)
                found.append(torch.where(there.sum(1) > 0, mean, last)[:, ahead % season])
            rises = [self._rise(values, seen, season, size) for size in moves]
            found += [torch.minimum(torch.maximum(turn + rise, lowest), highest) for rise in rises]
        return torch.stack(found, dim=2)

    def _rise(self, values: Tensor, seen: Tensor, season: int, size: int) -> Tensor:
        """(B, 1) mean of the last `size` steps above that of one season earlier; 0 where one is unknown."""
        means, counts = [], []
        for end in (self.context, self.context - season):
            there = seen[:, end - size : end]
            counts.append(there.sum(1, keepdim=True))
            means.append((values[:, end - size : end] * there).sum(1, keepdim=True) / counts[-1].clamp(min=1))
        return torch.where((counts[0] > 0) & (counts[1] > 0), means[0] - means[1], 0.0)

    def errors(self, values: Tensor, seen: Tensor) -> Tensor:
        """(B, K) logarithm of the mean absolute difference at each lag of the context; NaN for fewer than 4 pairs."""
        found = []
        for lag in self.lags:
            pairs = seen[:, lag:] * seen[:, :-lag]
            count = pairs.sum(1)
            mean = ((values[:, lag:] - values[:, :-lag]).abs() * pairs).sum(1) / count.clamp(min=1)
            found.append(torch.where(count >= 4, mean.clamp(min=SMALLEST).log(), torch.nan))
        return torch.stack(found, dim=1)


def stillness(values: Tensor, seen: Tensor) -> Tensor:
    """(B, L), (B, L) -> (B, 2): the share of values that are as the one before, and how long nothing has changed.

    Memory that is reserved and released stands still between jumps; what jumped an hour ago may fall back, what has
    stood for a day stays. The length is on a logarithmic scale, from 0 for one step to 1 for the context.
    """
    length = values.shape[1]
    index = torch.arange(length, device=values.device)
    known = values.gather(1, torch.where(seen > 0, index, 0).cummax(1).values)  # across gaps
    first = (seen.cumsum(1) == 0).sum(1)
    later = (index[1:] > first[:, None]) * seen[:, 1:]
    changed = ((known[:, 1:] - known[:, :-1]).abs() > CHANGED) * later
    newest = torch.maximum((changed * index[1:]).amax(1), first)
    share = 1 - changed.sum(1) / later.sum(1).clamp(min=1)
    return torch.stack([share, (length - newest).clamp(min=1).log() / math.log(length)], dim=1)


def _slope(values: Tensor, seen: Tensor) -> Tensor:
    """(B, 1) least-squares slope per step."""
    steps = torch.arange(values.shape[1], device=values.device, dtype=values.dtype)
    count = seen.sum(1, keepdim=True).clamp(min=1)
    away = seen * (steps - (seen * steps).sum(1, keepdim=True) / count)
    return (away * values).sum(1, keepdim=True) / away.square().sum(1, keepdim=True).clamp(min=1)
