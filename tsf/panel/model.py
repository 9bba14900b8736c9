"""What the panel knows and does, without a widget: a form over params.yaml, a look at the data, a plan and a run."""

from __future__ import annotations

import csv
import math
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ruamel.yaml.error import YAMLError
from traitlets import Bool, Dict, HasTraits, Instance, Unicode

from tsf.errors import ParamsError, TsfError
from tsf.flow.keys import Key, flat, task_keys
from tsf.flow.progress import Progress, read_progress
from tsf.flow.queue import ACTIVE, Run, cancel, enqueue, list_runs
from tsf.flow.runner import start_runner
from tsf.flow.runs import move_snapshot
from tsf.flow.tasks import add_task, edit_params, loaded, params_diff, read_text, write_params
from tsf.io.artifacts import read_forecast, read_series
from tsf.io.files import read_json
from tsf.io.source import fetch_from_source, newest_seconds
from tsf.params import TASK_NAME, Params, TaskParams, parse_params, read_params
from tsf.presets import PRESETS, preset_block
from tsf.project import TaskPaths
from tsf.promql import check_query, selectors
from tsf.series import Forecast, SeriesSet, rows_in
from tsf.words import Words, words_in

__all__ = ["KEYS", "Choice", "Results", "TaskModel", "written"]

LOOK_SECONDS = 7 * 86_400
KEYS = {key.key: key for key in task_keys() if key.key != "preset"}
SPELLED = ("integer", "number", "list", "mapping")  # written as YAML writes them; all else is text


class Results:
    """What the last run of a task left: forecast, data, and the scores of the model beside its baselines."""

    def __init__(self, root: Path, name: str, task: TaskParams) -> None:
        paths = TaskPaths(root, name)
        self.name, self.task = name, task
        self.forecast: Forecast = read_forecast(paths.pushed / "forecast.parquet")
        self.series: SeriesSet = read_series(paths.series)
        self.metrics: dict[str, Any] = read_json(paths.evaluation / "metrics.json")
        self.receipt: dict[str, Any] = read_json(paths.pushed / "receipt.json")
        self.choices = _choices(paths.policy)

    @property
    def urgent_rows(self) -> list[int]:
        """Rows of the forecast, the most urgent first."""
        from tsf.stages.urgency import Urgency

        return Urgency(self.history, self.forecast, self.task.alert.alert_line).rows

    @cached_property
    def history(self) -> SeriesSet:
        """The data of the forecast's series, in its order; a series that came later has no history here."""
        series, at = self.series, rows_in(self.series.labels, self.forecast.labels)
        values = np.where((at >= 0)[:, None], series.values[at], np.nan)
        limit = None if series.limit is None else np.where((at >= 0)[:, None], series.limit[at], np.nan)
        return SeriesSet(self.forecast.labels, series.times, series.step_seconds, values, limit)


class Choice(NamedTuple):
    """One way to fire: threshold, steps it must hold, share of the limit in use; and what it gave in the weeks before.

    alarms: a week and team. recall: share of the breaches that were announced in time.
    """

    threshold: float
    hold: int
    gate: float
    alarms: float
    recall: float
    chosen: bool


