"""Forecasts of Prometheus metrics, and how likely and when each series reaches its limit.

From a frame with the columns `time`, `value` and any labels to a forecast:

    series = tsf.SeriesSet.from_frame(frame)
    model = tsf.fit(series, tsf.TrainParams(sequence_length=168, prediction_steps=24))
    forecast = tsf.predict(model, series)
    forecast.to_frame()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsf.lazy import loader

if TYPE_CHECKING:
    from tsf.errors import TsfError as TsfError
    from tsf.learn import Model as Model
    from tsf.learn import fit as fit
    from tsf.learn import predict as predict
    from tsf.learn.backtest import backtest as backtest
    from tsf.params import TrainParams as TrainParams
    from tsf.series import Forecast as Forecast
    from tsf.series import SeriesSet as SeriesSet
    from tsf.stages.models import load_model as load_model
    from tsf.stages.models import save_model as save_model

# Loaded on first use: `import tsf` stays cheap for the faces, which must not load torch.
_PLACES = {
    "Forecast": "tsf.series",
    "Model": "tsf.learn",
    "SeriesSet": "tsf.series",
    "TrainParams": "tsf.params",
    "TsfError": "tsf.errors",
    "backtest": "tsf.learn.backtest",
    "fit": "tsf.learn",
    "load_model": "tsf.stages.models",
    "predict": "tsf.learn",
    "save_model": "tsf.stages.models",
}
__all__ = sorted(_PLACES)
__getattr__ = loader(__name__, _PLACES)
