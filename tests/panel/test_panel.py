"""The panel without a browser: its state, its controls, and the notebook that shows it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import papermill
import pytest
from ruamel.yaml import YAML

from tests.pipeline.conftest import make_project
from tests.test_plots import example, forecast_of
from tsf.errors import EmptyError, ParamsError, TsfError
from tsf.flow.queue import claim, finish, list_runs
from tsf.flow.tasks import remove_task
from tsf.io.source import fetch_from_source
from tsf.panel import TaskModel, TaskPanel, show
from tsf.panel import model as model_module
from tsf.panel.model import KEYS, Choice, Results, _choices
from tsf.panel.panel import SECTIONS
from tsf.params import read_params
from tsf.presets import PRESETS


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(model_module, "start_runner", lambda root: None)
    return make_project(tmp_path, ("storage", "cpu")).root


@pytest.fixture
def model(root: Path) -> TaskModel:
    return TaskModel(root=root)


def results_of(model: TaskModel) -> Results:
    """What a run of storage could have left: two series with a forecast and one without."""
    results = Results.__new__(Results)
    results.name, results.task = "storage", read_params(model.root).task("storage")
    results.series = example()
    results.forecast = forecast_of(results.series, 190)
    results.metrics = {"wql": 0.5, "wql_best_baseline": 1.0, "best_baseline": "last_value"}
    results.metrics |= {"coverage_80": 0.8, "judged": 9}
    results.receipt = {"model": "m1", "version": "v1", "sent_to": "textfile"}
    results.choices = [Choice(0.8, 2, 0.9, 1.5, 0.4, False), Choice(0.3, 0, 0.85, 4.0, 0.7, True)]
    return results


def saved(root: Path, task: str) -> dict:
    return YAML(typ="safe").load((root / "params.yaml").read_text())["tasks"][task]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_the_form_and_says_why(model: TaskModel, preset: str) -> None:
    model.start_new(preset)
    assert model.is_new
    assert model.reason
    assert model.name not in model.tasks
    if preset == "custom":
        assert "fetch.metric_query" in model.problems
        model.set_text("fetch.metric_query", "something_used")
    assert not model.problems
    assert f"+  {model.name}:" in model.diff


def test_an_open_task_that_nobody_touched_changes_nothing(model: TaskModel) -> None:
    for task in ("storage", "cpu"):
        model.open_task(task)
        assert not model.problems
        assert model.diff == ""


@pytest.mark.parametrize(
    ("key", "text", "word"),
    [
        ("fetch.metric_query", "sum(", "not PromQL"),
        ("fetch.metric_query", "requests_total", "rate(requests_total[5m])"),
        ("fetch.metric_query", "", "what is used"),
        ("fetch.limit", "sum(", "not PromQL"),
        ("train.epochs", "0", "greater"),
        ("train.epochs", "many", "many"),
        ("train.epochs", "[", "integer"),
        ("train.epochs", 5000 * "[", "integer"),
        ("train.epochs", 5000 * "9", "integer"),
        ("train.epochs", "!!int x", "integer"),
        ("train.night.start", "8 pm", "time of day"),
        ("train.quantiles", "[0.9, 0.5]", "increase"),
        ("fetch.history", "1h", "fewer than 2 steps"),
        ("push.horizons", "[7h]", "beyond"),
    ],
)
def test_a_mistake_is_told_as_it_is_typed_and_cannot_be_saved(
    model: TaskModel, root: Path, key: str, text: str, word: str
) -> None:
    model.open_task("storage")
    before = (root / "params.yaml").read_bytes()
    model.set_text(key, text)
    assert word in " ".join(model.problems.values())
    with pytest.raises(ParamsError):
        model.save()
    assert (root / "params.yaml").read_bytes() == before


def test_a_name_that_is_unsafe_or_taken_is_refused(model: TaskModel) -> None:
    model.start_new("storage")
    for name in ("../x", "a b", "storage"):
        model.name = name
        assert not model.check()


def test_what_is_saved_is_what_was_typed_and_comments_stay(model: TaskModel, root: Path) -> None:
    model.start_new("storage")
    comments = re.findall("#.*", (root / "params.yaml").read_text())
    model.name = "home"
    typed = {"owner": "alice", "fetch.limit": "3e12", "train.epochs": "7", "train.dimensions": "[group]"}
    typed |= {"train.night.start": "'21:00'", "alert.left": "null"}  # as in params.yaml
    for key, text in typed.items():
        model.set_text(key, text)
    diff = model.diff
    assert model.save() == diff
    block = saved(root, "home")
    assert block["owner"] == "alice"
    assert block["fetch"]["limit"] == 3e12
    assert block["train"]["epochs"] == 7
    assert block["train"]["dimensions"] == ["group"]
    assert block["train"]["night"]["start"] == "21:00"
    assert block["alert"]["left"] is None
    assert re.findall("#.*", (root / "params.yaml").read_text()) == comments
    assert not model.is_new


def test_a_form_that_is_out_of_date_overwrites_nobody(model: TaskModel, root: Path) -> None:
    other = TaskModel(root=root)
    for form in (model, other):
        form.open_task("storage")
    other.set_text("train.epochs", "9")
    other.save()
    model.set_text("train.hidden_dim", "16")
    assert "somebody else has changed this task" in model.problems[""]
    with pytest.raises(ParamsError, match="open it again"):
        model.save()
    assert saved(root, "storage")["train"]["epochs"] == 9
    model.open_task("storage")
    model.set_text("train.hidden_dim", "16")
    model.save()
    model.set_text("train.hidden_dim", "32")
    model.save()
    assert (saved(root, "storage")["train"]["epochs"], saved(root, "storage")["train"]["hidden_dim"]) == (9, 32)


@pytest.mark.parametrize(
    ("task", "broken", "told"),
    [
        ("storage", b"# all gone", "somebody else has changed this task"),
        ("storage", b"tasks: [", "it is not YAML"),
        ("storage", b"- a", "stands where keys should"),
        ("storage", b"tasks: {other: {fech: {}}}", "tasks.other.fech: unknown key"),
        ("storage", b"# caf\xe9", "save it as UTF-8"),
        ("", b"tasks: [", "it is not YAML"),
        ("", b"tasks: 5", "stands where keys should"),
    ],
)
def test_params_yaml_that_somebody_breaks_meanwhile_is_told_and_not_written_over(
    root: Path, task: str, broken: bytes, told: str
) -> None:
    panel = TaskPanel(task, root, live=False)
    (root / "params.yaml").write_bytes(broken)
    panel.fields["train.epochs"].value = "9"
    assert told in panel.message.value
    assert panel.save_button.disabled


def test_a_field_that_is_emptied_goes_back_to_its_default(model: TaskModel, root: Path) -> None:
    model.open_task("storage")
    model.set_text("alert.line", "")
    model.set_text("train.hidden_dim", "")
    model.save()
    assert saved(root, "storage")["train"]["hidden_dim"] == KEYS["train.hidden_dim"].default


def test_a_look_finds_the_labels_that_could_be_dimensions(model: TaskModel) -> None:
    model.open_task("storage")
    model.look()
    assert model.series is not None
    assert model.labels["group"] == 3
    assert set(model.labels) == {"cluster", "group", "storage_type", "user"} == set(model.dimensions)
    shown = show.look_html(model)
    assert "<svg" in shown
    assert "<script" not in shown


def test_a_metric_that_is_not_there_is_told_in_the_words_of_the_source(model: TaskModel) -> None:
    model.open_task("storage")
    model.set_text("fetch.metric_query", "no_such_metric")
    with pytest.raises(TsfError, match="no_such_metric"):
        model.look()


def test_an_answer_that_comes_late_is_not_taken_for_what_is_asked_now(
    model: TaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.open_task("storage")

    def slow(*_: object, **__: object) -> None:
        model.open_task("cpu")  # while the source thinks
        raise EmptyError("nothing")

    monkeypatch.setattr("tsf.panel.model.fetch_from_source", slow)
    model.look()  # says nothing: it is no longer about this task
    assert (model.name, model.series) == ("cpu", None)


def test_a_picture_of_before_is_told_from_what_is_read_now(root: Path) -> None:
    panel = TaskPanel("storage", root)
    panel.wait()
    assert "39 series" in panel.look.value
    seen: list[str] = []
    panel.look.observe(lambda change: seen.append(change.new), "value")
    panel.fields["fetch.limit"].value = "nobody_has_this"
    panel.wait()
    assert seen[0].startswith("<p>Reading the newest data…</p>")
    assert "Reading" not in panel.look.value
    assert "nobody_has_this" in panel.message.value


def test_a_zone_that_is_half_typed_when_the_data_come_is_no_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = TaskPanel("storage", root, live=False)

    def slow(*args: Any, **options: Any) -> Any:
        panel.fields["train.time_zone"].value = "Asia/Sh"
        return fetch_from_source(*args, **options)

    monkeypatch.setattr("tsf.panel.model.fetch_from_source", slow)
    panel._try(panel._look)
    assert "39 series" in panel.look.value
    assert "time in Asia/Shanghai" in panel.look.value
    assert "is not a time zone" in panel.notes["train.time_zone"].value


def test_a_query_that_finds_nothing_leaves_no_picture_of_another(model: TaskModel) -> None:
    model.open_task("storage")
    model.look()
    model.set_text("fetch.metric_query", "no_such_metric")
    with pytest.raises(TsfError, match="no_such_metric"):
        model.look()
    assert model.series is None
    assert "<svg" not in show.look_html(model)


def test_the_plan_counts_and_a_change_makes_it_void(model: TaskModel, root: Path) -> None:
    model.open_task("cpu")
    model.make_plan()
    assert model.plan.samples == model.plan.series.n_series * 15 * 24
    assert model.plan.parameters > 0
    assert "minutes of training" in show.plan_html(model)
    model.set_text("train.model_type", "transformer")
    assert model.plan is None
    model.make_plan()
    assert "Transformer pays" in " ".join(model.warnings)
    model.set_text("train.model_type", "lstm")
    model.set_text("train.batch_size", "0")
    model.make_plan()
    assert "batches of 64 windows" in model.plan.basis
    assert model.warnings == []
    assert not list_runs(root)


def test_a_run_is_queued_watched_cancelled_and_its_failure_told(model: TaskModel, root: Path) -> None:
    model.open_task("cpu")
    model.start()
    assert model.refresh()
    assert model.run.state == "pending"
    assert "number 1 in the queue" in show.run_html(model.run, model.progress)
    model.cancel()
    assert not model.refresh()
    assert "Cancelled" in show.run_html(model.run, None)
    model.start()
    run = claim(root)
    assert run
    assert model.refresh()
    assert "Running" in show.run_html(model.run, model.progress)
    finish(root, run.id, "failed", "fetch@cpu: <b>it</b> broke.")
    assert not model.refresh()
    said = show.run_html(model.run, None)
    assert "&lt;b&gt;it&lt;/b&gt; broke" in said


def test_a_series_without_a_forecast_has_no_chance_of_a_breach(model: TaskModel) -> None:
    results = results_of(model)
    assert re.findall("<td>(.*?)</td>", show.results_html(results)) == ["90 %", "10 %", "–"]
    results.forecast = replace(results.forecast, p_breach=None)
    assert re.findall("<td>(.*?)</td>", show.results_html(results)) == ["–", "–", "–"]


def test_the_controls_show_the_model_and_change_it(root: Path) -> None:
    panel = TaskPanel(root=root, live=False)
    assert panel.choice.value == "+storage"
    assert panel.fields["train.sequence_length"].value == "216"
    panel.fields["fetch.metric_query"].value = "sum("
    assert panel.save_button.disabled
    assert 'role="alert"' in panel.notes["fetch.metric_query"].value
    panel.choice.value = "cpu"
    assert panel.name.value == "cpu"
    assert panel.name.disabled
    assert not panel.save_button.disabled
    panel.fields["train.epochs"].value = "9"
    panel.save_button.click()
    assert saved(root, "cpu")["train"]["epochs"] == 9
    assert "epochs: 9" in panel.plan.value
    panel.choice.value = "+gpu"
    assert (panel.name.value, panel.name.disabled) == ("gpu", False)


def test_a_task_that_was_removed_meanwhile_is_told_and_the_form_stays(root: Path) -> None:
    panel = TaskPanel(root=root, live=False)
    panel.fields["owner"].value = "me"
    params = root / "params.yaml"
    params.write_text(remove_task(params.read_text(), "cpu"))
    panel.choice.value = "cpu"
    assert "there is no task" in panel.message.value
    assert (panel.choice.value, panel.fields["owner"].value) == ("+storage", "me")


def test_what_was_typed_and_not_saved_is_there_when_its_task_is_chosen_again(root: Path) -> None:
    panel = TaskPanel("storage", root, live=False)
    epochs, owner = panel.fields["train.epochs"], panel.fields["owner"]
    before = epochs.value
    epochs.value = "7"
    panel.choice.value = "cpu"
    assert epochs.value != "7"
    assert "What was typed into storage and not saved" in panel.message.value
    panel.choice.value = "+gpu"
    assert "What was typed" not in panel.message.value
    panel.name.value, owner.value = "cards", "ann"
    panel.choice.value = "storage"
    assert (epochs.value, panel.model.texts["train.epochs"]) == ("7", "7")
    panel.save_button.click()
    assert saved(root, "storage")["train"]["epochs"] == 7
    panel.choice.value = "+gpu"
    assert (panel.name.value, panel.model.name, owner.value) == ("cards", "cards", "ann")
    panel.choice.value = "storage"
    assert epochs.value == "7" != before  # it is saved, and no draft any more
    assert panel.model.diff == ""


def test_the_buttons_plan_run_and_cancel(root: Path) -> None:
    panel = TaskPanel("cpu", root, live=False)
    told: list[str] = []
    panel.model.observe(lambda change: told.append(change.new), "message")
    panel.plan_button.click()
    panel.wait()
    assert "samples" in panel.plan.value, panel.message.value
    assert told == ["Reading the newest data…", ""]
    panel.run_button.click()
    assert [run.state for run in list_runs(root)] == ["pending"]
    assert panel.run_button.disabled
    assert not panel.cancel_button.disabled
    panel.cancel_button.click()
    panel.wait()
    assert [run.state for run in list_runs(root)] == ["cancelled"]
    assert not panel.run_button.disabled


def test_a_new_task_that_was_run_is_open_by_its_name(root: Path) -> None:
    panel = TaskPanel(root=root, live=False)
    panel.name.value = "home"
    panel.run_button.click()
    assert [run.task for run in list_runs(root)] == ["home"]
    assert panel.name.disabled
    assert panel.choice.value == "home"
    assert "Saved home." in panel.message.value
    panel.cancel_button.click()
    panel.wait()
    assert "Cancelled" in panel.state.value


def test_every_key_of_a_task_has_a_field_with_its_reason(root: Path) -> None:
    panel = TaskPanel("storage", root, live=False)
    shown = {widget for box in panel.children for widget in _all(box)}
    for key, one in KEYS.items():
        assert panel.fields[key] in shown, key
        assert escape(one.description) in panel.notes[key].value, key


def test_each_section_of_settings_is_opened_and_closed_by_a_button_which_every_keyboard_reaches(root: Path) -> None:
    panel = TaskPanel("storage", root, live=False)
    widgets = list(panel.children)
    head = next(box for box in widgets if getattr(box, "description", "") == "The model and how it learns")
    settings = widgets[widgets.index(head) + 1]
    assert panel.fields["train.epochs"] in settings.children
    seen = [(settings.layout.display, head.tooltip)]
    for _ in range(2):
        head.click()
        seen.append((settings.layout.display, head.tooltip))
    assert seen == [("none", "Open"), ("", "Close"), ("none", "Open")]


def test_the_labels_of_the_data_are_offered_as_dimensions(root: Path) -> None:
    panel = TaskPanel("storage", root)
    panel.wait()
    boxes = {box.description.split()[0]: box for box in panel.dimensions.children}
    assert set(boxes) == {"cluster", "group", "storage_type", "user"}
    assert all(box.value for box in boxes.values())
    boxes["user"].value = False
    assert panel.fields["train.dimensions"].value == "[group, storage_type, cluster]"
    panel.plan_button.click()
    panel.wait()
    panel.save_button.click()
    panel.wait()  # for the look at the data that follows: it must not hide what was done
    assert saved(root, "storage")["train"]["dimensions"] == ["group", "storage_type", "cluster"]
    assert "Saved storage." in panel.message.value
    assert "dimensions: [group, storage_type, cluster]" in panel.plan.value
    panel.fields["owner"].value = "ann"
    assert panel.message.value == show.message_html("")


def test_hiding_the_bar_hides_nothing_else(root: Path) -> None:
    panel = TaskPanel("storage", root, live=False)
    assert panel.bar.layout.display == "none"
    hidden = [widget for widget in _all(panel) if widget.layout.display == "none"]
    assert hidden[-2:] == [panel.bar, panel.trade_off]
    assert len(hidden[:-2]) == len(SECTIONS)  # until their buttons open them


def test_words_of_a_server_are_escaped(model: TaskModel) -> None:
    model.open_task("storage")
    model.message = "<img src=x onerror=alert(1)>"
    assert "<img" not in show.message_html(model.message)
    assert "<img" not in show.note_html("owner", model.message)
    assert "<img" not in show.diff_html(f"+{model.message}")


def test_outside_of_a_project_the_panel_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="not inside a tsf project"):
        TaskPanel(root=tmp_path)


def test_the_notebook_shows_the_panel_and_leaves_nothing_running(root: Path, tmp_path: Path) -> None:
    done = tmp_path / "executed.ipynb"
    source = shutil.copy(root / "notebooks/setup.ipynb", tmp_path / "setup.ipynb")
    executed = papermill.execute_notebook(
        source, done, parameters={"task": "storage"}, cwd=root, kernel_name="python3", progress_bar=False,
        execution_timeout=120,
    )  # fmt: skip
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)


def _all(widget: object) -> list[object]:
    inner = [one for child in getattr(widget, "children", ()) for one in _all(child)]
    return [widget, *inner]


def test_one_slides_along_the_trade_off_and_the_choice_goes_into_the_form(root: Path) -> None:
    panel = TaskPanel("storage", root, live=False)
    assert panel.trade_off.layout.display == "none"
    panel.model.results = results_of(panel.model)
    assert panel.trade_off.layout.display == ""
    assert [label for label, _ in panel.choices.options] == [
        "1.5: 40 % of the breaches in time", "4.0: 70 % of the breaches in time",
    ]  # fmt: skip
    assert "Fires at a chance of 30 %" in panel.choice_note.value  # the one that was chosen
    panel.choices.value = 0
    assert "held for 2 h, while 90 % of the limit" in panel.choice_note.value
    assert "1.5 alarms a week and team, 40 % of the breaches" in panel.choice_note.value
    panel.choice_button.click()
    panel.model.save()
    alert = saved(root, "storage")["alert"]
    assert (alert["policy"], alert["probability"], alert["hold"], alert["gate"]) == ("fixed", 0.8, 2, 0.9)


def test_the_choices_are_those_that_the_evaluation_left(tmp_path: Path) -> None:
    path = tmp_path / "policy.csv"
    assert _choices(path) == []
    path.write_text("threshold,hold,gate,alarms,recall,cost,chosen\n0.3,0,0.85,4,0.7,9,True\n0.8,2,0.9,1.5,,12,False\n")
    first, second = _choices(path)
    assert (first.threshold, first.hold, first.chosen, first.recall == first.recall) == (0.8, 2, False, False)
    assert second == Choice(0.3, 0, 0.85, 4.0, 0.7, True)
