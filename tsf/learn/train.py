"""Training: the newest windows judge, the others teach; the best weights on the newest windows are kept."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.backends import mkldnn

from tsf.errors import ModelError
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
from tsf.learn.features import week_steps
from tsf.learn.graphed import Graphed
from tsf.learn.model import Epoch, Model, build_network, build_spec
from tsf.learn.network import Ensemble
from tsf.learn.places import Places, split
from tsf.learn.spec import Spec
from tsf.learn.weights import Weights, rate_share
from tsf.learn.windows import Windows, pick_device
from tsf.params import TrainParams
from tsf.series import SeriesSet

__all__ = ["fit"]

LABEL_DROPOUT = 0.1  # share of labels shown as "unknown", so that this slot is trained
SHIFT = 0.2  # standard deviation of the logarithm of a level shift
YOUNG = 0.3  # share of the level shifts that came lately
STARTED_FROM, JUDGED_AT_ONCE = 2_048, 512  # windows that set the start, and that are judged together, at most
MOST_STEPS = 2**22  # of their contexts; bounds the memory


class Lesson(NamedTuple):
    """What a network learns from: windows, which of them teach and which judge, and what is asked.

    levels: those of `spec`, on the device.
    """

    windows: Windows
    teach: Places
    judge: Places
    spec: Spec
    levels: Tensor


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
    progress: Callable[[Epoch], None] | None = None,
    start: Model | None = None,
    resume: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Model:
    """Train on all of `series`: its newest windows choose the weights and calibrate, the others teach.

    progress: called after each epoch. say: called with a sentence where training departs from its parameters.
    start: a model whose weights it begins with, if the shapes agree. keep: called after each epoch with what `resume`
    needs to go on as if nothing had happened; one of another training, or other data, is passed over.
    The same series, parameters and number of threads give the same weights on a CPU, bit for bit. Where processes are
    joined by torch.distributed, each takes its part of every batch, all return the same model, and one speaks.
    Raises HistoryError where there is too little data, ModelError where the device is missing or training diverges.
    """
    device = pick_device(params.device)
    spec, speaks = build_spec(series, params), ranks.rank() == 0
    windows = Windows.of(series, params, spec.vocabularies, spec.covariates, device)
    lesson = Lesson(windows, *split(series, params, device), spec, torch.tensor(params.quantiles, device=device))
    with _seeded(params.seed, device), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights")  # cuDNN copies them; see `Weights`
        network = build_network(spec).to(device)
        key = identity(series, spec, network, start)
        around = Around(
            key,
            progress if progress and speaks else _unheard,
            keep if speaks else None,
            say if say and speaks else _unheard,
            resume if resume and resume.facts.get("of") == key else None,
            start,
        )
        history = _train(network, lesson, around)
        steps, peaks, targets = _judged(network, lesson)
    measured = (steps, targets[0], peaks, targets[1], _judged_weeks(lesson))
    known = [tensor.double().cpu().numpy() for tensor in measured]
    calibration = calibrate(*known, levels=params.quantiles, rows=lesson.judge.rows.cpu().numpy())
    return Model(network.cpu().eval(), spec, calibration, tuple(history))


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """The generators of torch start at `seed` inside and are as before afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _unheard(_: object) -> None:
    """Nobody listens."""


