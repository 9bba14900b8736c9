"""The same hours of earlier weeks as a forecast of their own, and the share of it that the final forecast takes.

Contexts hold a week or two, and a network that learns from a few series over-fits what they write once a week. The
quantiles of the last weeks cannot; averaged with those of the network they are better than either wherever life goes
by the week (Lichtendahl, Grushka-Cockayne, Winkler: Is It Better to Average Probabilities or Quantiles?, 2013).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["WEEKS", "averaged", "fit_share", "week_quantiles"]

WEEKS = 8  # the newest ones, whose same hours are read
LEAST = 4  # of them must be known, else the network speaks alone
SHARES = 20  # equal steps from 0 to 1 that are tried
ENOUGH = 0.9  # of what the best share gains: the smallest share that does is taken


def week_quantiles(weeks: Tensor, levels: tuple[float, ...]) -> Tensor:
    """(B, K, H) values of K weeks, NaN where unknown -> (B, H, Q), NaN where fewer than LEAST are known.

    Linear between the order statistics, the i-th of n at i / (n + 1): the chance that a new value of their kind lies
    below it (Weibull's positions; type 6 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996).
    """
    count = weeks.isfinite().sum(1)[..., None]  # (B, H, 1)
    last = (count - 1).clamp(min=0)
    ordered = weeks.nan_to_num(torch.inf).sort(dim=1).values.transpose(1, 2)  # (B, H, K), the unknown ones last
    place = torch.tensor(levels, dtype=weeks.dtype, device=weeks.device) * (count + 1) - 1
    place = torch.minimum(place.clamp(min=0), last.to(place.dtype))  # (B, H, Q)
    low = place.floor().long()
    high = torch.minimum(low + 1, last)
    below, above = ordered.gather(2, low), ordered.gather(2, high)
    return torch.where(count >= LEAST, below + (place - low) * (above - below), torch.nan)


def averaged(quantiles: Tensor, weeks: Tensor, share: float) -> Tensor:
    """(B, H, Q) of the network, moved by `share` towards those of the weeks where these are known."""
    return torch.where(weeks.isnan(), quantiles, quantiles + share * (weeks - quantiles))


def fit_share(loss_at: Callable[[float], float]) -> float:
    """The share from 0 to 1 to take, by the mean loss that each has on windows which taught nothing."""
    losses = np.array([loss_at(number / SHARES) for number in range(SHARES + 1)])
    gain = losses[0] - losses
    return int(np.argmax(gain >= ENOUGH * gain.max())) / SHARES
