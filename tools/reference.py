"""Write the reference pages in docs/ and params.schema.json from the code, so that they say what it does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from tsf.cli import app
from tsf.params import Params, schema_text
from tsf.presets import PRESETS
from tsf.server.openapi import METHODS, document

__all__ = ["Key", "commands", "commands_page", "keys", "main", "parameters_page", "rest_page"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = "<!-- Made from the code by `python tools/reference.py`: change the code, not this page. -->"
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
KINDS = ("PromQL", "duration", "label", "size", "time", "time of day", "time zone")  # titles that say more than "text"
WORDS = {"string": "text", "integer": "whole number", "number": "number", "null": "null"}
PARAMETERS_HEAD = """# Parameters

Every key of `params.yaml`. A key that is left out has the default; an unknown key is refused. Editors that understand
the first line of the file complete and check it by `params.schema.json`.

DVC watches the file for changes. For it, `prometheus.base_url`, `snapshot.until`, `demo` and the sections of each task
must be there; a section without keys of its own is `{}`.

- duration: a number with its unit, `5m`, `36h`, `60d`; `1h30m` works too. Units are w, d, h, m and s.
- time: quoted, with a zone: `'2026-11-01T00:00:00Z'`. Time of day: quoted, `'20:00'`. Time zone: an IANA name.
- `sequence_length` and `prediction_steps` count steps of `fetch.step`.

