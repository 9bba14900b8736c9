"""Time and peak memory of forecasting many series: `python -m benchmarks.predict --series 100000`.

Beside it, in the same process and on the same series: the bare network on windows that are ready, which no forecast can
be quicker than; and the baselines last value and predict_linear. Rounds alternate, so that other work on the machine
falls on all of them. Memory is what the process held at its peak beyond what it held before (Linux); the answer itself
is given beside it. The model is trained for one epoch only: how good it is does not change the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from tsf.learn import Model, fit, fit_breach, last_value, predict, predict_linear
from tsf.learn.forecast import BATCH
from tsf.learn.windows import Windows, pick_device
from tsf.params import TrainParams
from tsf.series import SeriesSet

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=24, help="steps ahead")
    parser.add_argument("--context", type=int, default=TrainParams().sequence_length, help="steps the model looks back")
    parser.add_argument("--model-type", default=TrainParams().model_type)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    params = TrainParams(
        sequence_length=options.context, prediction_steps=options.steps, model_type=options.model_type, epochs=1,
        windows_per_epoch=64, dimensions=("user",), device=options.device,
    )  # fmt: skip
    learnt = made(100, max(3 * (options.context + options.steps), 1_000))
    model = fit_breach(fit(learnt, params), learnt)
    assert model.breach is not None
    series = made(options.series, model.looks_back)
    jobs: dict[str, Callable[[], object]] = {
        "tsf predict": lambda: predict(model, series).quantiles,
        "bare network": bare(model, series),
        "last value": lambda: last_value(params.quantiles)(series, options.steps).quantiles,
        "predict_linear 12h": lambda: predict_linear(43_200, params.quantiles)(series, options.steps).quantiles,
    }
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in jobs}
    for number in range(options.rounds):
        for name, job in jobs.items():
            rows[name].append(measured(job))
        print(f"round {number + 1}: {rows['tsf predict'][-1][0]:.2f} s", file=sys.stderr)
    answer = options.series * options.steps * len(params.quantiles) * 8 / MIB
    print(f"{options.series:,} series x {options.steps} steps x {len(params.quantiles)} quantiles from "
          f"{options.context} steps, with a breach head that looks back {model.looks_back}; {options.threads} threads; "
          f"median of {options.rounds} rounds. The quantiles alone are {answer:,.0f} MiB.")  # fmt: skip
    print(f"{'':20}{'seconds':>10}{'CPU s':>10}{'series/s':>12}{'peak MiB':>10}")
    result = {}
    for name, found in rows.items():
        seconds, cpu, peak = (statistics.median(column) for column in zip(*found, strict=True))
        result[name] = {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}
        print(f"{name:20}{seconds:10.2f}{cpu:10.2f}{options.series / seconds:12,.0f}{peak:10,.0f}")
    print(json.dumps(result))


def made(n: int, steps: int, step_seconds: int = 3_600) -> SeriesSet:
    """Daily waves with noise, 1 % gaps and a limit that some of them meet."""
    random = np.random.default_rng(0)
    values = 50 + 10 * np.sin(2 * np.pi * (step_seconds * np.arange(steps) / 86_400 + random.random((n, 1))))
    values += random.normal(0, 1, values.shape)
    values[random.random(values.shape) < 0.01] = np.nan
    names = np.array([f"user{row}" for row in range(n)], object)
    times = 1_700_006_400 + step_seconds * np.arange(steps)
    return SeriesSet({"user": names}, times, step_seconds, values, limit=np.full(values.shape, 64.0))


def bare(model: Model, series: SeriesSet) -> Callable[[], object]:
    """The network alone, over and over on one ready batch, as often as the series fill it."""
    spec, size, device = model.spec, min(BATCH, series.n_series), pick_device(model.params.device)
    windows = Windows.of(series.take(range(size)), spec.params, spec.vocabularies, spec.covariates, device)
    rows, network = torch.arange(size, device=device), deepcopy(model.network).to(device)
    window, _ = windows.gather(rows, torch.full_like(rows, series.n_steps - 1))

    def forward() -> None:
        with torch.no_grad():
            for _ in range(-(-series.n_series // size)):
                network(window)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return forward


def measured(job: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and MiB beyond what was held before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    held = memory("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - started, time.process_time() - cpu, memory("VmHWM") - held


def memory(field: str) -> float:
    """MiB, by the kernel."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) / 1024


if __name__ == "__main__":
    main()
