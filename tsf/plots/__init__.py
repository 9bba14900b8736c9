"""Figures that are returned, never saved, and their accessible HTML; they know words and frames only."""

from tsf.plots.alarms import Timeline, plot_audit, plot_policy, plot_reliability, plot_rules, plot_timelines
from tsf.plots.markup import figure_html
from tsf.plots.scores import (
    plot_backtest,
    plot_breach_urgency,
    plot_by_horizon,
    plot_coverage,
    plot_past,
    plot_training,
    plot_tuning,
)
from tsf.plots.series import pick_rows, plot_forecast, plot_quality, plot_series
from tsf.units import unit_of

__all__ = [
    "Timeline",
    "figure_html",
    "pick_rows",
    "plot_audit",
    "plot_backtest",
    "plot_breach_urgency",
    "plot_by_horizon",
    "plot_coverage",
    "plot_forecast",
    "plot_past",
    "plot_policy",
    "plot_quality",
    "plot_reliability",
    "plot_rules",
    "plot_series",
    "plot_timelines",
    "plot_training",
    "plot_tuning",
    "unit_of",
]
