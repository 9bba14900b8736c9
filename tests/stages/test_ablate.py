"""What the inputs of a task are worth."""

from dataclasses import replace

import numpy as np
import pytest

from tests.learn.conftest import daily_waves, series_of, small_params
from tests.stages.conftest import Folder
from tsf.io.artifacts import write_series
from tsf.learn.search import without_each
from tsf.stages.ablate import ablate

pytestmark = pytest.mark.models


def test_an_input_that_foretells_the_values_helps_and_one_of_noise_does_not(folder: Folder) -> None:
    random = np.random.default_rng(0)
    cause = random.choice([-20.0, 20.0], (12, 40)).repeat(12, axis=1)
    values = 60 + np.roll(cause, 12, axis=1) + random.normal(0, 1, cause.shape)
    series = series_of(values, covariates={"cause": cause, "noise": random.normal(0, 1, cause.shape)})
    write_series(series, folder.paths.series)
    sizes = {"epochs": 20, "windows_per_epoch": 2_048, "hidden_dim": 32, "learning_rate": 0.01}
    folder.set(**sizes, dimensions=[], night={"start": "00:00", "end": "00:00"})
    before, said = (folder.root / "params.yaml").read_text(), []
    found = ablate("a", folder.root, folds=3, progress=said.append)
    assert found.table.index[0] == "covariate cause"
    assert found.table.loc["covariate cause", "change"] > 0.5
    assert found.table["verdict"].iloc[0] == "helps"
    assert found.table.loc["covariate noise", "change"] < 0.2
    assert "covariate cause" in found.summary
    assert len(said) == len(found.table) + 2
    assert (folder.root / "params.yaml").read_text() == before


def test_each_input_is_left_out_once_and_the_rest_stays() -> None:
    values = daily_waves(2)
    series = series_of(values, limit=np.full(values.shape, 95.0), covariates={"io": values, "users": values})
    params = small_params(dimensions=("user", "absent"), holidays="DE", derived=("rate", "burst"))
    found = without_each(series, params)
    derived = ["derived rate", "derived burst"]
    assert [*found] == ["limit", "covariate io", "covariate users", *derived, "label user", "night", "holidays"]
    assert [found[name][1].derived for name in derived] == [("burst",), ("rate",)]
    assert found["limit"][0].limit is None
    assert [*found["covariate io"][0].covariates] == ["users"]
    assert found["label user"][1].dimensions == ("absent",)
    assert found["night"][1].night.start == found["night"][1].night.end
    assert found["holidays"][1].holidays == ""
    assert [*without_each(replace(series, limit=None, covariates={}), small_params(dimensions=()))] == ["night"]
