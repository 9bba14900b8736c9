"""The mean of models that several clusters have trained."""

import math

import numpy as np
import pytest
import torch

from tests.learn.conftest import series_of, small_params
from tests.learn.test_course import weights
from tsf.errors import ModelError
from tsf.learn import fit, predict
from tsf.learn.federated import federated_average

pytestmark = pytest.mark.models
UNLABELLED = small_params(epochs=1, dimensions=())


def test_the_common_model_is_the_weighted_mean_and_can_be_trained_further(limited_series):
    halves = [limited_series.take(rows) for rows in (range(6), range(6, 12))]
    one, two = (fit(half, UNLABELLED) for half in halves)
    common = federated_average([one, two], [300, 100])
    assert torch.allclose(weights(common), 0.75 * weights(one) + 0.25 * weights(two))
    assert np.allclose(common.calibration.steps, 0.75 * one.calibration.steps + 0.25 * two.calibration.steps)
    assert (math.isnan(common.calibration.coverage), common.calibration.n) == (True, 0)
    assert np.isfinite(predict(common, halves[0]).quantiles).all()
    said = []
    fit(halves[1], UNLABELLED, start=common, say=said.append)
    assert said == ["training starts from a model"]
    assert not torch.equal(weights(one), weights(common))  # what is averaged stays as it was


def test_models_that_are_built_otherwise_are_not_averaged(limited_series):
    one, wide = (fit(limited_series, UNLABELLED.model_copy(update={"hidden_dim": width})) for width in (16, 8))
    with pytest.raises(ModelError, match="model 1 is built otherwise than model 0, in hidden_dim; train"):
        federated_average([one, wide], [1, 1])
    labelled = [fit(limited_series.take(rows), small_params(epochs=1)) for rows in (range(6), range(6, 12))]
    with pytest.raises(ModelError, match=r"in vocabularies; train .* on labels with the same values"):
        federated_average(labelled, [1, 1])
    slower = fit(series_of(limited_series.values, step_seconds=7_200, limit=limited_series.limit), UNLABELLED)
    with pytest.raises(ModelError, match=r"in step_seconds.*; train them with the same parameters and step"):
        federated_average([one, slower], [1, 1])


@pytest.mark.parametrize("counts", [[], [1], [1, -1], [0, 0], [1, math.nan], [1, math.inf]])
def test_weights_that_are_no_share_for_each_model_are_refused(limited_series, counts):
    one = fit(limited_series, UNLABELLED)
    with pytest.raises(ModelError, match="2 models cannot be counted by the weights"):
        federated_average([one, one], counts)


def test_no_models_have_no_mean():
    with pytest.raises(ModelError, match="0 models"):
        federated_average([], [])
