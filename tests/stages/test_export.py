"""The ONNX file says what the model says, and a model on disk what it said before."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from tests.learn.conftest import MODEL_TYPES, daily_waves, series_of, small_params, weekly_pattern
from tsf.io.artifacts import write_json
from tsf.io.registry import promote, register
from tsf.learn import fit, fit_breach, predict, read_exported, rolling_forecasts
from tsf.learn.deploy import Deployed
from tsf.learn.features import calendar, label_indices
from tsf.params import TrainParams
from tsf.stages.export import export_onnx, export_task
from tsf.stages.models import load_model, save_model

pytestmark = pytest.mark.models


def inputs_of(model, series, told=None):
    """What a caller without torch gives: the newest context of each series, and the calendar, by what it was `told`."""
    length, ahead = model.reads, model.params.prediction_steps
    steps = series.times[-1] + series.step_seconds * np.arange(1 - length, ahead + 1)
    tables = [series.covariates[name][:, -length:] for name in model.spec.covariates]
    return {
        "values": series.values[:, -length:],
        "limit": np.full(series.n_series, np.nan) if series.limit is None else series.limit[:, -1],
        "covariates": np.stack(tables, 1) if tables else np.zeros((series.n_series, 0, length)),
        "calendar": calendar(steps, model.params if told is None else TrainParams(**told)),
        "labels": label_indices(series, model.spec.vocabularies),
    }


def assert_alike(exported, model, series, origins=()):
    """Both say the same of the series, from their end and from the `origins`."""
    assert exported.looks_back == model.looks_back
    for here, there in zip(
        *(rolling_forecasts(one, series, [*origins, series.n_steps - 1]) for one in (exported, model)), strict=True
    ):
        assert here.abstained.tolist() == there.abstained.tolist()
        assert here.quantiles == pytest.approx(there.quantiles, rel=1e-5, nan_ok=True)
        if series.limit is not None:
            assert here.p_breach == pytest.approx(there.p_breach, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_onnx_file_gives_the_forecast_of_the_model_for_any_number_of_rows(model_type, tmp_path):
    values = daily_waves()
    series = series_of(values, limit=np.full(values.shape, 95.0), covariates={"io": np.roll(values, 1, 1)})
    clock = {"time_zone": "Europe/Berlin", "holidays": "DE", "night": {"start": "20:00", "end": "06:00"}}
    model = fit(series, small_params(model_type=model_type, epochs=2, derived=("rate", "burst"), **clock))
    model = fit_breach(model, series)
    export_onnx(model, tmp_path / "a.onnx", {"version": "0123456789ab"})
    exported, card = read_exported((tmp_path / "a.onnx").read_bytes(), "")
    assert card == {"version": "0123456789ab"}
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    facts = json.loads(session.get_modelmeta().custom_metadata_map["tsf"])
    assert facts["version"] == "0123456789ab"
    assert facts["labels"]["user"][0] == "user0"
    assert facts["limited"]
    told = {name: facts[name] for name in clock}
    values = values.copy()
    values[4, -20:-3] = np.nan
    for rows in (range(12), [4]):
        some = replace(series, values=values).take(list(rows))
        quantiles, peaks = session.run(["quantiles", "peak_quantiles"], inputs_of(model, some, told))
        assert quantiles == pytest.approx(predict(model, some).quantiles, rel=1e-5)
        assert (np.diff(peaks, axis=2) >= 0).all()
        assert_alike(exported, model, some)


def test_a_model_without_limit_labels_and_covariates_is_exported_too(tmp_path):
    series = series_of(1e12 * daily_waves(4))
    model = fit(series, small_params(epochs=1, model_type="transformer", dimensions=(), bounds=(0.0, 8e13)))
    export_onnx(model, tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    wanted = {one.name for one in session.get_inputs()}
    given = {name: array for name, array in inputs_of(model, series).items() if name in wanted}
    quantiles, _ = session.run(None, given)
    assert quantiles == pytest.approx(predict(model, series).quantiles, rel=1e-5)
    limited = replace(series, limit=np.full(series.values.shape, 8e13))
    assert_alike(read_exported((tmp_path / "a.onnx").read_bytes(), "")[0], model, limited, [50, 60])


def test_the_earlier_weeks_of_a_model_are_exported_with_it(tmp_path):
    series = series_of(weekly_pattern(4, 12))
    model = fit(series, small_params(epochs=1, dimensions=()))
    assert model.calibration.week_share > 0
    export_onnx(model, tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    facts = json.loads(session.get_modelmeta().custom_metadata_map["tsf"])
    assert facts["reads"] == 8 * 168
    values = series.values.copy()
    values[1, -5 * 168 : -4 * 168] = values[2, : -3 * 168] = np.nan  # a week is missing; too few weeks
    some = replace(series, values=values)
    assert_alike(read_exported((tmp_path / "a.onnx").read_bytes(), "")[0], model, some, [30, 700, 8 * 168 + 5])
    wanted = {one.name for one in session.get_inputs()}
    given = {name: array for name, array in inputs_of(model, some).items() if name in wanted}
    quantiles, _ = session.run(None, given)
    assert quantiles == pytest.approx(predict(model, some).quantiles, rel=1e-5)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_what_is_exported_computes_as_predict_does(model_type, limited_series):
    model = fit(limited_series, small_params(model_type=model_type, epochs=1))
    inputs = {name: torch.from_numpy(np.array(part)) for name, part in inputs_of(model, limited_series).items()}
    with torch.no_grad():
        quantiles, _ = Deployed(model)(**inputs)
    assert quantiles.numpy() == pytest.approx(predict(model, limited_series).quantiles, rel=1e-6)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_model_read_from_disk_forecasts_bit_for_bit_as_before(model_type, limited_series, tmp_path):
    model = fit(limited_series, small_params(model_type=model_type, epochs=1))
    save_model(model, tmp_path, {"data_hash": limited_series.data_hash})
    before, after = (predict(one, limited_series) for one in (model, load_model(tmp_path)[0]))
    assert before.quantiles.tobytes() == after.quantiles.tobytes()
    assert before.p_breach.tobytes() == after.p_breach.tobytes()


def test_the_champion_of_a_task_is_exported_by_its_name(folder, small_model, monkeypatch):
    written = []
    monkeypatch.setattr("tsf.stages.export.export_onnx", lambda model, path, card: written.append((path, card)))
    version = save_model(small_model, folder.paths.model, {"data_hash": "0"})
    name = "model_20260101_000000"
    promote(folder.paths, register(folder.paths, name))
    write_json({"alarms": {"threshold": 0.2, "weeks": 3}}, folder.paths.kept_evaluation(version))
    assert export_task("a", folder.root / "a.onnx", folder.root) == version
    told = {"name": name, "version": version, "data_hash": "0", "commit": ""}
    assert written == [(folder.root / "a.onnx", {**told, "query": "used_bytes", "chosen": {"probability": 0.2}})]
