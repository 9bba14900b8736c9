"""The panel's words and figures as HTML; whatever comes from a server or a file is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from tsf.flow.progress import Progress
from tsf.flow.queue import Run
from tsf.kinds import chance_text, figure_text, share_text, span_text
from tsf.panel.model import KEYS, Choice, Results, TaskModel, written
from tsf.plots import figure_html, pick_rows, plot_forecast, plot_series
from tsf.series import label_rows, title_of
from tsf.units import unit_of
from tsf.words import Words

if TYPE_CHECKING:
    from tsf.stages.preview import Preview

__all__ = [
    "bar_style",
    "diff_html",
    "look_html",
    "message_html",
    "note_html",
    "plan_html",
    "results_html",
    "run_html",
    "share_done",
]

SHOWN = 4
INDENT = "margin: 0 0 .3em 14.5em; line-height: 1.3; overflow-wrap: anywhere"
TABLE = "text-align: left; border-spacing: .8em 0"
RED, GREEN = "var(--jp-error-color1, #b3261e)", "var(--jp-success-color0, #1b6e2f)"
STYLE = """<style>
.tsf-paper { background: #fff; color: #000; border-radius: 4px; padding: .3em }
.tsf-paper figure { margin: 0 }
.tsf-paper svg { max-width: 100%; height: auto }
.tsf-words { white-space: normal; line-height: 1.4 }
</style>"""  # figures are drawn for white paper


def note_html(key: str, problem: str, words: Words = str) -> str:
    """What stands below a field: what is wrong with it, else its unit, default and reason."""
    if problem:
        return f'<div role="alert" style="{INDENT}; color: {RED}">{escape(problem)}</div>'
    if key not in KEYS:
        return ""
    one = KEYS[key]
    facts = [words(one.unit or one.type)] if not one.description.startswith(one.type) and one.type != "text" else []
    if one.default not in (None, "", {}):
        facts += [words("default {value}").format(value=written(one.default))]
    facts += [words(one.description)]
    told = escape(words("; ").join(filter(None, facts)))
    return f'<div style="{INDENT}"><span style="opacity: .75; font-size: .92em">{told}</span></div>'


def message_html(message: str) -> str:
    """One sentence, read aloud as it comes."""
    return f'<p role="status">{escape(message)}</p>' if message else ""


def look_html(model: TaskModel) -> str:
    """A few series with their limits and gaps, and the labels that could be dimensions."""
    series = model.series
    if series is None:
        return ""
    words, unit = model.words, unit_of(model.texts["fetch.metric_query"])
    figure = plot_series(series, pick_rows(series, SHOWN), unit=unit, time_zone=model.zone, words=words)
    missing = float(np.isnan(series.values).mean())
    caption = words("{n:,} series, the newest {span}; {missing} of the samples are missing.").format(
        n=series.n_series,
        span=span_text(series.n_steps * series.step_seconds, words),
        missing=figure_text(missing, ".1%"),
    )
    below = words("The model learns from the ticked labels; beside each stands how many values it has.")
    return f"{STYLE}<div class='tsf-paper'>{figure_html(figure, caption)}</div><p class='tsf-words'>{escape(below)}</p>"


def plan_html(model: TaskModel) -> str:
    """What the task would read, write and cost, and what saving would change."""
    plan: Preview = model.plan
    words = model.words
    if plan.minutes is None:
        minutes = words("not known")
    else:
        minutes = words("{minutes:.1f} at most").format(minutes=max(plan.minutes, 0.1))
    rows = {
        words("series"): f"{plan.series.n_series:,}",
        words("samples"): f"{plan.samples:,}",
        words("output series per push"): f"{plan.output_series:,}",
        words("weights of the network"): f"{plan.parameters:,}",
        words("minutes of training"): minutes,
        words("read from"): plan.source,
    }
    cells = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in rows.items())
    notes = "".join(f"<li>{escape(text)}</li>" for text in model.warnings)
    return (
        f'<table style="{TABLE}"><caption>{escape(words("The plan"))}</caption>{cells}</table>'
        f"<p class='tsf-words'><small>{escape(plan.basis)}</small></p>"
        + (f"<p>{escape(words('Mind:'))}</p><ul>{notes}</ul>" if notes else "")
        + diff_html(model.diff, words)
    )


def diff_html(diff: str, words: Words = str) -> str:
    """A unified diff with its lines coloured."""
    if not diff:
        return f"<p>{escape(words('params.yaml stays as it is.'))}</p>"
    colours = {"+": GREEN, "-": RED}
    lines = (
        f'<span style="color: {colours[line[0]]}">{escape(line)}</span>' if line[:1] in colours else escape(line)
        for line in diff.splitlines()
    )
    name = escape(words("change of params.yaml"))
    return f'<pre aria-label="{name}" style="overflow-x: auto">{chr(10).join(lines)}</pre>'


def run_html(run: Run | None, progress: Progress | None, words: Words = str) -> str:
    """Where the run is, or how it ended."""
    if run is None:
        return ""
    states = {
        "pending": words("Waiting, number {position} in the queue.").format(position=run.position),
        "running": words("Running: {place}.").format(place=progress.sentence(words) if progress else words("starting")),
        "completed": words("Completed."),
        "cancelled": words("Cancelled."),
        "superseded": words("A newer run has taken its place."),
        "failed": words("Failed. {error}").format(error=run.error),
    }
    style = f' style="color: {RED}"' if run.state == "failed" else ""
    return f'<p role="status"{style}>{escape(states[run.state])}</p>'


def share_done(run: Run | None, progress: Progress | None) -> int:
    """Hundredths of the run: stages, and cells or epochs within one."""
    if run is None or progress is None:
        return 0
    inside = 0.0
    if progress.epoch and progress.epochs:
        inside = progress.epoch / progress.epochs
    elif progress.cell and progress.cells:
        inside = progress.cell / progress.cells
    return int(100 * min(1.0, (progress.stages_done + 0.95 * inside) / progress.stages))


def bar_style(run: Run | None) -> str:
    """Its colour."""
    return {"failed": "danger", "completed": "success"}.get(run.state if run else "", "info")


def results_html(results: Results | None, words: Words = str) -> str:
    """The most urgent series with their forecasts, and what the model is worth beside its best baseline."""
    if results is None:
        return ""
    forecast, task = results.forecast, results.task
    rows = results.urgent_rows[:SHOWN]
    chance = ["–"] * len(rows)
    if forecast.p_breach is not None:
        chance = [chance_text(share) for share in forecast.p_breach[rows, -1].tolist()]
    line, unit = task.alert.alert_line, unit_of(task.fetch.metric_query)
    figure = plot_forecast(
        results.history, forecast, rows, line=line, unit=unit, time_zone=task.train.time_zone, words=words
    )
    names = [title_of(row) for row in label_rows({name: column[rows] for name, column in forecast.labels.items()})]
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in (words("series"), words("chance")))
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{share}</td></tr>'
        for name, share in zip(names, chance, strict=True)
    )
    drawn = figure_html(figure, words("History, forecast with its intervals, limit and alert line."))
    return (
        f'{STYLE}<div class="tsf-paper">{drawn}</div>'
        f'<table style="{TABLE}"><caption style="white-space: nowrap">'
        f"{escape(words('Chance of reaching the alert line within the horizon'))}</caption>"
        f"<tr>{heads}</tr>{cells}</table>"
        f"<p class='tsf-words'>{escape(_verdict(results, words))}</p>"
    )


def choice_html(choice: Choice, step_seconds: int, words: Words = str) -> str:
    """What it would have given to fire like this."""
    told = words(
        "Fires at a chance of {chance} that has held for {hold}, while {gate} of the limit or more is in use. In "
        "the weeks that it is chosen on: {alarms:.1f} alarms a week and team, {recall} of the breaches in time."
    ).format(
        chance=share_text(choice.threshold),
        hold=span_text(choice.hold * step_seconds, words),
        gate=share_text(choice.gate),
        alarms=choice.alarms,
        recall=chance_text(choice.recall),
    )
    return f"<p class='tsf-words'>{escape(told)}</p>"


def _verdict(results: Results, words: Words) -> str:
    """What the model is worth, and where its forecasts went."""
    scores, receipt = results.metrics, results.receipt
    loss, rival = scores["wql"], scores["wql_best_baseline"]
    better = 1 - loss / rival if rival else 0.0  # a rival that is never wrong leaves nothing to gain
    verdict = words("{share} lower than") if better > 0 else words("{share} higher than")
    return words(
        "Its loss is {verdict} that of the best baseline, {baseline}; the 80 % interval held {held} of {n:,} "
        "held-out values. Model {model}, version {version}; written to {place}."
    ).format(
        verdict=verdict.format(share=chance_text(abs(better))),
        baseline=scores["best_baseline"],
        held=figure_text(scores["coverage_80"], ".0%"),
        n=scores["judged"],
        model=receipt["model"],
        version=receipt["version"],
        place=receipt["sent_to"],
    )
