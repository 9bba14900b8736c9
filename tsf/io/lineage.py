"""From a forecast that was pushed back to the model, the data, the code and the notebook that it came from."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from tsf.errors import EmptyError, FlowError, ParamsError
from tsf.io.files import read_json
from tsf.io.http import opened
from tsf.io.registry import NOTEBOOK, resolve, versions
from tsf.kinds import stamp_text
from tsf.params import PrometheusParams, effective
from tsf.project import TaskPaths

__all__ = ["lineage", "pushed_version"]


def lineage(root: Path, task: str, reference: str = "") -> dict[str, str]:
    """What a forecast of `task` rests on, from the version of its model down to the executed notebook.

    reference: alias, name or version of a model; by default the version that the last push forecast with.
    A value is "unknown" where nothing on disk tells. Raises FlowError where nothing was pushed, ModelError for a
    version that the registry does not have.
    """
    paths = TaskPaths(root, task)
    if not reference and not (paths.pushed / "receipt.json").exists():
        raise FlowError(f"task {task!r} has pushed no forecast", cure=f"run `tsf push --task {task}`")
    receipt = {} if reference else read_json(paths.pushed / "receipt.json")
    folder = resolve(paths, reference or receipt["version"])
    model = next(one for one in versions(paths) if one.folder == folder)
    card, notebook = model.card, folder / NOTEBOOK
    until = card.get("trained_until")
    found = {
        "forecast from": receipt.get("origin", ""),
        "pushed to": receipt.get("sent_to", ""),
        "model": model.name,
        "version": model.version,
        "alias": ", ".join(model.aliases),
        "data hash": card.get("data_hash"),
        "trained until": stamp_text(until) if isinstance(until, int) else None,
        "git commit": card.get("commit"),
        "executed notebook": str(notebook.relative_to(root)) if notebook.is_file() else None,
        "weights and card": str(folder.relative_to(root)),
    }
    return {name: str(value or "unknown") for name, value in found.items() if value != ""}


def pushed_version(server: PrometheusParams, task: str, at: str) -> str:
    """The version behind what `server` held of `task` at the moment `at` (2026-11-01T08:30:00Z), by tsf_model_info.

    Raises ParamsError for what is no moment and for the demo, which holds no forecasts; SourceError like any query,
    EmptyError where no forecast of the task stood there then.
    """
    server = effective(server, os.environ)
    try:
        moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
    except ValueError:
        raise ParamsError(f"{at!r} is not a time", where="--at", cure="write 2026-11-01T08:30:00Z") from None
    if server.base_url == "demo":
        raise ParamsError("the demo fleet holds no forecasts", where="--at", cure="leave it out")
    seconds = moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    query = f'tsf_model_info{{task="{task}"}}'
    with opened(server, os.environ) as client:
        found = client.ask_vector({"query": query, "time": str(seconds)}, query)
    if not found:
        what = f"no forecast of the task stood there at {at}"
        raise EmptyError(what, where=f"{server.base_url}, {query}", cure="choose a time when it was scraped")
    return found[-1][0].get("version", "unknown")
