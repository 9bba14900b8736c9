"""The panel in Chinese: whatever it shows, only names are left in Latin letters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets as w
import pytest

from tests.panel.test_panel import results_of
from tests.pipeline.conftest import make_project
from tsf.chinese import CHINESE
from tsf.flow.keys import task_keys
from tsf.flow.progress import WAITING, Progress
from tsf.flow.queue import Run
from tsf.panel import TaskPanel
from tsf.panel import model as model_module
from tsf.params import read_params
from tsf.presets import PRESETS
from tsf.project import STAGES

WORD = re.compile(r"(?<!\w)[A-Za-z_]\w*")
NAMES = {
    *("CA", "CN", "CPU", "CSV", "GPU", "GiB", "LSTM", "PromQL", "TiB", "Transformer", "US", "UTC", "ai_forecast_ALIAS"),
    *("dvc", "horizon", "null", "params", "rate", "snapshot", "torch", "until", "yaml"),
}
KEY_NAMES = {word for key in task_keys() for word in WORD.findall(f"{key.key} {key.default} {key.choices}")}
RUN = Run(1, "storage", "push", False, False, "pending", 0.0, None, None, 1, False, "", "", 3)


class Texts(HTMLParser):
    """What is read of some HTML: its texts and the names of its parts; a diff and styles are not sentences."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.skipped = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "pre") and not self.skipped:
            self.skipped = tag
        self.found += [text for name, text in attrs if name in ("aria-label", "title") and text]

    def handle_endtag(self, tag: str) -> None:
        if tag == self.skipped:
            self.skipped = ""

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.found += [data.strip()] if data.strip() else []


def shown(widget: w.Widget) -> Iterator[str]:
    """All that can be read in a widget but the names of keys and what was typed."""
    for child in getattr(widget, "children", ()):
        yield from shown(child)
    if isinstance(widget, w.HTML):
        yield from Texts(widget.value).found
    if isinstance(widget, w.Dropdown):
        yield from (label for label, _ in widget.options)
    for trait in ("description", "tooltip", "placeholder"):
        text = getattr(widget, trait, None)
        if text and text.split(".")[-1] not in KEY_NAMES:
            yield text
    yield from getattr(widget, "titles", ())


def foreign(panel: TaskPanel, names: set[str] = frozenset()) -> set[str]:
    """The texts of a panel in which something is neither Chinese nor a name."""
    task = read_params(panel.model.root).tasks["storage"]
    queries = WORD.findall(" ".join(f"{block}" for preset in PRESETS.values() for block in preset.block.values()))
    known = NAMES | KEY_NAMES | {*PRESETS, *STAGES, *queries, *WORD.findall(task.train.time_zone), *names}
    series = panel.model.series
    for column in [] if series is None else series.labels.values():
        known |= set(WORD.findall(" ".join(column)))
    known |= set(panel.model.labels)
    texts = set(shown(panel))
    assert len(texts) > 100
    return {text for text in texts if text in CHINESE or not set(WORD.findall(text)) <= known}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("chinese"), ("storage", "cpu")).root


@pytest.fixture
def panel(root: Path, monkeypatch: pytest.MonkeyPatch) -> TaskPanel:
    monkeypatch.setattr(model_module, "start_runner", lambda root: None)
    return TaskPanel("storage", root, live=False, language="zh_CN")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_new_task_is_chinese(panel: TaskPanel, preset: str) -> None:
    panel.start_new(preset)
    assert CHINESE[PRESETS[preset].reason] in panel.reason.value
    assert not foreign(panel)


def test_the_same_panel_is_english_for_any_other_language(root: Path) -> None:
    panel = TaskPanel("storage", root, live=False, language="fr")
    assert panel.save_button.description == "Save"
    assert len(foreign(panel)) > 60


def test_the_data_and_the_plan_are_chinese(panel: TaskPanel) -> None:
    for key, text in {"model_type": "transformer", "batch_size": "2"}.items():
        panel.model.set_text(f"train.{key}", text)
    panel.model.make_plan()
    assert "<svg" in panel.look.value
    assert "网络参数量" in panel.plan.value
    assert "Transformer 在样本超过" in panel.plan.value
    assert not foreign(panel)


def test_what_is_saved_is_told_in_chinese(panel: TaskPanel) -> None:
    panel.model.set_text("train.epochs", "7")
    for said in ("已保存 storage。", "没有更改。"):
        panel.model.save()
        assert said in panel.message.value
        assert not foreign(panel)
    for said in ("params.yaml 的更改", "params.yaml 保持不变。"):
        panel.fields["train.epochs"].value = "8"
        panel.save_button.click()
        assert said in panel.plan.value
        assert not foreign(panel)


def test_a_plan_that_could_not_be_timed_is_chinese(panel: TaskPanel) -> None:
    panel.model.make_plan()
    panel.model.plan = replace(panel.model.plan, minutes=None)
    assert f"<td>{CHINESE['not known']}</td>" in panel.plan.value
    assert not foreign(panel)


def test_mistakes_that_the_panel_finds_are_told_in_chinese(panel: TaskPanel) -> None:
    panel.start_new("custom")
    panel.name.value = "a b"
    assert set(panel.model.problems) == {"fetch.metric_query", "name"}
    assert not foreign(panel, {"a", "b", "z", "_"})
    panel.open_task("storage")
    panel.fields["train.epochs"].value = "["
    assert "不是整数" in panel.notes["train.epochs"].value
    panel._try(lambda: 1 / 0)
    assert "ZeroDivisionError" in panel.message.value
    assert not foreign(panel, {"ZeroDivisionError", "division", "by", "zero"})


def test_where_a_run_is_and_how_it_ended_is_chinese(panel: TaskPanel) -> None:
    stages = [
        Progress(4),
        Progress(4, waiting=WAITING),
        Progress(4, 1, "train", 3, 9, 2, 60, 0.5, 0.25, 76.0),
    ]
    seen = set()
    for state in ("pending", "running", "completed", "cancelled", "superseded", "failed"):
        for progress in (None, *stages) if state == "running" else (None,):
            panel.model.progress = progress
            panel.model.run = replace(RUN, state=state)
            assert not foreign(panel), state
            seen.add(panel.state.value)
    assert len(seen) == 9


def test_the_forecasts_of_a_run_are_chinese(panel: TaskPanel) -> None:
    results = results_of(panel.model)
    names = {word for column in results.series.labels.values() for word in WORD.findall(" ".join(column))}
    names |= {"last_value", "m1", "v1", "textfile", "too", "few", "samples"}  # why a series has no forecast is data
    panel.model.results = results
    assert "低 50 %" in panel.results.value
    assert "超限概率 90 %" in panel.results.value
    assert not foreign(panel, names)
    results.metrics["wql"] = 2.0
    results.forecast = replace(results.forecast, p_breach=None)
    panel.model.results = None
    panel.model.results = results
    assert "高 100 %" in panel.results.value
    assert not foreign(panel, names)
