"""Figures say what they show, survive hostile labels and become small, accessible, reproducible HTML."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from threading import Event
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rcParams
from matplotlib.figure import Figure

from tsf import plots
from tsf.alarm.rivals import default_rules
from tsf.kinds import AlertLine
from tsf.plots.style import plain, styled
from tsf.series import Forecast, SeriesSet

HOUR = 3_600
START = 1_790_000_000 // HOUR * HOUR
LEVELS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
HOSTILE = "<script>alert('$x_{')</script>\"&$\n"
TIB = 2.0**40


def example(steps: int = 200, limit: bool = True, user: str = "an00") -> SeriesSet:
    times = START + HOUR * np.arange(steps)
    values = TIB * np.stack([9 + np.sin(np.arange(steps) / 4), np.full(steps, 10.0), np.full(steps, 2.0)])
    values[0, 20:30] = np.nan
    return SeriesSet(
        labels={
            "group": np.array(["vision", "ads", "ads"], object),
            "user": np.array([user, "bo01", "dai02"], object),
            "cluster": np.array(["east"] * 3, object),
        },
        times=times,
        step_seconds=HOUR,
        values=values,
        limit=np.full(values.shape, 10 * TIB) if limit else None,
    )


def forecast_of(series: SeriesSet, origin: int, horizon: int = 12, *, chance: bool = True) -> Forecast:
    middle = np.nan_to_num(series.values[:, origin], nan=9 * TIB)[:, None, None]
    quantiles = middle * (0.9 + 0.2 * LEVELS)[None, None, :] * np.ones((1, horizon, 1))
    quantiles[2] = np.nan
    return Forecast(
        labels=series.labels,
        origin_seconds=int(series.times[origin]),
        step_seconds=HOUR,
        levels=LEVELS,
        quantiles=quantiles,
        p_breach=np.repeat([[0.1], [0.9], [np.nan]], horizon, axis=1) if chance else None,
        abstained=np.array(["", "", "too few samples"], object),
    )


EPOCHS = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "train_loss": [0.9, 0.5, 0.4, 0.3],
        "validation_loss": [0.8, 0.6, 0.55, 0.7],
        "learning_rate": [0.001, 0.002, 0.001, 0.0001],
        "seconds": [1.0, 1.0, 1.0, 1.0],
        "best": [True, True, True, False],
    }
)
SCORES = pd.DataFrame(
    {"wql": [0.01, 0.02, 0.015], "mase": [0.5, 1.0, 0.8], "coverage": [0.8, 0.7, np.nan]},
    index=pd.Index(["lstm", "last value", "predict_linear"], name="forecaster"),
)
BY_HORIZON = pd.DataFrame({"lstm": [0.1, 0.3], "last value": [0.2, 0.25]}, index=pd.Index([12.0, 24.0], name="hours"))
COVERAGE = pd.DataFrame({"measured": [0.1, 0.42, 0.9]}, index=pd.Index([0.1, 0.5, 0.9], name="nominal"))
URGENCY = pd.DataFrame({"6h": [0.4, 0.1], "24h": [0.9, 0.2]}, index=pd.Index([HOSTILE, "vision"], name="series"))

FIGURES: dict[str, Callable[[], Figure]] = {
    "series": lambda: plots.plot_series(example(user=HOSTILE), [0, 1, 2], unit="bytes", time_zone="Asia/Shanghai"),
    "series without limit": lambda: plots.plot_series(example(limit=False), [0]),
    "quality": lambda: plots.plot_quality(example()),
    "forecast": lambda: plots.plot_forecast(
        example(user=HOSTILE), forecast_of(example(), 150), [0, 1, 2], line=0.98, unit="bytes"
    ),
    "forecast without limit": lambda: plots.plot_forecast(
        example(limit=False), forecast_of(example(), 199, chance=False), [0]
    ),
    "training": lambda: plots.plot_training(EPOCHS),
    "backtest": lambda: plots.plot_backtest(SCORES),
    "by horizon": lambda: plots.plot_by_horizon(BY_HORIZON),
    "coverage": lambda: plots.plot_coverage(COVERAGE),
    "urgency": lambda: plots.plot_breach_urgency(URGENCY),
}


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def title(figure: Figure) -> str:
    assert figure._suptitle is not None  # the one place where matplotlib keeps it
    return figure._suptitle.get_text()


# ── what the figures show ──


def test_usage_and_limit_stand_in_a_unit_that_people_read_with_gaps_shaded() -> None:
    figure = FIGURES["series"]()
    first = figure.axes[0]
    assert title(figure) == "1 of these 3 series reached their limit"
    assert first.get_ylabel() == "TiB"
    assert [axis.get_xlabel() for axis in figure.axes] == ["", "time in Asia/Shanghai", "time in Asia/Shanghai"]
    lines = {line.get_label(): np.asarray(line.get_ydata(), float) for line in first.lines}
    assert np.nanmax(lines["used"]) == pytest.approx(10, abs=0.01)
    assert set(lines["limit"]) == {10.0}
    assert len(first.patches) == 1  # one gap
    assert [axis.get_title(loc="left") for axis in figure.axes[1:]] == ["ads · bo01 · east", "ads · dai02 · east"]


def test_the_extremes_of_a_long_series_survive_thinning() -> None:
    steps = 20_000
    values = np.zeros((1, steps))
    values[0, 12_345], values[0, 777] = 5.0, -3.0
    series = SeriesSet({}, START + 60 * np.arange(steps), 60, values)
    line = plots.plot_series(series, [0]).axes[0].lines[0]
    drawn = np.asarray(line.get_ydata(), float)
    assert len(drawn) < 2_000
    assert (drawn.min(), drawn.max()) == (-3.0, 5.0)


def test_a_thinned_series_still_breaks_at_its_gaps() -> None:
    values = np.ones((1, 20_000))
    values[0, 5_000:5_010] = np.nan
    series = SeriesSet({}, START + 60 * np.arange(20_000), 60, values)
    drawn = np.asarray(plots.plot_series(series, [0]).axes[0].lines[0].get_ydata(), float)
    assert np.isnan(drawn).any()


def test_the_share_of_present_series_is_drawn_over_time() -> None:
    figure = FIGURES["quality"]()
    assert title(figure) == "98.3 % of the samples are there"
    share = np.asarray(figure.axes[0].lines[0].get_ydata(), float)
    assert share.min() == pytest.approx(2 / 3)
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("series with a sample", "time in UTC")


def test_a_forecast_shows_past_bands_limit_line_chance_and_what_came() -> None:
    figure = FIGURES["forecast"]()
    first, second, third = figure.axes
    assert title(figure) == "More likely than not to reach the line within 12 h: 1 of these 3 series"
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert texts == {
        "used",
        "80 % interval",
        "50 % interval",
        "median forecast",
        "what came",
        "limit",
        "alert line, 98 %",
    }
    assert second.get_title(loc="right") == "chance of breach 90 %"
    assert [text.get_text() for text in third.texts] == ["no forecast: too few samples"]
    lines = {line.get_label(): line for line in first.lines}
    past, came = (np.asarray(lines[name].get_xdata()) for name in ("used", "what came"))
    assert past.max() < came.min()
    assert len(came) == 12


def test_the_alert_line_lies_where_it_holds_for_each_limit_and_says_what_may_be_left() -> None:
    series = example()
    limit = np.array([10, 100, 1000])[:, None] * 2.0**40 * np.ones((1, series.n_steps))
    line = AlertLine(0.98, 4 * 2.0**40)
    series, forecast = replace(series, limit=limit), forecast_of(series, 150)
    figure = plots.plot_forecast(series, forecast, [0, 1, 2], line=line, unit="bytes")
    name = "alert line, 98 % or 4 TiB left"
    heights = [next(one for one in axis.lines if one.get_label() == name).get_ydata()[0] for axis in figure.axes]
    assert heights == [6, 96, 980]  # TiB
    assert name in {text.get_text() for text in figure.legends[0].get_texts()}


def test_the_kept_epoch_is_marked() -> None:
    figure = FIGURES["training"]()
    left, right = figure.axes
    assert title(figure) == "Epoch 3 of 4 was best, with a validation loss of 0.55"
    kept = next(line for line in left.lines if line.get_label() == "kept")
    assert (list(kept.get_xdata()), list(kept.get_ydata())) == ([3], [0.55])
    assert (left.get_ylabel(), right.get_ylabel(), left.get_xlabel()) == ("loss", "learning rate", "epoch")


def test_the_backtest_title_says_who_wins_and_by_how_much() -> None:
    figure = FIGURES["backtest"]()
    assert title(figure) == r"lstm is 33 % better than the best of the others, predict_linear"
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "weighted quantile loss",
        "error over the seasonal naive one (MASE)",
    ]
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.02, 0.015, 0.01]  # the best one on top
    worse = plots.plot_backtest(SCORES.assign(wql=[0.03, 0.02, 0.015]))
    assert title(worse) == "lstm is 100 % worse than the best of the others, predict_linear"
    for loss, verdict in ((0.015, "no better"), (0.01499, "<1 % better")):
        close = plots.plot_backtest(SCORES.assign(wql=[loss, 0.02, 0.015]))
        assert title(close) == f"lstm is {verdict} than the best of the others, predict_linear"


def test_every_forecaster_has_a_line_over_the_horizon() -> None:
    figure = FIGURES["by horizon"]()
    assert title(figure) == "lstm is the best of all at 1 of 2 distances"
    assert [line.get_label() for line in figure.axes[0].lines] == ["lstm", "last value"]
    assert len({line.get_marker() for line in figure.axes[0].lines}) == 2  # told apart without colour


def test_a_horizon_of_seconds_is_told_in_few_digits() -> None:
    series = example(limit=False)
    forecast = Forecast(
        labels=series.labels, origin_seconds=int(series.times[-1]), step_seconds=10, levels=LEVELS,
        quantiles=np.zeros((3, 24, len(LEVELS))),
    )  # fmt: skip
    assert title(plots.plot_forecast(series, forecast, [0])) == "Forecast of the next 4 min"


def test_coverage_names_the_quantile_that_is_furthest_off() -> None:
    assert title(FIGURES["coverage"]()) == "Right to within 8.0 points; the 50 % quantile is furthest off"


def test_urgency_counts_the_series_over_the_alarm() -> None:
    figure = FIGURES["urgency"]()
    assert title(figure) == "At or over the alarm's 50 %: 1 of these 2 series"
    assert figure.axes[0].get_xlabel() == "chance of a breach"
    gated = plots.plot_breach_urgency(URGENCY, 0.255, 0.95)
    assert title(gated).endswith("25.5 %: 1 of these 2 series; it asks for 95 % of the limit in use, too")


def test_rows_are_picked_from_full_to_empty_and_never_without_samples() -> None:
    series = example()
    assert plots.pick_rows(series, 3) == [1, 0, 2]
    assert plots.pick_rows(series, 1) == [1]
    values = series.values.copy()
    values[1] = np.nan
    hollow = SeriesSet(series.labels, series.times, HOUR, values, series.limit)
    assert plots.pick_rows(hollow, 6) == [0, 2]


def test_a_series_without_any_sample_is_said_to_have_none() -> None:
    series = SeriesSet({}, START + HOUR * np.arange(5), HOUR, np.full((1, 5), np.nan))
    figure = plots.plot_series(series, [0])
    assert "no samples here" in [text.get_text() for text in figure.axes[0].texts]


def test_where_there_is_nothing_to_see_the_figure_says_so() -> None:
    for figure in (
        plots.plot_series(example(), []),
        plots.plot_forecast(example(), forecast_of(example(), 150), []),
        plots.plot_breach_urgency(pd.DataFrame()),
    ):
        assert title(figure)
        assert not figure.axes
        assert "<svg" in plots.figure_html(figure, "caption")


# ── text ──


@given(st.text(max_size=200))
def test_foreign_text_is_never_mathematics_and_always_one_short_line(text: str) -> None:
    from matplotlib.text import Text

    shown = plain(text)
    prepared, is_math = Text(text=shown)._preprocess_math(shown)
    assert not is_math
    assert len(prepared) <= 70
    assert prepared.isprintable()


# ── the markup ──


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_becomes_small_svg_with_a_name_and_without_anything_from_outside(name: str) -> None:
    markup = plots.figure_html(FIGURES[name](), f"What {HOSTILE} is", SCORES)
    page = Page(markup)
    kinds = [tag for tag, _ in page.tags]
    assert len(markup) < 60_000
    assert kinds[:2] == ["figure", "svg"]
    assert {"figcaption", "details", "summary", "table", "caption"} <= set(kinds)
    assert not {"script", "image", "img", "metadata", "foreignobject"} & set(kinds)
    svg = dict(page.tags)["svg"]
    assert svg["role"] == "img"
    assert svg["aria-label"] == f"What {HOSTILE} is".replace("\n", " ")
    for _, attributes in page.tags:
        for key, value in attributes.items():
            if key in ("href", "xlink:href"):
                assert (value or "").startswith("#")
            assert "url(h" not in (value or "")


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes(name: str) -> None:
    assert plots.figure_html(FIGURES[name](), "caption") == plots.figure_html(FIGURES[name](), "caption")


def test_the_svg_is_well_formed_and_its_ids_are_its_own() -> None:
    first, second = (plots.figure_html(FIGURES["series"](), caption) for caption in ("one", "two"))
    ids = []
    for markup in (first, second):
        svg = markup[markup.index("<svg") : markup.index("</svg>") + 6]
        tree = ElementTree.fromstring(svg)  # noqa: S314 - our own output
        own = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
        assert len(own) == len(set(own)) > 0
        referred = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
        assert referred == set(own)
        ids.append(set(own))
    assert not ids[0] & ids[1]


def test_label_values_reach_the_page_as_text() -> None:
    page = Page(plots.figure_html(FIGURES["urgency"](), "caption", URGENCY))
    assert page.text.count("<script>alert('$x_{')</script>\"&$") == 2  # in the figure and in its table
    assert "script" not in [tag for tag, _ in page.tags]


def test_text_that_looks_like_markup_attributes_is_left_alone() -> None:
    name = 'id="x" url(#y) d="1.23456"'
    page = Page(plots.figure_html(plots.plot_breach_urgency(URGENCY.rename(index={"vision": name})), "caption"))
    assert name in page.text


def test_the_data_table_has_scoped_heads_a_named_corner_and_says_when_it_is_cut() -> None:
    frame = pd.DataFrame({"<b>": np.arange(300) / 7}, index=pd.Index(range(300), name="hour & day"))
    page = Page(plots.figure_html(FIGURES["coverage"](), "caption", frame))
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(head.get("scope") in ("col", "row") for head in heads)
    assert "hour & day" in page.text
    assert "the first 200 of 300 rows" in page.text
    told = pd.DataFrame({"n": [1870], "chosen": [True], "share": [0.5]}, index=pd.Index([10_000], name="row"))
    cells = re.findall(r">([^<>]+)</t[dh]>", plots.figure_html(FIGURES["coverage"](), "caption", told))
    assert cells == ["row", "n", "chosen", "share", "10,000", "1,870", "yes", "0.5"]
    unnamed = Page(plots.figure_html(FIGURES["coverage"](), "caption", frame.rename_axis(None)))
    assert "row" in unnamed.text


def test_labels_in_any_script_are_drawn_without_a_warning() -> None:
    markup = plots.figure_html(plots.plot_series(example(user="用户一 🚀"), [0]), "caption")
    assert "用户一 🚀" in markup


@settings(max_examples=15, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_no_label_value_breaks_the_markup(name: str) -> None:
    markup = plots.figure_html(plots.plot_breach_urgency(URGENCY.rename(index={"vision": name})), name)
    ElementTree.fromstring(markup[markup.index("<svg") : markup.index("</svg>") + 6])  # noqa: S314 - our own output


def test_drawing_leaves_the_readers_settings_alone() -> None:
    before = dict(rcParams)
    for draw in FIGURES.values():
        plots.figure_html(draw(), "caption")
    assert dict(rcParams) == before


def test_two_threads_that_draw_at_once_as_those_of_a_panel_leave_them_alone_too() -> None:
    before, one_draws, other_draws = dict(rcParams), Event(), Event()

    @styled
    def first() -> None:
        one_draws.set()
        other_draws.wait(0.3)

    @styled
    def second(done: Future[None]) -> None:
        other_draws.set()
        done.result(5)

    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(first)
        assert one_draws.wait(5)
        pool.submit(second, done).result(10)
    assert dict(rcParams) == before


def test_no_window_toolkit_is_loaded() -> None:
    code = "import sys, tsf.plots; raise SystemExit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def rules_table() -> pd.DataFrame:
    rows = {"tsf": (9, 1, 0, 4), HOSTILE: (10, 0, 0, 400), "silent": (0, 0, 10, 0)}
    columns = ["in time", "too late", "missed", "false alarms"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("rule")


def timeline(title: str) -> plots.Timeline:
    steps = np.arange(100)
    share = np.where(steps > 90, np.nan, 0.8 + steps / 500)
    fires = {"tsf": steps > 80, HOSTILE: steps > 95}
    line = np.full(len(steps), 0.98)
    return plots.Timeline(title, START + HOUR * steps, share, share - 0.02, share + 0.05, steps > 88, fires, line)


def test_dates_name_their_month_and_clock() -> None:
    figure = plots.plot_timelines([timeline("a")], time_zone="Asia/Shanghai", ahead="12h")
    figure.canvas.draw()
    axis = figure.axes[0]
    assert axis.get_xlabel() == "time in Asia/Shanghai"
    days = [label.get_text() for label in axis.get_xticklabels()]
    assert {bool(re.fullmatch(r"[A-Z][a-z]{2}-\d\d|\d\d:\d\d", day)) for day in days} == {True}, days


def test_use_beyond_a_limit_and_the_longest_name_of_a_rule_are_not_cut_off() -> None:
    one = timeline("a")
    axis = plots.plot_timelines([replace(one, share=one.share + 0.5)], ahead="12h").axes[0]
    assert axis.get_ylim()[1] > np.nanmax(one.share) + 0.5
    names = [rule.name for rule in default_rules(AlertLine())]
    table = pd.DataFrame(1, pd.Index(names, name="rule"), ["in time", "too late", "missed", "false alarms"])
    figure = plots.plot_rules(table)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    assert all(tick == int(tick) for axis in figure.axes for tick in axis.get_xticks())


def test_figures_of_alarms_say_what_happened_whatever_the_names_are() -> None:
    curve = pd.DataFrame({"alarms": [1.0, 3.0], "recall": [0.4, 0.9], "chosen": [False, True]}, index=[0.6, 0.3])
    chances = pd.DataFrame({"said": [0.05, 0.45, 0.95], "came": [0.04, 0.68, 0.1], "n": [1000, 50, 4]})
    unknown, line = np.full(5, np.nan), np.full(5, 0.9)
    empty = plots.Timeline("none", START + HOUR * np.arange(5), *[unknown] * 3, np.zeros(5, bool), {}, line)
    for figure, words in [
        (plots.plot_rules(rules_table()), "Ours announced 9 of 10 breaches in time, with 4 false alarms"),
        (plots.plot_policy(curve, 5.0), "At 30 %, 90 % of the breaches are announced in time with 3.0 alarms a week"),
        (plots.plot_policy(curve.head(0), 5.0), "The threshold was not chosen: it is as params.yaml sets it"),
        (plots.plot_policy(curve.assign(recall=np.nan), 5.0), "There were no breaches"),
        (plots.plot_reliability(chances), "fewer than 30 cases: by chance"),
        (plots.plot_reliability(chances), "The chance of a breach is off by 2.4 points on average, and by 23 at most"),
        (plots.plot_reliability(chances.tail(1)), "The chance of a breach is off by 85.0 points on average"),
        (plots.plot_timelines([timeline(HOSTILE), empty], ahead="12h"), "80 % interval, forecast 12h before"),
        (plots.plot_timelines([]), "No breach began in the weeks"),
    ]:
        markup = plots.figure_html(figure, "a caption")
        assert words in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", markup))
        assert "<script" not in markup
