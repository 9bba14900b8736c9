"""The command line: every command edits params.yaml or starts a run; what it does, the notebooks do the same way."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from tsf.cli.runs import run_stages, tell_runs
from tsf.cli.terminal import (
    clock,
    say,
    show_diff,
    show_findings,
    show_frame,
    show_results,
    show_table,
    show_tasks,
    warn,
)
from tsf.errors import BusyError, NoSuchSeriesError, ParamsError, SinkError, TsfError
from tsf.io.files import one_line
from tsf.io.logs import start_log
from tsf.kinds import figure_text, parse_duration
from tsf.params import effective, read_params
from tsf.presets import PRESETS
from tsf.project import TaskPaths, find_root

__all__ = ["app", "main"]

app = typer.Typer(
    help="Forecast Prometheus metrics and tell when a quota will be reached.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
tasks_app = typer.Typer(help="List, add and remove tasks.", invoke_without_command=True, rich_markup_mode=None)
app.add_typer(tasks_app, name="tasks")


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"tsf {metadata.version('tsf')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which tsf this is.")
]


@app.callback()
def _options(version: VersionOption = False) -> None:
    """What stands before a command."""


class ModelChoice(str, Enum):
    """What --model-type takes; kept equal to params.ModelType by a test."""

    lstm = "lstm"
    gru = "gru"
    transformer = "transformer"
    cnn_lstm = "cnn_lstm"
    attention = "attention"


TaskOption = Annotated[list[str] | None, typer.Option("--task", help="A task of params.yaml; may be repeated.")]


@app.command(epilog="Example: tsf demo")
def demo() -> None:
    """Run every task of params.yaml and say where the reports are; on a fresh clone these read the embedded fleet."""
    root = _root()
    run_stages(root, (), "push")
    show_results(root)


@app.command(epilog="Example: tsf run --now, once a day, and tsf push every 15 minutes")
def run(
    task: TaskOption = None,
    now: Annotated[bool, typer.Option("--now", help="First move snapshot.until to this moment.")] = False,
) -> None:
    """Run all stages of all tasks, or of those named; what did not change is not done again."""
    from tsf.flow.runs import move_snapshot

    root = _root()
    if now:
        show_diff(move_snapshot(root))
    run_stages(root, task or (), "push")
    show_results(root)


@app.command(epilog="Example: tsf rules --task storage")
def rules(task: TaskOption = None) -> None:
    """Write the Prometheus alert rules of tasks to rules/, with cases for promtool."""
    from tsf.stages.rules import write_rules

    root = _root()
    for name in _asked(root, task):
        say(str(write_rules(name, root)))


@app.command(epilog="Example: tsf fetch --task storage")
def fetch(task: TaskOption = None) -> None:
    """Read the metrics of a task up to snapshot.until."""
    run_stages(_root(), task or (), "fetch")


@app.command(epilog="Example: tsf train --task storage --model-type gru --epochs 50")
def train(
    task: Annotated[str | None, typer.Option(help="The task; by default the one with --metric-query, or all.")] = None,
    user: Annotated[str | None, typer.Option(help="Owner of the task: who is asked when an alarm fires.")] = None,
    metric_query: Annotated[str | None, typer.Option(help="PromQL; a task is made for it if there is none.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes at the most; early stopping ends sooner.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows in a step; 0: as many as pay and fit.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Largest step size of the schedule.")] = None,
    hidden_dim: Annotated[int | None, typer.Option(help="Width of every kind but the Transformer.")] = None,
    num_layers: Annotated[int | None, typer.Option(help="Layers of the network.")] = None,
    model_type: Annotated[ModelChoice | None, typer.Option(help="The kind of network.")] = None,
    d_model: Annotated[int | None, typer.Option(help="Width of the Transformer.")] = None,
    nhead: Annotated[int | None, typer.Option(help="Attention heads of the Transformer.")] = None,
    sequence_length: Annotated[int | None, typer.Option(help="Steps that the model looks back.")] = None,
    prediction_steps: Annotated[int | None, typer.Option(help="Steps that it looks ahead.")] = None,
) -> None:
    """Write the given parameters to params.yaml, then train: the flags are the keys of its train section."""
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
        "model_type": model_type.value if model_type else None,
        "d_model": d_model,
        "nhead": nhead,
        "sequence_length": sequence_length,
        "prediction_steps": prediction_steps,
    }
    root = _root()
    values = {f"train.{key}": value for key, value in given.items() if value is not None}
    names = _tasks_for_training(root, task, user, metric_query, values)
    run_stages(root, names, "train")


@app.command(epilog="Example: tsf evaluate --task storage")
def evaluate(task: TaskOption = None) -> None:
    """Judge the models on held-out data beside their baselines."""
    root = _root()
    run_stages(root, task or (), "evaluate")
    show_results(root)


@app.command(epilog="Example: tsf push, every 15 minutes, between two trainings, or tsf push --every 1m")
def push(
    task: TaskOption = None,
    every: Annotated[str, typer.Option(help="Stay, and push at each tick, such as 1m; no page is made.")] = "",
    onnx: Annotated[
        Path | None, typer.Option(help="The file of tsf export to forecast by, without torch; no page is made.")
    ] = None,
) -> None:
    """Forecast from the newest samples with the champion model and write the forecast back; nothing is trained."""
    if not every and onnx is None:
        run_stages(_root(), task or (), "push", force=True, alone=True)
        return
    from tsf.flow.index import write_index
    from tsf.flow.ticks import each_tick

    root, names = _root(), tuple(task or ())
    if onnx is not None and len(names := names or tuple(read_params(root).tasks)) != 1:
        raise ParamsError(
            f"{len(names)} tasks cannot share {onnx}", where="--onnx", cure="name the one of its model by --task"
        )
    if not every:
        _push_here(root, names[0], onnx)
        write_index(root)
        return
    try:
        seconds = parse_duration(every)
    except ValueError as fault:
        raise ParamsError(str(fault), where="--every", cure="write --every 1m") from None
    for ended in each_tick(seconds, _told):
        _tick(root, names, ended, onnx)


def _tick(root: Path, names: Sequence[str], ended: Callable[[], bool], onnx: Path | None = None) -> None:
    """Push each task here; what goes wrong is told, and the next tick tries again."""
    from tsf.flow.index import write_index

    try:
        for name in _asked(root, names):
            if ended():
                return
            try:
                _push_here(root, name, onnx)
            except BusyError:
                say(f"{clock()} {name}: left to the run that is pushing it")
            except (TsfError, OSError) as fault:
                _told(f"error: {name}: {fault}")
            except (RuntimeError, MemoryError) as fault:  # as of a GPU whose memory a training has: it may pass
                _told(f"error: {name}: {type(fault).__name__}: {one_line(fault)}")
        write_index(root)
    except (TsfError, OSError) as fault:
        _told(f"error: {fault}")


def _push_here(root: Path, name: str, onnx: Path | None) -> None:
    """Push a task in this process, without DVC and papermill, and say so. Raises TsfError, BusyError beside a run.

    A failure is kept where that of a run is, and Prometheus is told of it and of its end.
    """
    from tsf.flow.notebooks import only_stage, write_failure
    from tsf.stages.push import push as push_task

    paths, begin = TaskPaths(root, name), time.monotonic()
    read_params(root).task(name)  # a name that is no task must not become a path
    failed = paths.failed_notebook("push")
    with only_stage(paths, "push"):
        try:
            receipt = push_task(name, root, onnx=onnx).receipt
        except Exception as fault:
            write_failure(failed, f"from tsf.stages.push import push\n\npush({name!r})", fault)
            if not isinstance(fault, SinkError):  # else this would not get there, either
                tell_runs(root)
            raise
        if failed.exists():
            failed.unlink()
            tell_runs(root)
    say(f"{clock()} {name}: {receipt['series']} series in {time.monotonic() - begin:.1f} s to {receipt['sent_to']}")


def _told(text: str) -> None:
    warn(f"{clock()} {text}")


@app.command(epilog="Example: tsf predict --task storage --steps 12 --user alice --no-prometheus")
def predict(
    task: TaskOption = None,
    steps: Annotated[int | None, typer.Option(help="Show so many steps ahead; at most prediction_steps.")] = None,
    model_name: Annotated[str, typer.Option(help="Alias, version or model_YYYYMMDD_HHMMSS.")] = "champion",
    user: Annotated[str | None, typer.Option(help="Owner of the tasks, or a value of the label user to print.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="As group=vision: any label; may be repeated.")] = None,
    no_prometheus: Annotated[bool, typer.Option("--no-prometheus", help="Show only; write nothing back.")] = False,
) -> None:
    """Forecast from the newest samples, every task by default, and print the most urgent series first."""
    from tsf.flow.notebooks import only_stage
    from tsf.stages.predict import predict_task
    from tsf.stages.push import write_back

    root = _root()
    params, names = read_params(root), _asked(root, task)
    owned = [name for name in names if user and params.task(name).owner == user]
    labels = _labels([*(label or ()), *([] if owned or user is None else [f"user={user}"])])
    shown = 0
    for name in owned or names:
        try:
            if no_prometheus:
                predicted = part = predict_task(name, root, steps=steps, model_name=model_name, labels=labels)
            else:
                predicted = predict_task(name, root, model_name=model_name)
                part = predicted.part(steps, labels)
        except NoSuchSeriesError:
            if task:
                raise
            continue  # of all tasks, those without these series have nothing to show
        shown += 1
        show_frame(part.most_urgent(20).reset_index(), part.summary)
        if not no_prometheus:
            # A push replaces what was pushed of the task before; alerts ask for the longest horizon of every series.
            with only_stage(TaskPaths(root, name), "push"):
                receipt = write_back(predicted).receipt
            say(f"Written to {receipt['sent_to']}: {receipt['series']} series")
    if labels and not shown:
        asked = " and ".join(f"the {name} {value!r}" for name, value in labels.items())
        cure = "see the values of each label in the fetch reports"
        raise NoSuchSeriesError(f"no series of {', '.join(owned or names)} has {asked}", where="labels", cure=cure)


@app.command(epilog="""Example: tsf explain --task storage --label group=vision --label user=ann""")
def explain(
    task: Annotated[str, typer.Option(help="A task of params.yaml.")],
    label: Annotated[
        list[str] | None, typer.Option(help="As user=ann, until one series is left; by default it is the most urgent.")
    ] = None,
    model_name: Annotated[str, typer.Option(help="Alias, version or model_YYYYMMDD_HHMMSS.")] = "champion",
) -> None:
    """Forecast from the newest samples and print which past hours and which inputs move the median of a series most."""
    from tsf.stages.explain import explain_task

    found = explain_task(task, _root(), labels=_labels(label or []), model_name=model_name)
    show_frame(found.reasons.heaviest(10), found.summary)


@app.command(epilog="Example: tsf lineage --task storage --at 2026-11-01T08:30:00Z")
def lineage(
    task: TaskOption = None,
    model_name: Annotated[str, typer.Option(help="Alias, version or name of a model, in place of the last push.")] = "",
    at: Annotated[str, typer.Option(help="The forecast that Prometheus held at this time, in place of the last.")] = "",
) -> None:
    """Tell what a pushed forecast came from: model version, data hash, git commit and executed notebook."""
    from tsf.io.lineage import lineage as trace
    from tsf.io.lineage import pushed_version

    root = _root()
    params = read_params(root)
    pushed = [name for name in params.tasks if (TaskPaths(root, name).pushed / "receipt.json").exists()]
    for name in task or pushed or _asked(root, None):
        params.task(name)
        reference = pushed_version(params.prometheus, name, at) if at else model_name
        show_table(("of", "what"), trace(root, name, reference).items(), name)


@app.command(epilog="Example: tsf tune --task storage --minutes 20 --model-type lstm --model-type gru")
def tune(
    task: Annotated[str, typer.Option(help="A task of params.yaml whose data have been fetched.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="How long the search may take.")] = 10.0,
    trials: Annotated[int | None, typer.Option(min=1, help="How many to try at the most.")] = None,
    folds: Annotated[int, typer.Option(min=1, max=10, help="Origins of the rolling cross-validation.")] = 3,
    model_type: Annotated[list[ModelChoice] | None, typer.Option(help="Kinds to try; may be repeated.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write what was found to params.yaml at once.")] = False,
) -> None:
    """Search for better parameters, then train with them as a DVC experiment: dvc exp show, dvc exp apply."""
    from tsf.flow.experiments import run_experiment
    from tsf.flow.tasks import set_values
    from tsf.stages.tune import tune as search

    root = _root()
    kinds: list[Any] = [choice.value for choice in model_type or ()]  # a test holds the choices to params.ModelType
    found = search(task, root, minutes=minutes, trials=trials, folds=folds, model_types=kinds, progress=say)
    say(found.summary)
    if found.values and write:
        show_diff(set_values(root, {f"tasks.{task}.train.{key}": value for key, value in found.values.items()}))
    elif found.values:
        name = run_experiment(root, task, found.values, f"tune-{task.replace('_', '-')}")
        say(f"Compare: dvc exp show --only-changed. Take over: dvc exp apply {name}")


@app.command(epilog="Example: tsf ablate --task storage")
def ablate(
    task: Annotated[str, typer.Option(help="A task of params.yaml whose data have been fetched.")],
    folds: Annotated[int, typer.Option(min=1, max=10, help="Origins of the rolling cross-validation.")] = 3,
) -> None:
    """Train without each input (limit, covariates, derived ones, labels, night, holidays) and say which of them pay."""
    from tsf.stages.ablate import ablate as without

    found = without(task, _root(), folds=folds, progress=say)
    show_table(
        ("without", "WQL", "change", "verdict"),
        [
            (str(name), f"{row['WQL without']:.5f}", figure_text(row["change"], "+.1%"), row["verdict"])
            for name, row in found.table.iterrows()
        ],
    )
    say(found.summary)


@app.command(epilog="Example: tsf export --task storage --onnx storage.onnx")
def export(
    task: Annotated[str, typer.Option(help="A task of params.yaml.")],
    onnx: Annotated[Path, typer.Option(help="The file to write: from raw samples to quantiles, for any ONNX runtime.")],
    model_name: Annotated[str, typer.Option(help="Alias, version or model_YYYYMMDD_HHMMSS.")] = "champion",
) -> None:
    """Write a model as one file that runs without torch; needs the extra `onnx`."""
    from tsf.stages.export import export_task

    version = export_task(task, onnx, _root(), model_name=model_name)
    say(f"{onnx}: version {version} of {task}")


@tasks_app.callback()
def tasks(context: typer.Context) -> None:
    """List the tasks of params.yaml; see the commands below to change them."""
    if context.invoked_subcommand:
        return
    show_tasks(read_params(_root()))


@tasks_app.command(
    "add", epilog="Example: tsf tasks add home --preset storage --metric-query home_used_bytes --limit home_quota_bytes"
)
def tasks_add(
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and _")],
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "custom",
    metric_query: Annotated[str | None, typer.Option(help="PromQL of what is used.")] = None,
    limit: Annotated[str | None, typer.Option(help="PromQL or number of what may be used; null: no limit.")] = None,
    owner: Annotated[str, typer.Option(help="Who is asked when an alarm fires.")] = "",
) -> None:
    """Add a task to params.yaml, made from a preset."""
    from tsf.flow.tasks import add_task, read_text, write_params

    root = _root()
    values: dict[str, Any] = {} if metric_query is None else {"fetch.metric_query": metric_query}
    if limit is not None:
        values["fetch.limit"] = None if limit == "null" else _number_or_query(limit)
    old = read_text(root)
    show_diff(write_params(root, add_task(old, name, preset, owner, values), old))


@tasks_app.command("remove", epilog="Example: tsf tasks remove home")
def tasks_remove(name: Annotated[str, typer.Argument(help="A task of params.yaml, or one that was.")]) -> None:
    """Retire a task: delete what it pushed, then its block in params.yaml; its models and reports stay on disk."""
    from tsf.flow.tasks import retire_task
    from tsf.io.pushgateway import retire

    root = _root()
    server = effective(read_params(root).prometheus, os.environ)
    show_diff(retire_task(root, name, lambda: retire(server, TaskPaths(root, name).textfile, name)))
    tell_runs(root)


@app.command(epilog="Example: tsf doctor")
def doctor() -> None:
    """Check every dependency, server, GPU and disk: ok, or the cure. Exits with 1 if something is broken."""
    from tsf.doctor import run_doctor

    findings = run_doctor(find_root())  # not _root(): a broken params.yaml is one of the things to report
    show_findings(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit status 1."""
    try:
        app()
    except TsfError as fault:
        warn(f"error: {fault}")
        sys.exit(1)
    except ModuleNotFoundError as fault:
        if not fault.name or fault.name.startswith("tsf"):
            raise
        warn(f"error: {fault.name} is not installed; install all of tsf, or push by a file: tsf push --onnx FILE.")
        sys.exit(1)


