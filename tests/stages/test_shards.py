"""Shards on a real Ray cluster give what one process gives, and its faults are one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import ray
from ray.cluster_utils import Cluster

from tsf.errors import FlowError, HistoryError
from tsf.learn import Model, fit, predict
from tsf.params import TrainParams
from tsf.series import SeriesSet, joined
from tsf.stages.shards import over_shards


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The environment that names a cluster of one node with three processors."""
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 3, "include_dashboard": False})
    try:
        yield {"RAY_ADDRESS": started.address}
    finally:
        started.shutdown()


@pytest.fixture(scope="module")
def series() -> SeriesSet:
    """Twelve daily waves with a limit, a covariate and hostile labels."""
    steps = np.arange(24 * 12)
    wave = 50 + 5 * np.arange(12)[:, None] + 10 * np.sin(2 * np.pi * steps / 24 + np.arange(12)[:, None])
    labels = {"group": np.array([f'group "{row}"' for row in range(12)], object)}
    limit = np.full_like(wave, 120.0)
    return SeriesSet(labels, steps * 3600, 3600, wave, limit=limit, covariates={"users": wave / 2})


@pytest.fixture(scope="module")
def model(series: SeriesSet) -> Model:
    quick = TrainParams(sequence_length=48, prediction_steps=6, hidden_dim=8, epochs=1, windows_per_epoch=64)
    return fit(series, quick)


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No test leaves a connection to a cluster."""
    yield
    assert not ray.is_initialized()


def test_shards_on_a_cluster_say_what_one_process_says(
    model: Model, series: SeriesSet, cluster: dict[str, str]
) -> None:
    forecasts = partial(predict, model, line=0.9)
    [here] = over_shards(forecasts, series, environ={})
    there = over_shards(forecasts, series, least=4, environ=cluster)
    assert [len(part.quantiles) for part in there] == [4, 4, 4]
    whole = joined(there)
    assert list(whole.labels["group"]) == list(series.labels["group"])
    np.testing.assert_allclose(whole.quantiles, here.quantiles, rtol=1e-5)
    assert here.p_breach is not None
    assert whole.p_breach is not None
    np.testing.assert_allclose(whole.p_breach, here.p_breach, rtol=1e-4)


def _refuse(series: SeriesSet) -> None:
    raise HistoryError("too little", where=str(series.n_series))


def _fail(series: SeriesSet) -> None:
    raise ZeroDivisionError("by nothing")


def test_a_fault_in_a_shard_is_the_sentence_it_is_here(series: SeriesSet, cluster: dict[str, str]) -> None:
    with pytest.raises(HistoryError, match="too little"):
        over_shards(_refuse, series, least=4, environ=cluster)
    with pytest.raises(FlowError, match=r"RAY_ADDRESS=.*: a shard failed with ZeroDivisionError: by nothing; "):
        over_shards(_fail, series, least=4, environ=cluster)


def test_a_cluster_that_is_not_there_is_named_with_the_cure(series: SeriesSet) -> None:
    with pytest.raises(FlowError, match=r"RAY_ADDRESS=127.0.0.1:9: the cluster cannot be used: .*; start it with `ray"):
        over_shards(_refuse, series, least=4, environ={"RAY_ADDRESS": "127.0.0.1:9"})


def test_few_series_stay_here_though_a_cluster_is_named(series: SeriesSet) -> None:
    assert over_shards(lambda shard: shard.n_series, series, environ={"RAY_ADDRESS": "nowhere:1"}) == [12]
