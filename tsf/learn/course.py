"""The course of a training: what is kept between two epochs, where it starts, and how large its batches are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tsf.errors import ModelError
from tsf.learn import ranks
from tsf.learn.model import Epoch, Model
from tsf.learn.spec import Spec, plain_spec
from tsf.learn.weights import Weights
from tsf.series import SeriesSet

__all__ = ["Checkpoint", "Course", "checkpoint", "epoch_seed", "identity", "largest_batch", "restore", "warm_start"]

AUTO_CPU, AUTO_CUDA = 64, 2_048  # windows in a step: more are no quicker on a CPU, and a third quicker on an H200
LEAST_STEPS = 32  # of the optimiser in an epoch: larger batches must not mean fewer updates than learning needs
PROBED = 32  # windows whose memory is measured
MEMORY_SHARE = 0.5  # of the free memory that a batch may take


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Training between two epochs. tensors: name -> array. facts: plain values; `of` says of which training it is.

    No generator's state is in it: the draws of an epoch follow from seed, number and rank alone (`epoch_seed`).
    """

    tensors: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


STATE = ("flat", "mean", "square", "average")  # of Weights, beside its count


@dataclass
class Course:
    """How far a training has come.

    asked: windows in a step by the parameters, which sets the number of steps. batch: windows that fit, half as many
    after an out-of-memory. waited: epochs since the best one.
    """

    best: Tensor
    best_loss: float
    asked: int
    batch: int
    waited: int = 0
    history: list[Epoch] = field(default_factory=list)

    def judge(self, loss: float, average: Tensor) -> bool:
        """Keep the averaged weights where their loss was never lower; whether it was."""
        if loss < self.best_loss:
            self.best, self.best_loss, self.waited = average.clone(), loss, 0
            return True
        self.waited += 1
        return False

    def halve(self, fault: RuntimeError) -> str:
        """Halve the batch once after an out-of-memory, and say so; any other or second `fault` is raised."""
        short = isinstance(fault, torch.OutOfMemoryError) or "can't allocate memory" in str(fault)
        if not short:
            raise fault
        if self.batch < self.asked or self.batch == 1 or ranks.count() > 1:
            raise ModelError(
                f"the memory does not hold a step of {self.batch} windows",
                where="train.batch_size",
                cure="lower batch_size, hidden_dim or sequence_length",
            ) from None
        self.batch //= 2
        return f"out of memory: batch_size halved from {self.asked} to {self.batch}, the number of steps stays"


def identity(series: SeriesSet, spec: Spec, network: nn.Module, start: Model | None) -> str:
    """Of which training a checkpoint is: equal only where data, parameters, device, network, start and torch are."""
    begun = "" if start is None else hashlib.sha256(_bytes_of(start.network)).hexdigest()
    shapes = {name: [tensor.device.type, *tensor.shape] for name, tensor in network.state_dict().items()}
    facts = [series.data_hash, plain_spec(spec), shapes, ranks.count(), begun, torch.__version__]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _bytes_of(network: nn.Module) -> bytes:
    return b"".join(tensor.cpu().numpy().tobytes() for tensor in network.state_dict().values())


def epoch_seed(seed: int, number: int) -> int:
    """The seed of an epoch's draws on this rank, so that going on after a kill needs no generator's state."""
    return int(np.random.SeedSequence([seed, number, ranks.rank()]).generate_state(1, np.uint64)[0])


def checkpoint(key: str, course: Course, weights: Weights, network: nn.Module) -> Checkpoint:
    """All that `restore` needs, copied to the CPU."""
    tensors = {f"weights.{name}": getattr(weights, name) for name in STATE} | {"best": course.best}
    tensors |= {f"buffer.{name}": tensor for name, tensor in _buffers(network).items()}
    facts = {
        "of": key,
        "updates": weights.count,
        "best_loss": course.best_loss,
        "waited": course.waited,
        "asked": course.asked,
        "batch": course.batch,
        "history": [asdict(epoch) for epoch in course.history],
    }
    return Checkpoint({name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}, facts)


def restore(saved: Checkpoint, course: Course, weights: Weights, network: nn.Module) -> None:
    """Set all three to where `saved` was made."""
    buffers, device = _buffers(network), weights.flat.device

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(np.array(saved.tensors[name])).to(device)

    for name in STATE:
        getattr(weights, name).copy_(tensor(f"weights.{name}"))
    for name, buffer in buffers.items():
        buffer.copy_(tensor(f"buffer.{name}"))
    facts = saved.facts
    weights.count = facts["updates"]
    course.best, course.best_loss, course.waited = tensor("best"), facts["best_loss"], facts["waited"]
    course.asked, course.batch = facts["asked"], facts["batch"]
    course.history[:] = [Epoch(**epoch) for epoch in facts["history"]]


def _buffers(network: nn.Module) -> dict[str, Tensor]:
    """What a state has beside the weights."""
    weights = {name for name, _ in network.named_parameters()}
    return {name: tensor for name, tensor in network.state_dict().items() if name not in weights}


@torch.no_grad()
def warm_start(network: nn.Module, spec: Spec, start: Model) -> str:
    """Copy the weights of `start` into `network`; labels are matched by their values, new ones keep their random start.

    Returns "" or, where the two have different shapes, why nothing was copied.
    """
    mine, theirs = network.state_dict(), start.network.state_dict()
    for name in ("step_seconds", "seasons", "covariates", "limited"):
        if (there := getattr(start.spec, name)) != (here := getattr(spec, name)):
            return f"{name} is {there} there and {here} here"
    if start.params.quantiles != spec.params.quantiles:
        return "its quantiles are others"
    if start.params.derived != spec.params.derived:
        return f"it derives {', '.join(start.params.derived) or 'no inputs'} from the metric"
    if [*spec.vocabularies] != [*start.spec.vocabularies]:
        return f"it knows the labels {', '.join(start.spec.vocabularies) or '(none)'}"
    rows = [
        [(1 + place, 1 + before.index(value)) for place, value in enumerate(now) if value in before]
        for now, before in zip(spec.vocabularies.values(), map(list, start.spec.vocabularies.values()), strict=True)
    ]
    labels = {name: rows[int(found[1])] for name in mine if (found := re.search(r"\.labels\.(\d+)\.weight$", name))}
    for name, tensor in mine.items():
        if name not in theirs or (name not in labels and theirs[name].shape != tensor.shape):
            return f"its network has another shape ({name.split('.', 2)[-1]})"
    for name, tensor in mine.items():
        if name in labels:
            pairs = torch.tensor([(0, 0), *labels[name]])
            tensor[pairs[:, 0]] = theirs[name][pairs[:, 1]].to(tensor.device)
        else:
            tensor.copy_(theirs[name])
    return ""


def largest_batch(windows_per_epoch: int, device: torch.device, step: Callable[[int], object]) -> int:
    """A power of two: as many windows as pay, leave an epoch enough steps and, on a GPU, fit into half its free memory.

    step: runs one step of so many windows, whose memory is measured on a GPU.
    """
    most = min(AUTO_CUDA if device.type == "cuda" else AUTO_CPU, max(1, windows_per_epoch // LEAST_STEPS))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step(PROBED)
        each = (torch.cuda.max_memory_allocated(device) - before) / PROBED
        most = min(most, max(1, int(MEMORY_SHARE * torch.cuda.mem_get_info(device)[0] / max(each, 1))))
    return int(ranks.agree(torch.tensor(2 ** int(np.log2(most)), device=device)))
