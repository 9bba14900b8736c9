"""Training: the newest windows judge, the others teach; the best weights on the newest windows are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tsf.errors import HistoryError, ModelError
from tsf.learn import ranks
from tsf.learn.calibration import calibrate
from tsf.learn.course import (
    Checkpoint,
    Course,
    checkpoint,
    epoch_seed,
    identity,
    largest_batch,
    restore,
    warm_start,
)
from tsf.learn.model import Epoch, Model, Spec, build_network, build_spec
from tsf.learn.network import Ensemble
from tsf.learn.windows import Windows
from tsf.params import TrainParams
from tsf.series import SeriesSet

__all__ = ["fit", "pick_device"]

AVERAGING = 0.998  # share of the old weights in the moving average that is judged and kept
WARM_UP = 0.1  # share of the steps in which the learning rate rises
LABEL_DROPOUT = 0.1  # share of labels shown as "unknown", so that this slot is trained
SHIFT = 0.2  # standard deviation of the logarithm of a level shift
JUDGED = 2_048  # windows that judge, at most, and windows that set the start


class Places(NamedTuple):
    """Windows by row and origin, each (B,)."""

    rows: Tensor
    origins: Tensor

    def take(self, which: Tensor) -> Places:
        return Places(self.rows[which], self.origins[which])


class Around(NamedTuple):
    """What the caller of `fit` gives to a training and hears from it; `key` is its `identity`."""

    key: str
    progress: Callable[[Epoch], None]
    keep: Callable[[Checkpoint], None] | None
    say: Callable[[str], None]
    resume: Checkpoint | None
    start: Model | None


def fit(
    series: SeriesSet,
    params: TrainParams,
    *,
    breach_samples: int = 1,
    progress: Callable[[Epoch], None] | None = None,
    start: Model | None = None,
    resume: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Model:
    """Train on all of `series`: its newest windows choose the weights and calibrate, the others teach.

    breach_samples: how many samples in a row at the limit make a breach; the running maximum is learnt for it.
    progress: called after each epoch. say: called with a sentence where training departs from its parameters.
    start: a model whose weights it begins with, if the shapes agree. keep: called after each epoch with what `resume`
    needs to go on as if nothing had happened; one of another training, or other data, is passed over.
    The same series, parameters and number of threads give the same weights on a CPU, bit for bit. Where processes are
    joined by torch.distributed, each takes its part of every batch, all return the same model, and one speaks.
    Raises HistoryError where there is too little data, ModelError where the device is missing or training diverges.
    """
    device = pick_device(params.device)
    spec = build_spec(series, params, breach_samples)
    key, speaks = identity(series, spec, device, start), ranks.rank() == 0
    around = Around(
        key,
        progress if progress and speaks else _unheard,
        keep if speaks else None,
        say if say and speaks else _unheard,
        resume if resume and resume.facts.get("of") == key else None,
        start,
    )
    windows = Windows(series, params, spec.vocabularies, spec.covariates, device)
    teach, judge = _split(series, params, device)
    with _seeded(params.seed, device):
        network = build_network(spec).to(device)
        history = _train(network, windows, teach, judge, spec, around)
        steps, peaks, targets = _judged(network, windows, judge, spec)
    known = [tensor.double().cpu().numpy() for tensor in (steps, targets[0], peaks, targets[1])]
    calibration = calibrate(known[0], known[1], known[2], known[3], params.quantiles)
    return Model(network.cpu().eval(), spec, calibration, tuple(history))


def pick_device(name: str) -> torch.device:
    """`auto` is the first GPU that this process may see, else the CPU. Raises ModelError for an absent GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "there is no CUDA device", where="train.device", cure="choose auto or cpu, or run `tsf doctor`"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _split(series: SeriesSet, params: TrainParams, device: torch.device) -> tuple[Places, Places]:
    """Windows that teach and windows that judge; no target of the first is as new as a target of the second."""
    context, horizon, total = params.sequence_length, params.prediction_steps, series.n_steps
    need = least_context(params) + 2 * horizon
    if total < need:
        raise HistoryError(
            f"the history has {total} steps, training needs at least {need}: twice prediction_steps and a context",
            cure="lengthen fetch.history or shorten prediction_steps",
        )
    newest = judged_steps(total, horizon, series.step_seconds)
    seen = np.concatenate([np.zeros((series.n_series, 1), int), np.isfinite(series.values).cumsum(1)], axis=1)
    origins = np.arange(total - horizon)
    before = seen[:, origins + 1] - seen[:, np.maximum(origins + 1 - context, 0)]
    after = seen[:, origins + 1 + horizon] - seen[:, origins + 1]
    usable = (before >= least_context(params)) & (after * 2 >= horizon)
    split = total - newest - horizon  # first origin whose targets reach past total - newest
    teach = np.argwhere(usable[:, :split])
    many = max(8, JUDGED // (2 * series.n_series))
    judges = origins[split + horizon - 1 :][:: -max(1, newest // many)]  # the newest origin is one of them
    judge = np.argwhere(usable[:, judges])
    if not len(teach) or not len(judge):
        raise HistoryError(
            f"no series has {least_context(params)} samples in {context} steps before and {horizon} steps after an "
            f"origin in both the older and the newest part of the history",
            cure="lengthen fetch.history or take series with fewer gaps",
        )
    judge[:, 1] = judges[judge[:, 1]]
    if len(judge) > JUDGED:
        judge = judge[np.linspace(0, len(judge) - 1, JUDGED).astype(int)]
    return _places(teach, device), _places(judge, device)


def judged_steps(n_steps: int, horizon: int, step_seconds: int) -> int:
    """How many of the newest steps judge: a tenth, up to a week or four horizons, as each day of a week is another."""
    return max(horizon, min(n_steps // 10, max(4 * horizon, 604_800 // step_seconds)))


def least_context(params: TrainParams) -> int:
    """Samples that a context must hold before anything is said about the future."""
    return max(2, min(params.sequence_length // 8, params.prediction_steps))


def _places(pairs: np.ndarray, device: torch.device) -> Places:
    found = torch.from_numpy(np.ascontiguousarray(pairs.T)).to(device)
    return Places(found[0], found[1])


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """The generators of torch start at `seed` inside and are as before afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _unheard(_: object) -> None:
    """Nobody listens."""


def _train(
    network: Ensemble, windows: Windows, teach: Places, judge: Places, spec: Spec, around: Around
) -> list[Epoch]:
    params = spec.params
    if around.start is None or not _started_from(around.start, network, spec, around.say):
        _start(network, windows, teach, spec)
    weights = Weights(network, params.weight_decay, params.gradient_clip)
    course = _course(network, windows, teach, judge, spec, weights, around)
    per_epoch = max(1, min(params.windows_per_epoch, len(teach.rows)) // course.asked)
    total = params.epochs * per_epoch
    for number in range(len(course.history) + 1, params.epochs + 1):
        if course.waited >= params.early_stopping_patience:
            break
        started, losses, rate = time.perf_counter(), [], 0.0
        torch.manual_seed(epoch_seed(params.seed, number))
        network.train()
        for step in range((number - 1) * per_epoch, number * per_epoch):
            rate = params.learning_rate * one_cycle(step / total)
            losses.append(_step_that_fits(network, windows, teach, spec, course, weights, around.say))
            ranks.average(weights.grad)
            weights.step(rate)
        with weights.averaged():
            loss = _validation_loss(network, windows, judge, spec)
        if not math.isfinite(loss):
            raise ModelError(f"training diverged in epoch {number}", where="train.learning_rate", cure="lower it")
        better = course.judge(loss, weights.average)
        seconds = time.perf_counter() - started
        mean = float(torch.stack(losses).mean())
        course.history.append(Epoch(number, params.epochs, mean, loss, rate, seconds, better, course.batch))
        around.progress(course.history[-1])
        if around.keep:
            around.keep(checkpoint(around.key, course, weights, network))
    weights.flat.copy_(course.best)
    return course.history


def _started_from(start: Model, network: Ensemble, spec: Spec, say: Callable[[str], None]) -> bool:
    why = warm_start(network, spec, start)
    say(f"training starts afresh, for the given model is another: {why}" if why else "training starts from a model")
    return not why


def _course(
    network: Ensemble,
    windows: Windows,
    teach: Places,
    judge: Places,
    spec: Spec,
    weights: Weights,
    around: Around,
) -> Course:
    """Where training begins: at its start, or where it was cut off."""
    for tensor in (weights.flat, weights.average, *network.buffers()):
        ranks.agree(tensor)
    asked = spec.params.batch_size or largest_batch(
        min(spec.params.windows_per_epoch, len(teach.rows)),
        windows.device,
        lambda size: _step(network, windows, teach, spec, size),
    )
    weights.grad.zero_()
    course = Course(weights.average.clone(), _validation_loss(network, windows, judge, spec), asked, asked)
    if around.resume:
        restore(around.resume, course, weights, network)
        around.say(f"training goes on after epoch {len(course.history)}, where it was cut off")
    elif not spec.params.batch_size:
        around.say(f"batch_size 0 means {asked} windows in a step here")
    return course


def _step_that_fits(
    network: Ensemble,
    windows: Windows,
    teach: Places,
    spec: Spec,
    course: Course,
    weights: Weights,
    say: Callable[[str], None],
) -> Tensor:
    """`_step` with the course's batch, which is halved where the memory does not hold it."""
    try:
        return _step(network, windows, teach, spec, course.batch)
    except RuntimeError as fault:
        say(course.halve(fault))
    weights.grad.zero_()
    return _step_that_fits(network, windows, teach, spec, course, weights, say)


def _start(network: Ensemble, windows: Windows, teach: Places, spec: Spec) -> None:
    for member in network.networks:
        chosen = teach.take(torch.randint(len(teach.rows), (JUDGED,), device=windows.device))
        window, scale = windows.gather(*chosen)
        steps, peaks = windows.targets(*chosen, spec.breach_samples)
        member.start_from(window, scale.scaled(steps).float(), scale.scaled(peaks).float())


def _validation_loss(network: Ensemble, windows: Windows, judge: Places, spec: Spec) -> float:
    steps, _, targets = _judged(network, windows, judge, spec)
    return float(ranks.agree(pinball(steps, targets[0], spec.params.quantiles)))


def _step(network: Ensemble, windows: Windows, teach: Places, spec: Spec, batch: int) -> Tensor:
    """Add the gradients of one batch per member, or of this process's part of it; gives the mean loss."""
    size, device = -(-batch // ranks.count()), windows.device
    total = torch.zeros((), device=device)
    for member in network.networks:
        chosen = teach.take(torch.randint(len(teach.rows), (size,), device=device))
        window, scale = windows.gather(*chosen, _level_shifts(size, windows.context, spec.params.level_shifts, device))
        hidden = torch.rand(window.labels.shape, device=device) < LABEL_DROPOUT
        with torch.autocast(device.type, torch.bfloat16, enabled=spec.params.precision == "bfloat16"):
            steps, peaks = member(window._replace(labels=window.labels.masked_fill(hidden, 0)))
        targets = windows.targets(*chosen, spec.breach_samples)
        levels = spec.params.quantiles
        loss = pinball(steps, scale.scaled(targets[0]), levels) + pinball(peaks, scale.scaled(targets[1]), levels)
        loss.backward()
        total += loss.detach()
    return total / len(network.networks)


def _level_shifts(size: int, context: int, share: float, device: torch.device) -> Tensor:
    """(size, context) factors: in this share of the windows all before a random step is another level, elsewhere 1.

    Real series change their level seldom, so a history holds few examples; without these the network trusts old
    seasons more than what it has just seen.
    """
    change = torch.rand(size, 1, device=device) * context
    changed = torch.rand(size, 1, device=device) < share
    factor = torch.exp(SHIFT * torch.randn(size, 1, device=device, dtype=torch.float64))
    older = torch.arange(context, device=device) < change
    return torch.where(older & changed, factor, 1.0)


def pinball(quantiles: Tensor, targets: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Mean pinball loss (factor 2) of (B, H, Q) against (B, H), NaN targets left out."""
    known = targets.isfinite()
    away = targets.nan_to_num(0.0).to(quantiles.dtype)[..., None] - quantiles
    tau = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    loss = 2 * torch.maximum(tau * away, (tau - 1) * away) * known[..., None]
    return loss.sum() / (known.sum().clamp(min=1) * len(levels))


@torch.no_grad()
def _judged(
    network: Ensemble, windows: Windows, judge: Places, spec: Spec
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Scaled quantiles of steps and peaks, and their scaled targets, for all windows that judge."""
    network.eval()
    parts = []
    for which in torch.arange(len(judge.rows), device=windows.device).split(512):
        chosen = judge.take(which)
        window, scale = windows.gather(*chosen)
        targets = windows.targets(*chosen, spec.breach_samples)
        parts.append((*network(window), scale.scaled(targets[0]), scale.scaled(targets[1])))
    steps, peaks, step_targets, peak_targets = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return steps, peaks, (step_targets, peak_targets)


def one_cycle(done: float) -> float:
    """Share of the learning rate when `done` (0 … 1) of the steps are behind: a short rise, then a cosine to zero."""
    if done < WARM_UP:
        return 0.04 + 0.96 * done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


class Weights:
    """All weights as one flat tensor, with AdamW (Loshchilov & Hutter 2019) and a moving average on it.

    One tensor makes clipping, update, averaging and restoring one line each, and saves the import of torch's compiler
    that torch.optim begins with.
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
