"""Work on a GPU as CUDA graphs: recorded once, replayed after that."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Graphed"]


class Graphed:
    """`work(*sizes)`, which on a GPU becomes one CUDA graph for each `sizes`.

    A training step of a small network is a thousand kernels of three microseconds each; started one by one, they leave
    the GPU idle for most of the time. The first call with some sizes runs as it is, so that libraries set up what they
    need; the second one is recorded; it and all later ones are replays. Torch's generators go on as they would without.

    work: gives one tensor; reads and writes only tensors that stay where they are; waits for nothing on the GPU. What
    happens in Python, such as a change of mode, happens only in the first two calls.
    """

    def __init__(self, work: Callable[..., Tensor], device: torch.device) -> None:
        self.work, self.device = work, device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.recorded: dict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, Tensor] | None] = {}

    def __call__(self, *sizes: int) -> Tensor:
        """What `work` gives, as a tensor of its own. Raises what `work` raises, and is as before then."""
        if self.stream is None:
            return self.work(*sizes)
        if sizes not in self.recorded:
            answer = self._at_first(self.stream, *sizes)
            self.recorded[sizes] = None
            return answer
        recorded = self.recorded[sizes]
        if recorded is None:
            graph = torch.cuda.CUDAGraph()
            # Other threads, such as those of NCCL, may speak to the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                answer = self.work(*sizes)
            recorded = self.recorded[sizes] = graph, answer
        recorded[0].replay()
        return recorded[1].clone()

    def _at_first(self, stream: torch.cuda.Stream, *sizes: int) -> Tensor:
        """On the stream that records later: autograd adds up gradients where it first did."""
        current = torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            answer = self.work(*sizes)
        current.wait_stream(stream)
        return answer