class TaskModel(HasTraits):
    """One task as it is edited. `texts` holds the fields by dotted key, as typed; "" leaves a key to its default.

    problems: key -> what is wrong with it, "" as key for what is no key's fault. Everything that asks a server or
    takes long is a method that blocks: a face calls it from a thread.
    """

    root = Instance(Path)
    language = Unicode("en")
    name = Unicode()
    preset = Unicode("storage")
    is_new = Bool(True)
    texts = Dict()
    problems = Dict()
    series = Instance(SeriesSet, allow_none=True)
    zone = Unicode("UTC")  # of `series`: the field may hold half of a name by the time that they are there
    quality = Dict()
    plan: Any = Instance(object, allow_none=True)
    run = Instance(Run, allow_none=True)
    progress = Instance(Progress, allow_none=True)
    results = Instance(Results, allow_none=True)
    message = Unicode()
    _opened: dict[str, Any]  # the task as it stood when it was opened

    @property
    def words(self) -> Words:
        """How to say things in the language of the panel; errors of the rooms below stay English."""
        return words_in(self.language)

    @property
    def tasks(self) -> list[str]:
        """The tasks that there are."""
        return list(read_params(self.root).tasks)

    @property
    def reason(self) -> str:
        """Why the preset sets what it sets."""
        return self.words(PRESETS[self.preset].reason)

    @property
    def labels(self) -> dict[str, int]:
        """Labels of what was read last, with how many values each has: what could be a dimension."""
        found = {} if self.series is None else self.series.labels
        return {name: len(set(column.tolist()) - {""}) for name, column in found.items()}

    @property
    def dimensions(self) -> list[str]:
        """The labels that the form chooses, the default where it says none."""
        key = KEYS["train.dimensions"]
        try:
            chosen = _value(key, self.texts[key.key], self.words) if self.texts[key.key] else key.default
        except ParamsError:
            return []
        return [str(label) for label in chosen] if isinstance(chosen, list) else []

    @property
    def warnings(self) -> list[str]:
        """What is allowed and yet seldom wise."""
        found = list(self.quality.get("warnings", ()))
        if self.plan is not None and self.plan.warning:
            found.append(self.plan.warning)
        return found

    def start_new(self, preset: str) -> None:
        """An empty form with the settings of a preset. Raises ParamsError for an unknown preset."""
        block = preset_block(preset)
        values = flat({section: value for section, value in block.items() if section not in ("preset", "owner")})
        free = next(name for name in (preset, *(f"{preset}_{n}" for n in range(2, 10_000))) if name not in self.tasks)
        self._fill(free, preset, True, values)

    def open_task(self, name: str) -> None:
        """The form of a task of params.yaml. Raises ParamsError for one that is not there."""
        task = read_params(self.root).task(name)
        self._opened = values = _task_values(read_text(self.root), name)
        self._fill(name, task.preset, False, values)
        self.refresh()
        self.read_results()

    def set_text(self, key: str, text: str) -> None:
        """Type into a field; what was planned before is void."""
        self.texts = {**self.texts, key: text.strip()}
        self.plan = None
        self.check()

    def check(self) -> bool:
        """Fill `problems` with what the parser and the rules of params.yaml say; asks no server."""
        problems: dict[str, str] = {}
        for key, parse in (("fetch.metric_query", lambda text: check_query(text, "query")), ("fetch.limit", selectors)):
            text = self.texts.get(key, "")
            try:
                if text and not _is_number(text):
                    parse(text)
            except ParamsError as fault:
                problems[key] = f"{fault.what}; {fault.cure}"
        if not self.texts.get("fetch.metric_query"):
            problems["fetch.metric_query"] = self.words("say what to forecast: the PromQL of what is used")
        if not TASK_NAME.match(self.name):
            problems["name"] = self.words("{name!r} may hold only a-z, 0-9 and _ (at most 63)").format(name=self.name)
        if not problems:
            try:
                self.text()
            except ParamsError as fault:
                key = self._key_of(fault)
                problems[key] = f"{fault.what}; {fault.cure}" if key else str(fault)
        self.problems = problems
        return not problems

    def text(self) -> str:
        """params.yaml as it would be. Raises ParamsError."""
        read_params(self.root)  # which somebody may have broken meanwhile
        old = read_text(self.root)
        values = {key: _value(KEYS[key], text, self.words) for key, text in self.texts.items() if text}
        if self.is_new:
            owner = str(values.pop("owner", ""))
            return add_task(old, self.name, self.preset, owner, values)
        was = _task_values(old, self.name)
        if was != self._opened:
            what = self.words("somebody else has changed this task since it was opened here")
            raise ParamsError(what, where=f"tasks.{self.name}", cure=self.words("open it again"))
        cleared = {key: KEYS[key].default for key, text in self.texts.items() if not text and key in was}
        edits = {key: value for key, value in (cleared | values).items() if was.get(key) != value}
        return edit_params(old, {f"tasks.{self.name}.{key}": value for key, value in edits.items()})

    @property
    def diff(self) -> str:
        """What saving would change, "" where nothing. Raises ParamsError."""
        return params_diff(read_text(self.root), self.text())

    def look(self) -> None:
        """Read the newest week of the metric and its limit. Raises TsfError in the words of the source."""
        params, task = self._checked()
        asked = self._asked()
        try:
            seconds = min(LOOK_SECONDS, task.fetch.history)
            series, quality = fetch_from_source(params, task.fetch, history_seconds=seconds)
        except TsfError:
            if asked == self._asked():  # of this there is nothing to be seen; what else is asked now is looked at anew
                self.series, self.quality = None, {}
                raise
            return
        if asked == self._asked():
            self.zone, self.series, self.quality = task.train.time_zone, series, dict(vars(quality))

    def make_plan(self) -> None:
        """Find out what the task would read, write and cost. Raises TsfError."""
        from tsf.stages.preview import preview_task

        params, task = self._checked()
        asked = self.name, dict(self.texts)
        plan = preview_task(params, task, self.words)
        if asked == (self.name, self.texts):  # else it is the plan of something else by now
            self.zone, self.series = task.train.time_zone, plan.series
            self.quality, self.plan = dict(plan.quality), plan

    def _asked(self) -> tuple[str, dict[str, str]]:
        """What decides which data are looked at."""
        return self.name, {key: text for key, text in self.texts.items() if key.startswith("fetch.")}

    def save(self) -> str:
        """Write params.yaml and return the diff. Raises ParamsError, and then nothing has changed."""
        old = read_text(self.root)
        diff = write_params(self.root, new := self.text(), old)
        self.is_new, self._opened = False, _task_values(new, self.name)
        self.message = (
            self.words("Saved {name}.").format(name=self.name) if diff else self.words("Nothing has changed.")
        )
        return diff

    def start(self) -> None:
        """Queue a run of the saved task, up to now where the source is a server. Raises TsfError."""
        params = read_params(self.root)
        params.task(self.name)
        if newest_seconds(params) > params.snapshot.until_seconds:
            move_snapshot(self.root)
        self.results = None
        self.run = enqueue(self.root, self.name)
        start_runner(self.root)
        self.refresh()

    def cancel(self) -> None:
        """Stop what waits or runs. Raises FlowError where nothing does."""
        self.run = cancel(self.root, self.name)
        start_runner(self.root)

    def refresh(self) -> bool:
        """Look at the queue; whether the run goes on."""
        self.run = next(iter(list_runs(self.root, self.name, limit=1)), None)
        self.progress = read_progress(self.root, self.run) if self.run else None
        if self.run and self.run.state == "completed" and self.results is None:
            self.read_results()
        return self.run is not None and self.run.state in ACTIVE

    def read_results(self) -> None:
        """What the last run left, None where there is nothing whole."""
        try:
            self.results = Results(self.root, self.name, read_params(self.root).task(self.name))
        except TsfError:
            self.results = None

    def _fill(self, name: str, preset: str, is_new: bool, values: dict[str, Any]) -> None:
        self.name, self.preset, self.is_new = name, preset, is_new
        self.series, self.quality, self.plan, self.run, self.progress, self.results = None, {}, None, None, None, None
        self.message = ""
        self.texts = {key: written(values.get(key)) for key in KEYS}
        self.check()

    def _checked(self) -> tuple[Params, TaskParams]:
        params = parse_params(loaded(self.text()))
        return params, params.task(self.name)

    def _key_of(self, fault: ParamsError) -> str:
        """The field that an error is about, "" for none."""
        path = fault.where.rpartition(f"tasks.{self.name}.")[2]
        return next((key for key in KEYS if path == key or path.startswith(f"{key}.")), "")


