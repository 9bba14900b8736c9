import numpy as np
import pytest

from tests.stages.conftest import Folder
from tsf import plots
from tsf.stages.evaluate import evaluate
from tsf.stages.train import plan, train

pytestmark = pytest.mark.models


def test_an_evaluation_says_what_its_forecasts_rest_on(folder: Folder, tmp_path) -> None:
    train(plan("a", folder.root), folder.root)
    evaluation = evaluate("a", folder.root)
    assert set(evaluation.reasons.index) == {
        "the newest tenth of the past", "any other part of the past", "calendar", "label user", "limit",
    }  # fmt: skip
    hours = evaluation.past_hours
    assert hours.columns[0] == "all series"
    assert len(hours.columns) == 5
    assert np.isfinite(hours.to_numpy()).all()
    plots.plot_past(hours).savefig(tmp_path / "past.png")
