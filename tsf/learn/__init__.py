"""Computing: features, networks, training, forecasting, calibration, baselines, metrics and backtest."""

from tsf.learn.backtest import Backtest, backtest, model_forecaster, rolling_origins
from tsf.learn.baselines import Forecaster, default_baselines, last_value, predict_linear, seasonal_naive
from tsf.learn.breach_fit import fit_breach
from tsf.learn.course import Checkpoint
from tsf.learn.features import is_night, seasons_of
from tsf.learn.forecast import predict, rolling_forecasts
from tsf.learn.model import Calibration, Epoch, Model, Spec, build_model, model_state, parameter_count
from tsf.learn.train import fit
from tsf.learn.windows import device_name

__all__ = [
    "Backtest",
    "Calibration",
    "Checkpoint",
    "Epoch",
    "Forecaster",
    "Model",
    "Spec",
    "backtest",
    "build_model",
    "default_baselines",
    "device_name",
    "fit",
    "fit_breach",
    "is_night",
    "last_value",
    "model_forecaster",
    "model_state",
    "parameter_count",
    "predict",
    "predict_linear",
    "rolling_forecasts",
    "rolling_origins",
    "seasonal_naive",
    "seasons_of",
]