def _train(network: Ensemble, lesson: Lesson, around: Around) -> list[Epoch]:
    params = lesson.spec.params
    if around.start is None or not _started_from(around.start, network, lesson.spec, around.say):
        _start(network, lesson)
    weights = Weights(network, params.weight_decay, params.gradient_clip)
    step_loss, validation_loss = (
        Graphed(partial(work, network, lesson), lesson.windows.device) for work in (_step, _validation_loss)
    )
    course = _course(network, lesson, weights, around)
    per_epoch = max(1, min(params.windows_per_epoch, len(lesson.teach.rows)) // course.asked)
    total = params.epochs * per_epoch
    for number in range(len(course.history) + 1, params.epochs + 1):
        if course.waited >= params.early_stopping_patience:
            break
        started, losses, rate = time.perf_counter(), [], 0.0
        torch.manual_seed(epoch_seed(params.seed, number))
        network.train()
        for step in range((number - 1) * per_epoch, number * per_epoch):
            rate = params.learning_rate * rate_share(params.schedule, step / total)
            losses.append(_step_that_fits(step_loss, course, weights, around.say))
            ranks.average(weights.grad)
            weights.step(rate)
        with weights.averaged():
            loss = float(ranks.agree(validation_loss()))
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


def _course(network: Ensemble, lesson: Lesson, weights: Weights, around: Around) -> Course:
    """Where training begins: at its start, or where it was cut off."""
    for tensor in (weights.flat, weights.average, *network.buffers()):
        ranks.agree(tensor)
    params = lesson.spec.params
    asked = params.batch_size or largest_batch(
        min(params.windows_per_epoch, len(lesson.teach.rows)),
        lesson.windows.device,
        lambda size: _step(network, lesson, size),
    )
    weights.grad.zero_()
    loss = float(ranks.agree(_validation_loss(network, lesson)))
    course = Course(weights.average.clone(), loss, asked, asked)
    if around.resume:
        restore(around.resume, course, weights, network)
        around.say(f"training goes on after epoch {len(course.history)}, where it was cut off")
    elif not params.batch_size:
        around.say(f"batch_size 0 means {asked} windows in a step here")
    return course


def _step_that_fits(step_loss: Graphed, course: Course, weights: Weights, say: Callable[[str], None]) -> Tensor:
    """`_step` with the course's batch, which is halved where the memory does not hold it."""
    try:
        return step_loss(course.batch)
    except RuntimeError as fault:
        say(course.halve(fault))
    weights.grad.zero_()
    return _step_that_fits(step_loss, course, weights, say)


def _start(network: Ensemble, lesson: Lesson) -> None:
    windows, teach = lesson.windows, lesson.teach
    size = max(1, min(STARTED_FROM, MOST_STEPS // windows.context))
    for member in network.networks:
        chosen = teach.take(torch.randint(len(teach.rows), (size,), device=windows.device))
        window, scale = windows.gather(*chosen)
        steps, peaks = windows.targets(*chosen)
        member.start_from(window, scale.scaled(steps).float(), scale.scaled(peaks).float())


def _validation_loss(network: Ensemble, lesson: Lesson) -> Tensor:
    steps, _, targets = _judged(network, lesson)
    return pinball(steps, targets[0], lesson.levels)


def _step(network: Ensemble, lesson: Lesson, batch: int) -> Tensor:
    """Add the gradients of one batch per member, or of this process's part of it; gives the mean loss."""
    windows, teach, _, spec, levels = lesson
    size, device = -(-batch // ranks.count()), windows.device
    total = torch.zeros((), device=device)
    for member in network.networks:
        chosen = teach.take(torch.randint(len(teach.rows), (size,), device=device))
        window, scale = windows.gather(*chosen, _level_shifts(size, windows.context, spec.params.level_shifts, device))
        hidden = torch.rand(window.labels.shape, device=device) < LABEL_DROPOUT
        with _precision(device, spec.params.precision == "bfloat16"):
            steps, peaks = member(window._replace(labels=window.labels.masked_fill(hidden, 0)))
        targets = windows.targets(*chosen)
        loss = pinball(steps, scale.scaled(targets[0]), levels) + pinball(peaks, scale.scaled(targets[1]), levels)
        loss.backward()
        total += loss.detach()
    return total / len(network.networks)


@contextmanager
def _precision(device: torch.device, half: bool) -> Iterator[None]:
    """Half precision where it helps. oneDNN takes no LSTM in it on processors without AVX-512, torch does."""
    before = mkldnn.enabled
    if half and device.type == "cpu" and mkldnn.is_available():
        mkldnn.enabled = before and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            yield
    finally:
        mkldnn.enabled = before


def _level_shifts(size: int, context: int, share: float, device: torch.device) -> Tensor:
    """(size, context) factors: in this share of the windows all before a random step is another level, elsewhere 1.

    Real series change their level seldom, so a history holds few examples; without these the network trusts old
    seasons more than what it has just seen. A share of the changes is young, their ages even on a logarithmic scale:
    the first hours after a change are what matters, and steps drawn evenly hardly ever fall there.
    """
    change = torch.rand(size, 1, device=device) * context
    young = context - context ** torch.rand(size, 1, device=device)
    change = torch.where(torch.rand(size, 1, device=device) < YOUNG, young, change)
    changed = torch.rand(size, 1, device=device) < share
    factor = torch.exp(SHIFT * torch.randn(size, 1, device=device, dtype=torch.float64))
    older = torch.arange(context, device=device) < change
    return torch.where(older & changed, factor, 1.0)


def pinball(quantiles: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball loss (factor 2) of (B, H, Q) against (B, H), NaN targets left out; (Q,) levels."""
    known = targets.isfinite()
    away = targets.nan_to_num(0.0).to(quantiles.dtype)[..., None] - quantiles
    loss = 2 * torch.maximum(levels * away, (levels - 1) * away) * known[..., None]
    return loss.sum() / (known.sum().clamp(min=1) * len(levels))


@torch.no_grad()
def _judged_weeks(lesson: Lesson) -> Tensor:
    """(M, H, Q) scaled quantiles of the same hours of earlier weeks, for all windows that judge."""
    windows, week, parts = lesson.windows, week_steps(lesson.spec.step_seconds), []
    for which in torch.arange(len(lesson.judge.rows), device=windows.device).split(JUDGED_AT_ONCE):
        chosen = lesson.judge.take(which)
        parts.append(windows.weeks(*chosen, windows.gather(*chosen)[1], week)[0])
    return torch.cat(parts)


@torch.no_grad()
def _judged(network: Ensemble, lesson: Lesson) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Scaled quantiles of steps and peaks, and their scaled targets, for all windows that judge."""
    windows, judge = lesson.windows, lesson.judge
    network.eval()
    parts = []
    size = max(1, min(JUDGED_AT_ONCE, MOST_STEPS // windows.context))
    for which in torch.arange(len(judge.rows), device=windows.device).split(size):
        chosen = judge.take(which)
        window, scale = windows.gather(*chosen)
        targets = windows.targets(*chosen)
        parts.append((*network(window), scale.scaled(targets[0]), scale.scaled(targets[1])))
    steps, peaks, step_targets, peak_targets = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return steps, peaks, (step_targets, peak_targets)
