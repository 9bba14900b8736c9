"""Ready-made tasks: for each kind of metric the queries and the settings that suit it, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tsf.errors import ParamsError
from tsf.params import TrainParams
from tsf.words import Words

__all__ = ["PRESETS", "Preset", "model_warning", "preset_block"]

MANY_SAMPLES, LONG_CONTEXT = 1_000_000, 1_000  # up to both an LSTM learns as much from less


@dataclass(frozen=True)
class Preset:
    """A kind of metric: `reason` says why these settings, `block` holds what differs from the defaults of params.py."""

    reason: str
    block: Mapping[str, Mapping[str, Any]]


PRESETS: dict[str, Preset] = {
    "storage": Preset(
        "Quotas run 85–95 % full and follow working weeks: nine days of context, a day ahead, breaches from 98 % on.",
        {
            "fetch": {"metric_query": "storage_used_bytes", "limit": "storage_quota_bytes"},
            "train": {"model_type": "lstm", "sequence_length": 216, "prediction_steps": 24},
        },
    ),
    "gpu": Preset(
        "GPU memory moves in plateaus with the jobs: three days of context show who runs what, half a day ahead.",
        {
            "fetch": {"metric_query": "gpu_memory_used", "limit": "gpu_memory_total"},
            "train": {
                "model_type": "lstm",
                "sequence_length": 72,
                "prediction_steps": 12,
                "dimensions": ["group", "user", "cluster", "node"],
            },
            "push": {"horizons": ["1h", "6h", "12h"]},
        },
    ),
    "network": Preset(
        "Links saturate at peaks, not in total: query the peak of an interval, two days back, six hours ahead.",
        {
            "fetch": {"metric_query": "network_throughput", "limit": "network_capacity"},
            "train": {
                "model_type": "lstm",
                "sequence_length": 48,
                "prediction_steps": 6,
                "dimensions": ["cluster", "node"],
                "breach_samples": 2,
            },
            "evaluate": {"stride": "3h"},
            "push": {"horizons": ["1h", "3h", "6h"]},
            "alert": {"line": 0.9},
        },
    ),
    "cpu": Preset(
        "CPU is bounded by 0 and 100 % and follows the hours of work: a week of context, half a day ahead.",
        {
            "fetch": {"metric_query": "cpu_usage_percent", "limit": 100},
            "train": {
                "model_type": "lstm",
                "sequence_length": 168,
                "prediction_steps": 12,
                "dimensions": ["cluster", "node"],
                "bounds": [0, 100],
                "breach_samples": 2,
            },
            "push": {"horizons": ["1h", "6h", "12h"]},
            "alert": {"line": 0.9},
        },
    ),
    "custom": Preset(
        "Any PromQL: say the query, and the limit if there is one; counters need rate().",
        {"fetch": {}, "train": {"dimensions": [], "bounds": [None, None]}},
    ),
}


def preset_block(name: str, owner: str = "") -> dict[str, Any]:
    """A task block for params.yaml with every section, as DVC needs. Raises ParamsError for an unknown preset."""
    if name not in PRESETS:
        raise ParamsError(f"there is no preset {name!r}", where="preset", cure=f"choose from {', '.join(PRESETS)}")
    sections = ("fetch", "train", "evaluate", "push", "alert")
    block = deepcopy(PRESETS[name].block)
    return {"preset": name, "owner": owner} | {section: dict(block.get(section, {})) for section in sections}


def model_warning(train: TrainParams, samples: int, words: Words = str) -> str:
    """Why `model_type` is the wrong one for so many samples, "" where it is not."""
    if train.model_type != "transformer" or samples > MANY_SAMPLES or train.sequence_length > LONG_CONTEXT:
        return ""
    return words(
        "A Transformer pays above {many:,} samples or {long:,} steps of context; here are {samples:,} samples and "
        "{steps:,} steps: train an LSTM beside it and keep the better one."
    ).format(many=MANY_SAMPLES, long=LONG_CONTEXT, samples=samples, steps=train.sequence_length)
