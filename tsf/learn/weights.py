"""The weights of a network as one tensor, and the steps that teach them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tsf.params import Schedule

__all__ = ["Weights", "rate_share"]

AVERAGING = 0.998  # share of the old weights in the moving average that is judged and kept
WARM_UP = 0.1  # share of the steps in which the learning rate of one cycle rises


def rate_share(schedule: Schedule, done: float) -> float:
    """Share of the learning rate when `done` (0 … 1) of the steps are behind.

    one_cycle: a short rise, then a cosine to zero (Smith & Topin 2019). cosine: that fall alone, over all steps
    (Loshchilov & Hutter 2017). constant: neither.
    """
    if schedule == "constant":
        return 1.0
    rise = WARM_UP if schedule == "one_cycle" else 0.0
    if done < rise:
        return 0.04 + 0.96 * done / rise
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


class Weights:
    """All weights as one flat tensor, with AdamW (Loshchilov & Hutter 2019) and a moving average on it.

    One tensor makes clipping, update, averaging and restoring one line each, and saves the import of torch's compiler
    that torch.optim begins with. cuDNN, which wants the weights of recurrent layers in an order of its own, copies them
    at each call; that is little beside the rest of a step.
    """

    def __init__(self, network: nn.Module, decay: float, clip: float) -> None:
        found = list(network.parameters())
        self.flat = torch.cat([weight.detach().flatten() for weight in found])
        self.grad = torch.zeros_like(self.flat)
        decays = torch.cat([torch.full((weight.numel(),), decay if weight.dim() > 1 else 0.0) for weight in found])
        self.decay, self.clip, self.count = decays.to(self.flat.device), clip, 0
        self.mean, self.square = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.average = self.flat.clone()
        start = 0
        for weight in found:
            end = start + weight.numel()
            weight.data = self.flat[start:end].view_as(weight)
            weight.grad = self.grad[start:end].view_as(weight)
            start = end

    def step(self, rate: float) -> None:
        """One update with the gradients gathered since the last one."""
        self.count += 1
        self.grad.mul_((self.clip / self.grad.norm().clamp(min=1e-12)).clamp(max=1.0))
        self.mean.lerp_(self.grad, 0.1)
        self.square.lerp_(self.grad.square(), 0.001)
        scale = (self.square / (1 - 0.999**self.count)).sqrt_().add_(1e-8)
        self.flat.mul_(1 - rate * self.decay).addcdiv_(self.mean, scale, value=-rate / (1 - 0.9**self.count))
        self.average.lerp_(self.flat, 1 - min(AVERAGING, self.count / (self.count + 10)))
        self.grad.zero_()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network carries the averaged weights inside."""
        kept = self.flat.clone()
        self.flat.copy_(self.average)
        yield
        self.flat.copy_(kept)
