"""One forecaster of others on one protocol: python rivals.py NAME PATH/protocol_x.py, in an environment that has it.

The packages are those of `peers.txt` and no part of tsf; this file imports nothing of tsf either. The last line of
stdout is JSON: the protocol's `scores`, or why it was `skipped`; CPU seconds and windows of training; the `recipe`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import math
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["NAMES", "load_protocol", "plain"]

Floats = NDArray[np.float64]
DECILES = [round(0.1 * i, 1) for i in range(1, 10)]
DAY_SECONDS = 86_400
FREQUENCIES = {10: "10S", 60: "T", 300: "5T", 900: "15T", 3_600: "H", DAY_SECONDS: "D"}


class Absent(Exception):  # noqa: N818 - nothing is wrong: this forecaster has no answer here, and says why
    """Why a forecaster is not in the table."""


class Clock:
    """CPU seconds that may be spent, divided evenly among the trainings that a protocol asks for."""

    def __init__(self, cpu_minutes: float, trainings: int) -> None:
        self.whole, self.each = 60 * cpu_minutes, 60 * cpu_minutes / trainings
        self.started = time.process_time()
        self.trained, self.windows, self.steps, self.cut = 0.0, 0, 0, False

    def check(self) -> None:
        """Raises Absent where the time is used up."""
        if time.process_time() - self.started > self.whole:
            raise Absent(f"not done in {self.whole / 60:.0f} CPU minutes")


class Neural:
    """A network of neuralforecast: trained once per training array and horizon, with the package's own defaults."""

    def __init__(self, kind: str, clock: Clock, changes: dict[str, Any]) -> None:
        self.kind, self.clock, self.changes = kind, clock, changes
        self.models: dict[tuple[str, int], Any] = {}
        self.context = 0

    def __call__(self, past: Floats, horizon: int, info: dict[str, Any]) -> Floats:
        """(N, T) -> (N, H, 9)."""
        train = np.ascontiguousarray(info["train"], np.float64)
        key = (hashlib.sha256(train.tobytes()).hexdigest(), horizon)
        if key not in self.models:
            self.models[key] = self._fitted(train, horizon)
        forecaster, context = self.models[key]
        forecast = forecaster.predict(df=_long(past[:, -context:]))
        columns = [name for name in forecast.columns if name not in ("unique_id", "ds")]
        table = forecast.sort_values(["unique_id", "ds"])[columns].to_numpy(np.float64)
        return np.sort(table.reshape(len(past), horizon, len(DECILES)), axis=2)

    def _fitted(self, train: Floats, horizon: int) -> tuple[Any, int]:
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MQLoss
        from neuralforecast.models import LSTM, NHITS

        wanted = self.changes.get("context") or {"lstm": 3, "nhits": 7}[self.kind] * horizon
        context = self.context = max(2, min(wanted, train.shape[1] - horizon))
        own: dict[str, Any] = {"n_freq_downsample": [24, 12, 1]} if self.kind == "nhits" else {}
        shortest = train.shape[1] - int(np.isfinite(train).argmax(1).max())
        own["start_padding_enabled"] = shortest < context + horizon  # else it refuses all series
        model = {"lstm": LSTM, "nhits": NHITS}[self.kind](
            h=horizon, input_size=context, loss=MQLoss(quantiles=DECILES), max_steps=self.changes["steps"],
            random_seed=self.changes["seed"], accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[_stop_after(self.clock)], **own,
        )  # fmt: skip
        forecaster = NeuralForecast(models=[model], freq=1)
        began = time.process_time()
        forecaster.fit(df=_long(train))
        self.clock.trained += time.process_time() - began
        self.clock.windows += self.clock.steps * model.windows_batch_size
        _say(f"{self.kind}: {self.clock.steps} steps of {model.windows_batch_size} windows, context {context}, "
             f"horizon {horizon}")  # fmt: skip
        return forecaster, context


def _stop_after(clock: Clock) -> Any:
    """A callback that ends a training when its CPU time is spent."""
    from pytorch_lightning import Callback

    class Stop(Callback):
        began = time.process_time()

        def on_train_start(self, *_: Any) -> None:
            self.began = time.process_time()

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            clock.steps = trainer.global_step
            if time.process_time() - self.began > clock.each:
                trainer.should_stop = clock.cut = True

    return Stop()


def _long(values: Floats) -> pd.DataFrame:
    """The long frame of (N, T): gaps hold the last value, what lies before the first one is left out."""
    filled = pd.DataFrame(values.T).ffill()
    filled.loc[:, filled.isna().all()] = 0.0
    rows, steps = np.nonzero(filled.notna().to_numpy().T)
    names = np.array([f"{row:06d}" for row in range(len(values))])
    return pd.DataFrame({"unique_id": names[rows], "ds": steps, "y": filled.to_numpy().T[rows, steps]})


