"""What fixes a network's shape and its inputs, in plain values: all of a model that needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tsf.params import TrainParams

__all__ = ["Spec", "plain_spec", "spec_of"]


@dataclass(frozen=True)
class Spec:
    """All that fixes a network's shape and its inputs, in plain values.

    vocabularies: label -> its known values; any other value takes the slot "unknown".
    seasons: cycles, in steps, that the naive forecasts repeat. segment: steps that are read and written at once.
    """

    params: TrainParams
    step_seconds: int
    vocabularies: Mapping[str, tuple[str, ...]]
    covariates: tuple[str, ...]
    limited: bool
    seasons: tuple[int, ...]
    past_segment: int
    segment: int


def plain_spec(spec: Spec) -> dict[str, Any]:
    """`spec` as JSON-able values."""
    plain = {field.name: getattr(spec, field.name) for field in fields(Spec)}
    plain["params"] = spec.params.model_dump(mode="json")
    plain["vocabularies"] = {name: list(values) for name, values in spec.vocabularies.items()}
    return plain | {name: list(plain[name]) for name in ("covariates", "seasons")}


def spec_of(plain: Mapping[str, Any]) -> Spec:
    """The spec of `plain_spec`. Raises KeyError, TypeError or pydantic's ValidationError where it is none."""
    values = dict(plain)
    values["params"] = TrainParams.model_validate(values["params"])
    values["vocabularies"] = {name: tuple(known) for name, known in values["vocabularies"].items()}
    return Spec(**values | {name: tuple(values[name]) for name in ("covariates", "seasons")})
