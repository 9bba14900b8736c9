"""The production job: python -m benchmarks.gpu; 1,000 series x 30 days x 5 minutes, width 256, 4 layers, 100 epochs.

Says how long it takes, how many windows a second it learns from, what share of the device's peak that is, and how much
memory it takes. On a CPU only a few epochs are run and the rest is extrapolated, which is said; its seconds are CPU
seconds, which stay true on a busy machine. Work is counted as two operations for each weight and token, once forward
and twice backward; what attention and the scaling of windows do besides is not counted. The peak is what a large square
product reaches on the same device in the same precision, or what the data sheet says (--peak-tflops). With --no-graphs
the CPU starts each kernel by itself, which shows what the CUDA graphs are good for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import pairwise
from typing import Any, get_args

import torch
from torch import nn

from benchmarks.predict import MIB, made, memory
from tsf.kinds import figure_text
from tsf.learn import Epoch, fit, train
from tsf.learn.model import build_network, build_spec
from tsf.learn.windows import Windows, pick_device
from tsf.params import ModelType, TrainParams
from tsf.series import SeriesSet

COUNTED = (nn.Linear, nn.LSTM, nn.GRU, nn.Conv1d, nn.MultiheadAttention)  # what holds nearly all weights
FORWARD_AND_BACKWARD = 3
PRODUCT = 4_096  # rows and columns of the product that finds the peak; a quarter of it on a CPU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--step-seconds", type=int, default=300)
    parser.add_argument("--context", type=int, default=288, help="steps the model looks back")
    parser.add_argument("--steps", type=int, default=24, help="steps ahead")
    parser.add_argument("--model-type", choices=get_args(ModelType), default="lstm")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--windows-per-epoch", type=int, default=TrainParams().windows_per_epoch)
    parser.add_argument("--epochs", type=int, default=100, help="of the job")
    parser.add_argument("--run", type=int, help="epochs that are run; by default all on a GPU and 5 on a CPU")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="bfloat16 on a GPU by default")
    parser.add_argument("--no-graphs", action="store_true", help="no CUDA graphs")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak-tflops", type=float, help="by the data sheet, instead of the measured one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.no_graphs:
        train.Graphed = lambda work, _: work
    device = pick_device(options.device)
    params = job(options, device)
    series = made(options.series, options.days * 86_400 // options.step_seconds, options.step_seconds)
    found = measured(series, params, device, options)
    print(told(found))
    print(json.dumps(found))


def job(options: argparse.Namespace, device: torch.device) -> TrainParams:
    """The training of the job, cut to the epochs that are run."""
    return TrainParams(
        model_type=options.model_type, sequence_length=options.context, prediction_steps=options.steps,
        hidden_dim=options.width, d_model=options.width, num_layers=options.layers, batch_size=options.batch_size,
        windows_per_epoch=options.windows_per_epoch, dimensions=("user",), device=device.type,
        precision=options.precision or ("bfloat16" if device.type == "cuda" else "float32"),
        epochs=min(options.epochs, options.run or (options.epochs if device.type == "cuda" else 5)),
        early_stopping_patience=options.epochs,
    )  # fmt: skip


def measured(
    series: SeriesSet, params: TrainParams, device: torch.device, options: argparse.Namespace
) -> dict[str, Any]:
    """Train, and put the figures together."""
    work = FORWARD_AND_BACKWARD * operations(series.take(range(8)), params)
    heard: list[Epoch] = []
    ends: list[float] = []
    clock = time.perf_counter if device.type == "cuda" else time.process_time

    def listen(epoch: Epoch) -> None:
        heard.append(epoch)
        ends.append(clock())

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    started = clock()
    fit(series, params, progress=listen)
    seconds = clock() - started
    held = torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else memory("VmHWM")
    epoch = statistics.median(later - earlier for earlier, later in pairwise(ends))
    batch = heard[-1].batch_size
    windows = max(1, params.windows_per_epoch // params.batch_size) * batch
    rate = windows / epoch
    peak = options.peak_tflops or product_tflops(device, params.precision)
    every = series.n_series * (series.n_steps - params.prediction_steps)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {options.threads} threads",
        "torch": torch.__version__, "precision": params.precision, "batch_size": batch,
        "epochs": options.epochs, "epochs_run": len(heard), "seconds": seconds,
        "epoch_seconds": epoch, "windows_per_epoch": windows, "windows_per_second": rate,
        "operations_per_window": work, "tflops": rate * work / 1e12, "peak_tflops": peak,
        "share_of_peak": rate * work / 1e12 / peak, "peak_mib": held,
        "wall_job_seconds": options.epochs * statistics.median(epoch.seconds for epoch in heard),
        "job_seconds": seconds + epoch * (options.epochs - len(heard)),
        "all_windows": every, "all_windows_job_seconds": options.epochs * every / rate,
    }  # fmt: skip


def operations(series: SeriesSet, params: TrainParams) -> float:
    """Floating-point operations of the network for one window, forward."""
    network = build_network(spec := build_spec(series, params))
    counted = 0.0

    def count(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal counted
        out = output[0] if isinstance(output, tuple) else output
        tokens = out.numel() / (out.shape[1] if isinstance(module, nn.Conv1d) else out.shape[-1])
        counted += 2 * tokens * sum(weight.numel() for weight in module.parameters() if weight.dim() > 1)

    inside = {part for module in network.modules() if isinstance(module, nn.MultiheadAttention)
              for part in module.modules() if part is not module}  # fmt: skip
    for module in network.modules():
        if isinstance(module, COUNTED) and module not in inside:
            module.register_forward_hook(count)
    windows = Windows.of(series, params, spec.vocabularies, spec.covariates, torch.device("cpu"))
    rows = torch.arange(series.n_series)
    network.train()(windows.gather(rows, torch.full_like(rows, series.n_steps - 1))[0])
    return counted / series.n_series


def product_tflops(device: torch.device, precision: str) -> float:
    """The best of some square products."""
    size = PRODUCT if device.type == "cuda" else PRODUCT // 4
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    matrix, best = torch.randn(size, size, device=device, dtype=kind), 0.0
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for _ in range(20):
        started = clock()
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * size**3 / (clock() - started) / 1e12)
    return best


def told(found: dict[str, Any]) -> str:
    """The figures in words; what was not run is called extrapolated."""
    whole = found["epochs_run"] == found["epochs"]
    reached = "" if whole else f", extrapolated from {found['epochs_run']}"
    cpu = found["device"].startswith("CPU")
    unit, clock = ("CPU s", f" ({found['wall_job_seconds']:,.0f} s by the clock)") if cpu else ("s", "")
    return "\n".join([
        f"{found['device']}, torch {found['torch']}, {found['precision']}, batches of {found['batch_size']}",
        f"{found['windows_per_second']:,.0f} windows in 1 {unit} (validation included), {found['epoch_seconds']:.2f} "
        f"{unit} for an epoch of {found['windows_per_epoch']:,}; peak memory {found['peak_mib']:,.0f} MiB",
        f"{found['tflops']:.3g} TFLOP/s, {figure_text(found['share_of_peak'], '.1%')} of {found['peak_tflops']:.3g}; "
        f"{found['operations_per_window'] / 1e6:,.0f} million operations per window",
        f"{found['epochs']} epochs: {found['job_seconds']:,.0f} {unit}{clock}{reached}; "
        f"over all {found['all_windows']:,} windows: {found['all_windows_job_seconds']:,.0f} {unit}, extrapolated",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
