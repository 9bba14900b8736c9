from dataclasses import replace

import numpy as np
import pytest

from tests.stages.conftest import Folder
from tsf import plots
from tsf.errors import HistoryError
from tsf.io.artifacts import write_series
from tsf.io.registry import versions
from tsf.series import SeriesSet
from tsf.stages.evaluate import evaluate
from tsf.stages.train import plan, train

pytestmark = pytest.mark.models


def test_an_evaluation_says_what_its_forecasts_rest_on(folder: Folder, tmp_path) -> None:
    train(plan("a", folder.root), folder.root)
    evaluation = evaluate("a", folder.root)
    assert set(evaluation.why.shares.index) == {
        "the newest tenth of the past", "any other part of the past", "calendar", "label user", "limit",
    }  # fmt: skip
    hours = evaluation.past_hours
    assert hours.columns[0] == "on average"
    assert len(hours.columns) == 5
    assert np.isfinite(hours.to_numpy()).all()
    plots.plot_past(hours).savefig(tmp_path / "past.png")


@pytest.mark.parametrize(("held", "reason"), [(0.0, "only zeros"), (np.nan, "no sample")])
def test_held_out_data_that_cannot_judge_are_refused_and_no_model_becomes_champion(
    folder: Folder, limited_series: SeriesSet, held: float, reason: str
) -> None:
    values = limited_series.values.copy()
    values[:, -72:] = held
    write_series(replace(limited_series, values=values), folder.paths.series)
    train(plan("a", folder.root), folder.root)
    with pytest.raises(HistoryError, match=f"the last 3 d hold nothing to judge by.*{reason}"):
        evaluate("a", folder.root)
    assert not versions(folder.paths)


def test_a_rival_that_is_never_wrong_makes_a_sentence_too(folder: Folder, limited_series: SeriesSet) -> None:
    still = np.repeat(40.0 + np.arange(limited_series.n_series)[:, None], limited_series.n_steps, axis=1)
    write_series(replace(limited_series, values=still), folder.paths.series)
    train(plan("a", folder.root), folder.root)
    evaluation = evaluate("a", folder.root)
    assert evaluation.score("last_value", "wql") == 0
    assert "no lower than that of the best baseline, last value" in evaluation.summary


@pytest.mark.usefixtures("no_log_yet")
def test_what_an_evaluation_logs_goes_where_params_yaml_says(folder: Folder) -> None:
    folder.set()
    text = (folder.root / "params.yaml").read_text()
    (folder.root / "params.yaml").write_text(f"{text}    alert:\n      team: squad\nlogging:\n  file: tsf.log\n")
    train(plan("a", folder.root), folder.root)
    evaluate("a", folder.root)
    assert "WARNING tsf.stages.alarm_replay: No series has the label squad" in (folder.root / "tsf.log").read_text()


def test_a_model_is_not_judged_by_what_it_has_learnt_from(folder: Folder, limited_series: SeriesSet) -> None:
    train(plan("a", folder.root), folder.root)
    assert evaluate("a", folder.root).version
    write_series(limited_series.between(0, limited_series.n_steps - 1), folder.paths.series)  # an earlier moment
    with pytest.raises(HistoryError, match=r"learnt from samples up to .*, the held-out ones begin after .* from its"):
        evaluate("a", folder.root)


def test_the_model_and_its_rivals_keep_to_the_same_bounds(folder: Folder) -> None:
    folder.set(bounds=[60, 90])
    train(plan("a", folder.root), folder.root)
    for name, example in evaluate("a", folder.root).result.examples.items():
        assert np.nanmin(example.quantiles) >= 60, name
        assert np.nanmax(example.quantiles) <= 90, name