The environment wins over the file: see [Environment](../README.md#environment).
"""
PRESETS_HEAD = """## Presets

`tsf tasks add NAME --preset PRESET` writes these keys into the new task, where they can be changed. All other keys keep
their defaults.
"""
COMMANDS_HEAD = """# Commands

Run them in the project's folder, or anywhere below it. Without an activated environment write `.venv/bin/tsf`. A
mistake is one sentence on stderr and exit status 1, a flag or command that does not exist status 2. `tsf --version`
says which tsf this is.
"""
REST_HEAD = """# REST

The server extension starts with JupyterLab or `jupyter server`, in the folder that it was started in. All paths stand
below `tsf/api` of the server's own address, whatever its `base_url` is. `tsf/api/docs` shows every path with its
parameters, bodies and answers; `tsf/api/openapi.json` is the same for programs, and for clients that are made from
it.

## Login and rights

Jupyter decides who may come in and do what; tsf has no accounts and no passwords of its own. A program sends the
server's token, a page its cookie and the header `X-XSRFToken`. A `GET` or `HEAD` needs the right to read the
resource `tsf` from Jupyter's authorizer, every other method the right to write it. Users, here, are the owners of
tasks: who is asked when an alarm fires.

```python
import requests

api, headers = "http://127.0.0.1:8888/tsf/api", {"Authorization": "token THE_TOKEN"}
body = {"user": "storage-oncall", "metric_query": "storage_used_bytes", "prediction_steps": 12}
answer = requests.post(f"{api}/predict", json=body, headers=headers, timeout=60).json()
for series in answer["predictions"]:
    print(series["title"], series["predictions"][-1], series["p_breach"][-1], series["limit_time"])
```

`make lab` prints the token; `JUPYTER_TOKEN` in the environment sets one.

`coverage` in that answer is measured: the share of values that the interval held in the newest training data, on
windows that taught nothing, and how many they were.

## Errors

An error is `{"message", "reason", "where"}`: one sentence with the cure, a word for programs, and the key that is
wrong.

| status | when |
|---|---|
| 400 | the body is no JSON object |
| 401 | nobody is logged in |
| 403 | no XSRF token, or no right |
| 404 | what the path names is not there |
| 405 | the path does not know the method |
| 409 | it does not fit what is there: taken, changed by somebody else, not run yet, no project |
| 413 | the body is larger than 1 MB |
| 422 | a wrong value, in the words of params.yaml |
| 500 | the server made a mistake; its log says which |
| 502 | Prometheus or the Pushgateway failed |
| 503 | the worker process died or is busy |

## Runs

`POST /tasks` and `POST /tasks/{task_id}/run` put a run into a queue and answer at once with its place in it. One
process of its own works off the queue: a run goes on when the server stops, and starts again where its own process
was killed. DVC does not repeat what was done before. A run waits where another dvc command works on its files. States
of a run: pending, running, completed, failed, cancelled, and superseded by a newer run of its task. A task can also
be new or stale: its settings have changed since its last good run.

## Metrics

`tsf/api/metrics`, and Jupyter's own `/metrics`, have `http_request_duration_seconds`, `tsf_tasks{state}`,
`tsf_queue_runs{state}`, `tsf_runs_total{state}` and `tsf_last_push_timestamp_seconds{task}`.

## Paths
"""


class Key(NamedTuple):
    """One key of params.yaml: its path, and its JSON Schema."""

    path: str
    schema: dict[str, Any]
    required: bool


class Section(NamedTuple):
    """Some keys that stand together, and the sentence that says what they are."""

    path: str
    purpose: str
    keys: list[Key]


def keys() -> Iterator[Key]:
    """Every key that is no section."""
    for section in _sections():
        yield from section.keys


def parameters_page() -> str:
    """docs/parameters.md."""
    parts = [MADE, PARAMETERS_HEAD]
    for section in _sections():
        parts.append(f"## `{section.path}`\n\n{section.purpose}\n")
        rows = [
            (
                f"`{key.path.removeprefix(section.path + '.')}`",
                _kind(key.schema),
                "required" if key.required else f"`{_yaml(key.schema.get('default'))}`",
                str(key.schema["description"]),
            )
            for key in section.keys
        ]
        parts.append(_table(("key", "value", "default", "meaning"), rows))
    parts.append(PRESETS_HEAD)
    presets = [(f"`{name}`", preset.reason, _settings(preset.block)) for name, preset in PRESETS.items()]
    parts.append(_table(("preset", "why", "what it sets"), presets))
    return "\n".join(parts)


def commands() -> dict[str, Any]:
    """`tsf …` -> its command, as typer has it; those that only hold others too."""
    group = typer.main.get_command(app)

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for part, inner in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {part}", inner)

    return dict(walk("tsf", group))


def commands_page() -> str:
    """docs/commands.md."""
    parts = [MADE, COMMANDS_HEAD]
    for name, command in commands().items():
        if name == "tsf":
            continue
        arguments = [option.name.upper() for option in command.params if not option.opts[0].startswith("-")]
        parts.append(f"## `{' '.join([name, *arguments])}`\n\n{command.help}\n")
        rows = [(_option(option), _default(option), option.help) for option in command.params]
        parts += [_table(("option", "default", "meaning"), rows)] if rows else []
        parts += [f"{command.epilog}\n"] if command.epilog else []
    return "\n".join(parts)


def rest_page() -> str:
    """docs/rest.md."""
    rows = [
        (f"`{method.upper()} {path}`", entry["summary"])
        for path, entries in document()["paths"].items()
        for method, entry in entries.items()
        if method in METHODS
    ]
    return "\n".join([MADE, REST_HEAD, _table(("path", "what it does"), rows)])


def main() -> None:
    """Write the pages and the schema."""
    (DOCS / "parameters.md").write_text(parameters_page(), encoding="utf-8")
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    (DOCS / "rest.md").write_text(rest_page(), encoding="utf-8")
    (DOCS.parent / "params.schema.json").write_text(schema_text(), encoding="utf-8")


def _sections() -> list[Section]:
    schema = Params.model_json_schema()
    sections: list[Section] = []

    def visit(path: str, node: dict[str, Any]) -> None:
        own = Section(path, node.get("description", ""), [])
        sections.append(own)
        for name, inner in node["properties"].items():
            inside = f"{path}.{name}".lstrip(".")
            if inside == "tasks":
                inside, inner = "tasks.NAME", inner["additionalProperties"]
            if "$ref" in inner:
                visit(inside, schema["$defs"][inner["$ref"].rpartition("/")[2]])
            else:
                own.keys.append(Key(inside, inner, name in node.get("required", ())))

    visit("", schema)
    return [section for section in sections if section.keys]


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{_yaml(choice)}`" for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if schema.get("title") in KINDS:
        return str(schema["title"])
    if "prefixItems" in schema:
        return "pair: " + ", ".join(_kind(item) for item in schema["prefixItems"])
    if "items" in schema:
        return f"list of: {_kind(schema['items'])}"
    if schema["type"] == "object":
        return "mapping"
    bounds = [f"{sign} {schema[name]:,}" for name, sign in LIMITS.items() if name in schema]
    return ", ".join([WORDS[schema["type"]], *bounds])


def _yaml(value: Any) -> str:
    """As it would be written in params.yaml."""
    if isinstance(value, str):
        return f"'{value}'" if not value or ":" in value else value
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return json.dumps(value)


def _settings(block: Any) -> str:
    return ", ".join(
        f"`{section}.{key}: {_yaml(value)}`" for section, inner in block.items() for key, value in inner.items()
    )


def _option(option: Any) -> str:
    text = ", ".join(option.opts) if option.opts[0].startswith("-") else option.name.upper()
    return f"`{text}`"


def _default(option: Any) -> str:
    if option.required:
        return "required"
    return f"`{option.default}`" if option.default not in (None, False, "") else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
