"""Computing: features, networks, training, forecasting, calibration, baselines, metrics and backtest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsf.lazy import loader

if TYPE_CHECKING:
    from tsf.learn.backtest import Backtest as Backtest
    from tsf.learn.backtest import model_forecaster as model_forecaster
    from tsf.learn.backtest import rolling_origins as rolling_origins
    from tsf.learn.baselines import default_baselines as default_baselines
    from tsf.learn.baselines import last_value as last_value
    from tsf.learn.baselines import predict_linear as predict_linear
    from tsf.learn.baselines import seasonal_naive as seasonal_naive
    from tsf.learn.breach_fit import fit_breach as fit_breach
    from tsf.learn.course import Checkpoint as Checkpoint
    from tsf.learn.exported import Exported as Exported
    from tsf.learn.exported import read_exported as read_exported
    from tsf.learn.features import is_night as is_night
    from tsf.learn.features import seasons_of as seasons_of
    from tsf.learn.forecast import Forecasting as Forecasting
    from tsf.learn.forecast import predict as predict
    from tsf.learn.forecast import rolling_forecasts as rolling_forecasts
    from tsf.learn.model import Epoch as Epoch
    from tsf.learn.model import Model as Model
    from tsf.learn.model import build_model as build_model
    from tsf.learn.model import model_state as model_state
    from tsf.learn.model import parameter_count as parameter_count
    from tsf.learn.train import fit as fit
    from tsf.learn.windows import device_name as device_name

# Loaded on first use: a model that was exported forecasts where there is no torch.
_PLACES = {
    "Backtest": "tsf.learn.backtest",
    "Checkpoint": "tsf.learn.course",
    "Epoch": "tsf.learn.model",
    "Exported": "tsf.learn.exported",
    "Forecasting": "tsf.learn.forecast",
    "Model": "tsf.learn.model",
    "build_model": "tsf.learn.model",
    "default_baselines": "tsf.learn.baselines",
    "device_name": "tsf.learn.windows",
    "fit": "tsf.learn.train",
    "fit_breach": "tsf.learn.breach_fit",
    "is_night": "tsf.learn.features",
    "last_value": "tsf.learn.baselines",
    "model_forecaster": "tsf.learn.backtest",
    "model_state": "tsf.learn.model",
    "parameter_count": "tsf.learn.model",
    "predict": "tsf.learn.forecast",
    "predict_linear": "tsf.learn.baselines",
    "read_exported": "tsf.learn.exported",
    "rolling_forecasts": "tsf.learn.forecast",
    "rolling_origins": "tsf.learn.backtest",
    "seasonal_naive": "tsf.learn.baselines",
    "seasons_of": "tsf.learn.features",
}
__all__ = sorted(_PLACES)
__getattr__ = loader(__name__, _PLACES)
