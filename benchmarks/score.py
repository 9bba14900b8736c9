"""Score the default recipe on a protocol: python benchmarks/score.py PATH/protocol_x.py [--model-type gru].

A protocol is a Python file with `evaluate(forecast_fn) -> dict`, where `forecast_fn(past, horizon, info)` gives the
deciles (N, H, 9) of (N, T) values with NaN gaps; `info["train"]` is all that may be learnt from. One model is trained
per distinct training array and horizon. Nothing is tuned per data set: horizon, step and season come from the protocol,
the rest is `recipe`. Progress goes to stderr; the last line of stdout is the protocol's dict as one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rivals import load_protocol, plain
from tsf.learn import Epoch, Model, fit, fit_breach, predict
from tsf.params import TrainParams
from tsf.series import SeriesSet

DECILES = tuple(round(0.1 * i, 1) for i in range(1, 10))
UNIT_SECONDS = {"S": 1, "T": 60, "MIN": 60, "H": 3_600, "D": 86_400, "W": 604_800}

Floats = NDArray[np.float64]


def recipe(horizon: int, step_seconds: int, train: Floats, changes: dict[str, Any]) -> TrainParams:
    """The default parameters with a context that follows from horizon, step and length of the history."""
    day, steps = max(1, round(86_400 / step_seconds)), train.shape[1]
    context = max(2, min(max(14 * day, 4 * horizon), 2_016, steps - horizon))
    return TrainParams(
        sequence_length=context, prediction_steps=horizon, quantiles=DECILES, bounds=_bounds(train), **changes
    )


def _bounds(train: Floats) -> tuple[float | None, float | None]:
    return (0.0, None) if np.nanmin(train) >= 0 else (None, None)


def step_of(info: dict[str, Any]) -> int:
    """Seconds of a step: as the protocol says, from its frequency (`5T`), or such that the season is a day."""
    if info.get("step_s"):
        return int(info["step_s"])
    if found := re.fullmatch(r"(\d*)([A-Z]+)", str(info.get("freq") or "").upper()):
        return int(found[1] or 1) * UNIT_SECONDS[found[2]]
    return 86_400 // max(1, int(info.get("season") or 1))


class TsfForecast:
    """`forecast_fn` of a protocol; trains when it meets a new training array."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self.changes = changes
        self.models: dict[tuple[str, int, int], Model] = {}
        self.heads: dict[tuple[int, bytes], Model] = {}  # with a breach head for one line each

    def __call__(self, past: Floats, horizon: int, info: dict[str, Any]) -> Floats:
        """(N, T) -> (N, H, 9) deciles; a series too short or too stale to forecast keeps its last value."""
        quantiles = predict(self._model(horizon, info), _series(past, step_of(info))).quantiles
        return np.asarray(np.where(np.isnan(quantiles), _last(past)[:, None, None], quantiles))

    def breach_prob(self, past: Floats, horizon: int, threshold: Floats, info: dict[str, Any]) -> Floats:
        """(N,) probability that a value of the next `horizon` steps reaches the (N,) threshold."""
        series = series_with_limit(past, step_of(info), threshold)
        chance = predict(self.with_head(threshold, horizon, info), series).p_breach
        assert chance is not None
        return np.nan_to_num(chance[:, -1], nan=0.0)

    def with_head(self, threshold: Floats, horizon: int, info: dict[str, Any]) -> Model:
        """The model with a breach head for the (N,) threshold, learnt on the same training array."""
        model = self._model(horizon, info)
        key = (id(model), threshold.tobytes())  # the model stays in self.models, so no other has its id
        if key not in self.heads:
            train = series_with_limit(np.asarray(info["train"], np.float64), step_of(info), threshold)
            self.heads[key] = fit_breach(model, train)
        return self.heads[key]

    def _model(self, horizon: int, info: dict[str, Any]) -> Model:
        train = np.ascontiguousarray(info["train"], np.float64)
        key = (hashlib.sha256(train.tobytes()).hexdigest(), horizon, step_of(info))
        if key not in self.models:
            params = recipe(horizon, key[2], train, self.changes)
            started, cpu = time.perf_counter(), time.process_time()
            _say(f"training on {train.shape[0]} series x {train.shape[1]} steps of {key[2]} s: "
                 f"sequence_length {params.sequence_length}, prediction_steps {horizon}")  # fmt: skip
            model = self.models[key] = fit(_series(train, key[2]), params, progress=_progress)
            _say(f"trained in {time.perf_counter() - started:.0f} s, {time.process_time() - cpu:.0f} CPU s, "
                 f"{len(model.history)} epochs, coverage {model.calibration.coverage:.3f}")  # fmt: skip
        return self.models[key]


def _series(values: Floats, step_seconds: int, limit: Floats | None = None) -> SeriesSet:
    n, total = values.shape
    names = np.array([f"{row:06d}" for row in range(n)], object)
    values = np.where(np.isfinite(values), values, np.nan)
    return SeriesSet({"series": names}, step_seconds * np.arange(total), step_seconds, values, limit=limit)


def series_with_limit(values: Floats, step_seconds: int, threshold: Floats) -> SeriesSet:
    """(N, T) values with NaN gaps, each with its own constant limit (N,)."""
    return _series(values, step_seconds, limit=np.repeat(threshold[:, None], values.shape[1], 1))


def _last(past: Floats) -> Floats:
    seen = np.isfinite(past)
    newest = past.shape[1] - 1 - seen[:, ::-1].argmax(1)
    return np.asarray(np.nan_to_num(past[np.arange(len(past)), newest]))


def _progress(epoch: Epoch) -> None:
    if epoch.number % 10 == 0 or epoch.number == epoch.of:
        _say(f"  epoch {epoch.number}/{epoch.of} train {epoch.train_loss:.4f} validation {epoch.validation_loss:.4f}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> None:
    options = argparse.ArgumentParser(description="Score the default recipe on a protocol.")
    options.add_argument("protocol", type=Path)
    options.add_argument("--model-type", default=TrainParams().model_type)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a training parameter")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    changes = {key: json.loads(value) for key, _, value in (text.partition("=") for text in chosen.set)}
    evaluate: Callable[[TsfForecast], dict[str, Any]] = load_protocol(chosen.protocol).evaluate
    result = evaluate(TsfForecast({"model_type": chosen.model_type, "seed": chosen.seed} | changes))
    sys.stderr.flush()
    sys.stdout.write(json.dumps(plain(result)) + "\n")


if __name__ == "__main__":
    main()
