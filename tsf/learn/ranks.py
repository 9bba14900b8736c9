"""Training by several processes, one per GPU: each draws its own windows, and all step by the mean of their gradients.

Whoever starts the processes joins them (torch.distributed.init_process_group); alone, everything here does nothing.
All weights lie in one tensor, so one reduction per step is all that DistributedDataParallel would do.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist

__all__ = ["agree", "average", "count", "rank"]


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """The number of this process, 0 for the one that speaks and writes."""
    return dist.get_rank() if _joined() else 0


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _joined() else 1


@torch.no_grad()
def average(tensor: Tensor) -> None:
    """Set `tensor` to its mean over all processes."""
    if count() > 1:
        dist.all_reduce(tensor)
        tensor /= count()


@torch.no_grad()
def agree(tensor: Tensor) -> Tensor:
    """Set `tensor` to that of process 0, and return it."""
    if count() > 1:
        dist.broadcast(tensor, src=0)
    return tensor