def _series_by_series(forecast: Callable[[Floats, int, dict[str, Any]], Floats], clock: Clock) -> Any:
    """A `forecast_fn` from a function of one (T,) series without gaps -> (H, 9)."""

    def forecast_fn(past: Floats, horizon: int, info: dict[str, Any]) -> Floats:
        found = np.zeros((len(past), horizon, len(DECILES)))
        for row, values in enumerate(pd.DataFrame(past.T).ffill().to_numpy().T):
            clock.check()
            seen = values[np.isfinite(values)]
            found[row] = np.sort(forecast(seen, horizon, info), axis=1) if len(seen) else 0.0
        return found

    return forecast_fn


def _flaircast(values: Floats, horizon: int, info: dict[str, Any]) -> Floats:
    """Deciles of its sample paths; it knows calendars by name, so the step takes the nearest one."""
    from flaircast import forecast

    name = min(FREQUENCIES, key=lambda seconds: abs(math.log(seconds / _step(info))))
    return np.quantile(forecast(values, horizon, FREQUENCIES[name], seed=0), DECILES, axis=0).T


def _mstl(values: Floats, horizon: int, info: dict[str, Any]) -> Floats:
    """As its documentation does: the seasons that the history holds twice, and AutoARIMA for the trend."""
    from statsforecast.models import MSTL, AutoARIMA

    season = int(info.get("season") or 1)
    seasons = [steps for steps in (season, 7 * season) if season > 1 and 2 * steps < len(values)]
    if not seasons:
        raise Absent("the protocol names no season")
    found = MSTL(seasons, trend_forecaster=AutoARIMA()).forecast(y=values, h=horizon, level=[20, 40, 60, 80])
    names = [*(f"lo-{level}" for level in (80, 60, 40, 20)), "mean", *(f"hi-{level}" for level in (20, 40, 60, 80))]
    return np.stack([found[name] for name in names], axis=1)


def _predict_linear(scoring: ModuleType) -> Any:
    """Prometheus' own over the last 12 hours, and 12 steps at least."""

    def forecast_fn(past: Floats, horizon: int, info: dict[str, Any]) -> Floats:
        return np.asarray(scoring.predict_linear(max(12, round(DAY_SECONDS / 2 / _step(info))))(past, horizon, info))

    return forecast_fn


def _step(info: dict[str, Any]) -> int:
    """Seconds of a step, as the protocol says or from its frequency (`5T`)."""
    if info.get("step_s"):
        return int(info["step_s"])
    found = re.fullmatch(r"(\d*)([STHD])", str(info.get("freq") or "").upper())
    return int(found[1] or 1) * {"S": 1, "T": 60, "H": 3_600, "D": DAY_SECONDS}[found[2]] if found else 3_600


NAMES = {
    "lstm": ("neuralforecast", "LSTM, its defaults (context of 3 horizons, 1,000 steps) with MQLoss"),
    "nhits": ("neuralforecast", "NHITS as in its probabilistic tutorial (7 horizons, 2,000 steps) with MQLoss"),
    "flaircast": ("flaircast", "FLAIR, no parameters"),
    "mstl": ("statsforecast", "MSTL with AutoARIMA"),
    "seasonal_naive": ("", "scoring.py"),
    "last_value": ("", "scoring.py"),
    "predict_linear": ("", "scoring.py, over 12 hours and at least 12 steps"),
}


def forecaster(name: str, clock: Clock, changes: dict[str, Any], scoring: ModuleType) -> Any:
    """The `forecast_fn` of this name. Raises Absent where its package is missing."""
    package = NAMES[name][0]
    if package and importlib.util.find_spec(package) is None:
        raise Absent(f"{package} is not installed")
    if name in ("lstm", "nhits"):
        return Neural(name, clock, {"steps": {"lstm": 1_000, "nhits": 2_000}[name], "seed": 1} | changes)
    if name in ("flaircast", "mstl"):
        return _series_by_series({"flaircast": _flaircast, "mstl": _mstl}[name], clock)
    return _predict_linear(scoring) if name == "predict_linear" else getattr(scoring, name)


def load_protocol(path: Path) -> ModuleType:
    """The protocol at `path`; what lies beside it can be imported from then on."""
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain(value: Any) -> Any:
    """`value` as JSON can hold it; what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("name", choices=NAMES)
    options.add_argument("protocol", type=Path)
    options.add_argument("--cpu-minutes", type=float, default=10.0)
    options.add_argument("--trainings", type=int, default=1, help="among which they are divided")
    options.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="context, steps or seed")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    protocol = load_protocol(chosen.protocol)
    clock = Clock(chosen.cpu_minutes, chosen.trainings)
    changes = {key: int(value) for key, _, value in (text.partition("=") for text in chosen.set)}
    rival, answer = None, dict[str, Any]()
    try:
        rival = forecaster(chosen.name, clock, changes, sys.modules["scoring"])
        answer = {"scores": plain(protocol.evaluate(rival))}
    except Absent as why:
        answer = {"skipped": str(why)}
    package, recipe = NAMES[chosen.name]
    if package and "scores" in answer:
        recipe = f"{package} {importlib.metadata.version(package)}: {recipe}"
    answer |= {
        "recipe": recipe, "training_cpu_seconds": clock.trained, "windows": clock.windows,
        "context": getattr(rival, "context", 0), "cut_short": clock.cut,
    }  # fmt: skip
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
