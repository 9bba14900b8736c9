"""The seam by which computing scales out: one function over shards of the series, here or on a Ray cluster.

`RAY_ADDRESS` names the cluster, as it does for Ray's own commands; each of its nodes needs the same tsf.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from tsf.errors import FlowError, TsfError
from tsf.series import SeriesSet

__all__ = ["over_shards"]

T = TypeVar("T")
CONNECT_SECONDS = 10.0
LEAST_SERIES = 500  # of a shard: fewer are computed sooner than sent


def over_shards(
    compute: Callable[[SeriesSet], T],
    series: SeriesSet,
    *,
    least: int = LEAST_SERIES,
    environ: Mapping[str, str] = os.environ,
) -> list[T]:
    """What `compute` says of each shard of the series, in their order.

    Without a cluster all series are one shard, computed in this process. On one there are as many shards as it has
    processors, of at least `least` series. Raises FlowError where the cluster cannot be used, or what `compute` raises.
    """
    address = environ.get("RAY_ADDRESS", "")
    if not address or series.n_series < 2 * least:
        return [compute(series)]
    with _cluster(address) as ray:
        processors = int(ray.cluster_resources().get("CPU", 1))
        shards = np.array_split(np.arange(series.n_series), min(processors, series.n_series // least))
        work, shared = ray.remote(_apply), ray.put(compute)  # put: the model goes to each node once, not to each shard
        try:
            return list(ray.get([work.remote(shared, series.take(rows)) for rows in shards]))
        except ray.exceptions.RayError as fault:  # of `compute`, or a worker that died
            cause = getattr(fault, "cause", fault)
            if isinstance(cause, TsfError):
                raise cause from None
            raise FlowError(
                f"a shard failed with {type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}",
                where=f"RAY_ADDRESS={address}",
                cure="its nodes need the same tsf; unset RAY_ADDRESS to compute here",
            ) from None  # fmt: skip


def _apply(compute: Callable[[SeriesSet], T], series: SeriesSet) -> T:
    return compute(series)


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    where = f"RAY_ADDRESS={address}"
    try:
        import ray
    except ImportError:
        cure = "install it with `pip install --constraint constraints.txt --editable '.[scale]'`, or unset RAY_ADDRESS"
        raise FlowError("Ray is not installed", where=where, cure=cure) from None
    try:
        if port := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):  # Ray itself would ask for many minutes
            socket.create_connection((port[1], int(port[2])), timeout=CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as fault:  # Ray's ConnectionError is an OSError
        reason = str(fault).strip().splitlines()[0].rstrip(".")
        cure = "start it with `ray start --head`, or unset RAY_ADDRESS to compute here"
        raise FlowError(f"the cluster cannot be used: {reason}", where=where, cure=cure) from None
    try:
        yield ray
    finally:
        ray.shutdown()