def _choices(path: Path) -> list[Choice]:
    """What the last evaluation left of the trade-off, the fewest alarms first; nothing for a task without a limit."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        found = [
            Choice(
                float(row["threshold"]), int(row["hold"]), float(row["gate"]), float(row["alarms"]),
                float(row["recall"] or "nan"), row["chosen"] == "True",
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip
    return sorted(found, key=lambda one: (one.alarms, one.recall))


def _task_values(text: str, name: str) -> dict[str, Any]:
    """What params.yaml says of a task by dotted key; empty for one that is not there."""
    block: dict[str, Any] = (loaded(text) or {}).get("tasks", {}).get(name, {})
    return flat({key: value for key, value in block.items() if key != "preset"})


def written(value: Any) -> str:
    """A value as it stands in a field."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join("null" if item is None else str(item) for item in value) + "]"
    return "{}" if value == {} else str(value)


def _value(key: Key, text: str, words: Words) -> Any:
    """What a field says. Raises ParamsError for what is not even YAML."""
    if text == "null" and key.default is None:
        return None
    if key.type.endswith(" or number"):
        return float(text) if _is_number(text) else text
    if key.type == "time of day":
        return text.strip("'\"")  # quoted it stands in params.yaml, and so its error asks for it
    if key.type not in SPELLED:
        return text
    try:
        return loaded(text)
    except (YAMLError, ValueError, RecursionError):  # the last two: `!!int x`, endless nesting
        what = words("{text!r} is no {kind}").format(text=text, kind=words(key.type))
        raise ParamsError(what, where=key.key, cure=words("mend it")) from None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
