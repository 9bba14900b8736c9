"""A training that was cut off, on disk: one safetensors file with JSON in its header, so that it is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors import numpy as safetensors

from tsf.errors import ModelError
from tsf.io.files import json_text, replacing

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], path: Path) -> None:
    """Put both in the place of an older checkpoint at once. Raises ModelError if the disk refuses."""
    arrays = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    with replacing(path, ModelError) as file:
        file.write(safetensors.save(arrays, {"tsf": json_text(facts).decode()}))


def read_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """What write_checkpoint wrote; None where there is none, or none that can be read: training then starts afresh."""
    try:
        with safe_open(path, framework="np") as file:
            facts = json.loads(file.metadata()["tsf"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