def _root() -> Path:
    """The project's folder; logging is set up on the way, which every command needs."""
    root = find_root()
    start_log(read_params(root).logging, os.environ)
    return root


def _asked(root: Path, task: Sequence[str] | None) -> Sequence[str]:
    """The tasks that were named, or all. Raises ParamsError where there is none."""
    if not (names := task or list(read_params(root).tasks)):
        raise ParamsError("params.yaml has no tasks", cure="add one: tsf tasks add NAME --preset storage")
    return names


def _labels(pairs: list[str]) -> dict[str, str]:
    """What `--label name=value` says."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or found.setdefault(name, value) != value:
            what = f"{pair!r} is no name and value" if not equals else f"{name} has two values"
            raise ParamsError(what, where="--label", cure="write --label group=vision, each name once")
    return found


def _number_or_query(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _free_name(query: str, taken: Collection[str]) -> str:
    """A name for the task of `query`, made of its words, with a number where another query has that name."""
    name = re.sub(r"[^a-z0-9]+", "_", query.lower()).strip("_")[:40].rstrip("_") or "task"
    return next(one for number in count(1) if (one := name if number == 1 else f"{name}_{number}") not in taken)


def _tasks_for_training(
    root: Path, task: str | None, user: str | None, query: str | None, values: dict[str, Any]
) -> list[str]:
    """Write what the flags say and return the tasks they mean."""
    from tsf.flow.tasks import add_task, read_text, set_values, write_params

    params = read_params(root)
    values |= {} if user is None else {"owner": user}
    if query is not None and not task:
        found = [name for name, other in params.tasks.items() if other.fetch.metric_query == query]
        task = next((name for name in found if params.tasks[name].owner == user), found[0] if found else None)
        if task is None:
            task = _free_name(query, params.tasks)
            old = read_text(root)
            values.pop("owner", None)
            new = add_task(old, task, "custom", user or "", {"fetch.metric_query": query, **values})
            show_diff(write_params(root, new, old))
            return [task]
    elif query is not None:
        values["fetch.metric_query"] = query
    names = [task] if task else list(params.tasks)
    if task:
        params.task(task)
    if user and not task:
        raise ParamsError(f"--user {user} names an owner, but no task", cure="add --task or --metric-query")
    show_diff(set_values(root, {f"tasks.{name}.{key}": value for name in names for key, value in values.items()}))
    return names
