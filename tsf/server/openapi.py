"""The contract of the server: read from openapi.yaml, which checks what comes in and is what /docs shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tsf.errors import ParamsError

__all__ = ["Operation", "check_body", "docs_html", "document", "operations", "parse_query"]

METHODS = ("get", "post", "put", "delete")


@dataclass(frozen=True)
class Operation:
    """One method of one path. status: of its success. query: name -> schema. body: name of its schema, "" for none."""

    path: str
    method: str
    name: str
    status: int
    query: Mapping[str, Mapping[str, Any]]
    path_types: Mapping[str, str]
    body: str


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    from ruamel.yaml import YAML

    from tsf.server import __version__

    text = (Path(__file__).parent / "openapi.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    content["info"]["version"] = __version__
    return content


def operations() -> Iterator[Operation]:
    """Every operation of the document, in its order."""
    for path, methods in document()["paths"].items():
        for method in METHODS:
            if method in methods:
                yield _operation(path, method, methods[method])


def check_body(name: str, body: Any) -> None:
    """Raise ParamsError with the path of the first wrong key where `body` is not the schema called `name`."""
    if (fault := next(_validator(name).iter_errors(body), None)) is not None:
        where = ".".join(str(part) for part in fault.absolute_path)
        raise ParamsError(fault.message[:300], where=where or "body", cure="see /tsf/api/docs")


def parse_query(given: Mapping[str, str], wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The query parameters of a request by their schemas, with defaults. Raises ParamsError for a wrong one."""
    if unknown := sorted(given.keys() - wanted.keys()):
        known = ", ".join(wanted) or "none"
        raise ParamsError("there is no such query parameter", where=unknown[0], cure=f"known are: {known}")
    values: dict[str, Any] = {}
    for name, schema in wanted.items():
        text = given.get(name)
        if text is None:
            values[name] = schema.get("default")
        elif schema.get("type") == "integer":
            values[name] = _integer(name, text, schema)
        elif "enum" in schema and text not in schema["enum"]:
            raise ParamsError(f"{text!r} is none of {', '.join(schema['enum'])}", where=name, cure="choose one")
        else:
            values[name] = text
    return values


def docs_html() -> str:
    """The document as a page that needs no script and no network."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.tests["reference"] = lambda value: isinstance(value, Mapping) and "$ref" in value
    environment.filters["target"] = lambda value: value["$ref"].rpartition("/")[2]
    environment.filters["type_of"] = _type_text
    environment.filters["resolved"] = _resolved
    return environment.get_template("docs.html.j2").render(document=document(), methods=METHODS)


def _operation(path: str, method: str, entry: Mapping[str, Any]) -> Operation:
    parameters = [_resolved(parameter) for parameter in entry.get("parameters", [])]
    content = entry.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Operation(
        path=path,
        method=method,
        name=entry["operationId"],
        status=min(int(status) for status in entry["responses"]),
        query={one["name"]: _resolved(one["schema"]) for one in parameters if one["in"] == "query"},
        path_types={one["name"]: _resolved(one["schema"])["type"] for one in parameters if one["in"] == "path"},
        body=content["schema"]["$ref"].rpartition("/")[2] if content else "",
    )


def _resolved(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`entry` with what it refers to in place of the reference."""
    if "$ref" not in entry:
        return dict(entry)
    node: Any = document()
    for part in entry["$ref"].removeprefix("#/").split("/"):
        node = node[part]
    return {**_resolved(node), **{key: value for key, value in entry.items() if key != "$ref"}}


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document()["components"]})


def _integer(name: str, text: str, schema: Mapping[str, Any]) -> int:
    low, high = schema.get("minimum", 0), schema.get("maximum", 2**53)
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not low <= int(text) <= high:
        raise ParamsError(f"{text!r} is no whole number from {low} to {high}", where=name, cure="change it")
    return int(text)


def _type_text(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    for key in ("oneOf", "allOf"):
        if key in schema:
            return (" or " if key == "oneOf" else " with ").join(_type_text(one) for one in schema[key])
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type_text(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"text -> {_type_text(schema['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
