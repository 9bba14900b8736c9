"""The panel itself: ipywidgets over a TaskModel. What a person may wait for runs in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from tsf.errors import TsfError
from tsf.kinds import chance_text
from tsf.panel import show
from tsf.panel.model import KEYS, TaskModel, written
from tsf.presets import PRESETS
from tsf.project import find_root
from tsf.words import Words

__all__ = ["TaskPanel"]

PAUSE_SECONDS = 0.8  # of typing, before the server is asked
POLL_SECONDS = 1.0
FIRST = ("owner", "fetch.metric_query", "fetch.limit")
LABELS = {"owner": "Owner", "fetch.metric_query": "Metric (PromQL)", "fetch.limit": "Limit (PromQL)"}
SECTIONS = {
    "fetch": "What is read",
    "train": "The model and how it learns",
    "evaluate": "How it is judged",
    "push": "What is written back",
    "alert": "What counts as a breach",
}
WIDE = {"width": "99%"}  # a dict, of which each widget makes a layout of its own
HEAD = {"width": "99%", "display": "flex", "align_items": "center", "justify_content": "flex-start"}
LABELLED = {"description_width": "14em"}


class TaskPanel(w.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """A form for one task of the project that the kernel runs in: from preset to forecast.

    task: one of params.yaml; by default a new one. root: the project's folder. language: en or zh_CN, of all but errors
    and warnings from elsewhere; any other counts as en. Raises ParamsError outside a project.
    """

    def __init__(
        self, task: str = "", root: Path | str | None = None, *, live: bool = True, language: str = "en"
    ) -> None:
        self.model = TaskModel(root=find_root(Path(root) if root else None), language=language)
        self.words = self.model.words
        self.live = live
        self._threads: list[threading.Thread] = []
        self._timer: threading.Timer | None = None
        self._filling = False
        self._make_controls()
        self._inputs = {"name": self.name, **self.fields}
        self._untouched: dict[str, str] = {}  # what stood in each of them before somebody typed
        self._drafts: dict[str, dict[str, str]] = {}  # by what `choice` holds: what was typed there and not saved
        super().__init__(self._sections(), layout=w.Layout(max_width="72rem"))
        self._observe()
        self.open_task(task) if task else self.start_new("storage")

    def open_task(self, task: str) -> None:
        """Show a task of params.yaml."""
        self._fill(lambda: self.model.open_task(task))
        if self.model.run and self.model.refresh():
            self._in_thread(self._watch)

    def start_new(self, preset: str) -> None:
        """Show a new task made from a preset."""
        self._fill(lambda: self.model.start_new(preset))

    def wait(self, seconds: float = 60.0) -> None:
        """Wait for what goes on behind the panel."""
        end = time.monotonic() + seconds
        if self._timer:
            self._timer.join(seconds)
        for thread in list(self._threads):
            thread.join(max(0.0, end - time.monotonic()))

    def _make_controls(self) -> None:
        words = self.words
        self.choice = w.Dropdown(description=words("Task"), style=LABELLED, layout=WIDE)
        self.name = w.Text(description=words("Name"), style=LABELLED, layout=WIDE)
        self.reason, self.message, self.look, self.plan = (w.HTML(layout=WIDE) for _ in range(4))
        self.state, self.results = w.HTML(layout=WIDE), w.HTML(layout=WIDE)
        self.dimensions = w.HBox(layout={"flex_flow": "row wrap"})
        self.fields: dict[str, Any] = {key: _field(key, words) for key in KEYS}
        self.notes = {key: w.HTML(layout=WIDE) for key in ("name", *KEYS)}
        self.bar = w.IntProgress(min=0, max=100, layout=WIDE)
        self.plan_button = w.Button(
            description=words("Plan"), tooltip=words("What it would read, write and cost; saves nothing")
        )
        self.save_button = w.Button(
            description=words("Save"), tooltip=words("Write params.yaml; comments stay"), button_style="primary"
        )
        self.run_button = w.Button(
            description=words("Run"), tooltip=words("Fetch, train, evaluate, push"), button_style="success"
        )
        # A list, along which one slides by the arrow keys: the handle of ipywidgets' sliders has no name for a reader.
        self.choices = w.Select(
            options=[("", 0)], rows=7, description=words("Alarms a week"), style=LABELLED, layout=WIDE
        )
        self.choice_note = w.HTML(layout=WIDE)
        self.choice_button = w.Button(
            description=words("Use this"), tooltip=words("Set threshold, hold and gate; Save writes them")
        )
        self.trade_off = w.VBox([self.choices, self.choice_note, self.choice_button], layout={"display": "none"})
        self.cancel_button = w.Button(description=words("Cancel"), tooltip=words("Stop the run"), disabled=True)

    def _sections(self) -> list[w.Widget]:
        """The panel from top to bottom, as a person goes through it."""
        first = [widget for key in FIRST for widget in (self.fields[key], self.notes[key])]
        settings = [widget for section in SECTIONS for widget in self._section(section)]
        return [
            self.choice,
            self.name,
            self.notes["name"],
            self.reason,
            *first,
            self.look,
            self.dimensions,
            *settings,
            w.HBox([self.plan_button, self.save_button, self.run_button, self.cancel_button]),
            self.message,
            self.plan,
            self.bar,
            self.state,
            self.results,
            self.trade_off,
        ]

    def _section(self, section: str) -> list[w.Widget]:
        """A button, and what it opens and closes: no key reaches the heads of ipywidgets' accordion."""
        box = w.VBox(self._rows(section))
        button = w.Button(description=self.words(SECTIONS[section]), layout=HEAD)

        def turn(opened: bool) -> None:
            box.layout.display = "" if opened else "none"
            button.icon = "caret-down" if opened else "caret-right"
            button.tooltip = self.words("Close") if opened else self.words("Open")

        button.on_click(lambda _: turn(box.layout.display == "none"))
        turn(False)
        return [button, box]

    def _rows(self, section: str) -> list[w.Widget]:
        """The fields of a section, each with its unit, default and reason."""
        rows: list[w.Widget] = []
        for key, field in self.fields.items():
            if key.startswith(f"{section}.") and key not in FIRST:
                rows += [field, self.notes[key]]
        return rows

    def _observe(self) -> None:
        self.choice.observe(self._choose, "value")
        self.name.observe(lambda change: self._typed("name", change.new), "value")
        for key, field in self.fields.items():
            field.observe(lambda change, key=key: self._typed(key, change.new), "value")
        self.choices.observe(lambda _: self._show_choice(), "value")
        self.choice_button.on_click(lambda _: self._take_choice())
        self.plan_button.on_click(lambda _: self._plan())
        self.save_button.on_click(lambda _: self._try(self._save))
        self.run_button.on_click(lambda _: self._try(self._run))
        self.cancel_button.on_click(lambda _: self._try(self.model.cancel))
        draw = {
            "problems": self._show_problems,
            "series": self._show_look,
            "plan": self._show_plan,
            "message": lambda: setattr(self.message, "value", show.message_html(self.model.message)),
            "run": self._show_run,
            "progress": self._show_run,
            "results": self._show_results,
        }
        for name, act in draw.items():
            self.model.observe(lambda _, act=act: act(), name)

    def _fill(self, act: Callable[[], None]) -> None:
        """Change the model as a whole, then all fields, without taking that for typing."""
        self._filling = True
        try:
            act()
            new = [(self.words("new, from preset {preset}").format(preset=preset), f"+{preset}") for preset in PRESETS]
            self.choice.options = [*((task, task) for task in self.model.tasks), *new]
            self.choice.value = self._shown
            self.name.value, self.name.disabled = self.model.name, not self.model.is_new
            self.reason.value = f"<p>{escape(self.model.reason)}</p>"
            for key, field in self.fields.items():
                field.value = self.model.texts[key]
            self._untouched = {key: field.value for key, field in self._inputs.items()}
        finally:
            self._filling = False
        self._show_problems()
        self._show_run()
        self._look_soon(0.0)

    def _choose(self, change: Any) -> None:
        if self._filling or not change.new:
            return
        new, old = change.new, self._shown
        typed = {key: field.value for key, field in self._inputs.items() if field.value != self._untouched[key]}
        self._drafts[old] = typed
        self._try(lambda: self.start_new(new[1:]) if new.startswith("+") else self.open_task(new))
        self._filling = True  # back to what is shown, should the other be gone
        self.choice.value = self._shown
        self._filling = False
        for key, text in self._drafts.pop(self._shown, {}).items():
            self._inputs[key].value = text
        if typed and self._shown != old:
            kept = self.words("What was typed into {task} and not saved stays until this panel is closed.")
            self.model.message = kept.format(task=old.removeprefix("+"))

    @property
    def _shown(self) -> str:
        """What `choice` holds for the task that the fields show."""
        return f"+{self.model.preset}" if self.model.is_new else self.model.name

    def _typed(self, key: str, text: str) -> None:
        if self._filling:
            return
        if key == "name":
            self.model.name = text.strip()
            self.model.plan = None
            self.model.check()
        else:
            self.model.set_text(key, text or "")
        self.model.message = self.model.problems.get("", "")  # what was told of other settings is void
        if key.startswith("fetch."):
            self._look_soon(PAUSE_SECONDS)

    def _look_soon(self, seconds: float) -> None:
        """Ask the source once the typing has stopped."""
        if self._timer:
            self._timer.cancel()
        if not self.live or self.model.problems:
            return
        self._timer = threading.Timer(seconds, lambda: self._in_thread(self._look))
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """While the source thinks, what is seen is of before."""
        note = f"<p>{escape(self.words('Reading the newest data…'))}</p>"
        self.look.value = note + self.look.value.removeprefix(note)
        try:
            self.model.look()
        finally:
            self.look.value = self.look.value.removeprefix(note)

    def _plan(self) -> None:
        self.model.message = note = self.words("Reading the newest data…")

        def act() -> None:
            self.model.make_plan()
            if self.model.message == note:
                self.model.message = ""

        self._in_thread(act)

    def _save(self) -> None:
        diff = self.model.save()
        done = self.model.message
        self._fill(lambda: self.model.open_task(self.model.name))
        self.plan.value, self.model.message = show.diff_html(diff, self.words), done

    def _run(self) -> None:
        self._save()
        self.model.start()
        self._in_thread(self._watch)

    def _watch(self) -> None:
        """Follow a run to its end."""
        name = self.model.name
        while self.model.name == name and self.model.refresh():
            time.sleep(POLL_SECONDS)

    def _try(self, act: Callable[[], Any]) -> None:
        """What goes wrong is told in the panel: nobody looks into the log of a kernel."""
        try:
            act()
        except TsfError as fault:
            self.model.message = str(fault)
        except Exception as fault:
            told = f"{type(fault).__name__}: {fault}"
            self.model.message = self.words("This should not have happened: {fault}").format(fault=told)

    def _in_thread(self, act: Callable[[], Any]) -> None:
        thread = threading.Thread(target=self._try, args=(act,), daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def _show_problems(self) -> None:
        for key, note in self.notes.items():
            note.value = show.note_html(key, self.model.problems.get(key, ""), self.words)
        whole = self.model.problems.get("", "")
        if whole:
            self.model.message = whole
        for button in (self.plan_button, self.save_button, self.run_button):
            button.disabled = bool(self.model.problems)

    def _show_look(self) -> None:
        self.look.value = show.look_html(self.model)
        self._show_dimensions()

    def _show_dimensions(self) -> None:
        """A box to tick for each label that the data have; what is ticked is what the model learns from."""
        chosen, boxes = self.model.dimensions, []
        for label, count in self.model.labels.items():
            box = w.Checkbox(label in chosen, description=f"{label} ({count:,})", indent=False)
            box.observe(lambda change, label=label: self._tick(label, change.new), "value")
            boxes.append(box)
        self.dimensions.children = boxes

    def _tick(self, label: str, chosen: bool) -> None:
        others = [name for name in self.model.dimensions if name != label]
        self.fields["train.dimensions"].value = written([*others, label] if chosen else others)

    def _show_plan(self) -> None:
        self.plan.value = show.plan_html(self.model) if self.model.plan is not None else ""

    def _show_results(self) -> None:
        results = self.model.results
        self.results.value = show.results_html(results, self.words)
        found = [] if results is None else results.choices
        self.trade_off.layout.display = "" if found else "none"
        if found:
            chosen = next((place for place, one in enumerate(found) if one.chosen), 0)
            told = self.words("{alarms:.1f}: {recall} of the breaches in time")
            self.choices.options = [
                (told.format(alarms=one.alarms, recall=chance_text(one.recall)), place)
                for place, one in enumerate(found)
            ]
            self.choices.value = chosen
            self._show_choice()

    def _show_choice(self) -> None:
        if self.model.results is not None and self.model.results.choices:
            choice = self.model.results.choices[self.choices.value]
            self.choice_note.value = show.choice_html(choice, self.model.results.task.fetch.step, self.words)

    def _take_choice(self) -> None:
        if self.model.results is not None:
            choice = self.model.results.choices[self.choices.value]
            taken = {"policy": "fixed", "probability": choice.threshold, "hold": choice.hold, "gate": choice.gate}
            for key, value in taken.items():
                self.fields[f"alert.{key}"].value = written(value)

    def _show_run(self) -> None:
        run = self.model.run
        running = run is not None and run.state in ("pending", "running")
        self.cancel_button.disabled = not running
        self.run_button.disabled = running or bool(self.model.problems)
        self.state.value = show.run_html(run, self.model.progress, self.words)
        self.bar.value, self.bar.bar_style = show.share_done(run, self.model.progress), show.bar_style(run)
        self.bar.layout.display = "" if running else "none"


def _field(key: str, words: Words) -> Any:
    """The control of a key: a list of choices, or text with the default in grey."""
    one = KEYS[key]
    name = words(LABELS[key]) if key in LABELS else key.partition(".")[2]
    if one.choices:
        default = words("default: {choice}").format(choice=one.default)
        options = [(default, ""), *((choice, choice) for choice in one.choices)]
        return w.Dropdown(options=options, description=name, style=LABELLED, layout=WIDE)
    hint = words("none: forecasts without breach output") if key == "fetch.limit" else written(one.default)
    return w.Text(description=name, placeholder=hint, style=LABELLED, layout=WIDE, continuous_update=True)
