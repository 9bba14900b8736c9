"""PromQL as text: checked without a server, quoted safely, and refused before it misleads a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import promql_parser
from promql_parser import Call, MatchOp, MatrixSelector, ParenExpr, StringLiteral, SubqueryExpr, VectorSelector

from tsf.errors import ParamsError

__all__ = [
    "check_query",
    "matchers_text",
    "metric_name",
    "nodes_of",
    "quote",
    "range_selectors",
    "raw_selectors",
    "selectors",
]

COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
COUNTER_FUNCTIONS = {"rate", "irate", "increase", "delta", "idelta", "resets", "changes", "count_over_time"}

MOST_LEVELS = 200  # the parser copies each level for all above it: a thousand take gigabytes, more end the process
OPAQUE = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""", re.DOTALL)  # comments and strings
NESTING = re.compile(r"[(+*/%^-]|[<>=!]=?|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def check_query(query: str, where: str) -> str:
    """Return `query`, or raise ParamsError with `where` if it is not PromQL or reads a raw counter.

    A counter only grows, so its level says nothing about a limit: it needs rate(), increase() or the like around it.
    """
    for name in map(metric_name, raw_selectors(query, where)):
        if name.endswith(COUNTER_SUFFIXES):
            raise ParamsError(
                f"{name!r} looks like a counter read without rate()",
                where=where,
                cure=f"write rate({name}[5m]), with a range of at least three scrape intervals",
            )
    return query


def selectors(query: str, where: str = "query") -> list[VectorSelector]:
    """Every vector selector of `query`, those inside range selectors included, from left to right.

    Raises ParamsError with `where` if `query` is not PromQL.
    """
    return [node for node in nodes_of(_parse(query, where)) if isinstance(node, VectorSelector)]


def raw_selectors(query: str, where: str = "query") -> list[VectorSelector]:
    """The vector selectors of `query` outside rate(), increase() and the like. Raises ParamsError as `selectors`."""
    found, nodes, at = [], nodes_of(_parse(query, where)), 0
    while at < len(nodes):
        node = nodes[at]
        tamed = isinstance(node, Call) and node.func.name in COUNTER_FUNCTIONS
        found += [node] if isinstance(node, VectorSelector) else []
        at += len(nodes_of(node)) if tamed else 1  # a parent stands right before all that is inside it
    return found


def metric_name(selector: VectorSelector) -> str:
    """The name of the metric that `selector` reads, "" where it does not fix one."""
    fixed = [m.value for m in selector.matchers.matchers if m.name == "__name__" and m.op == MatchOp.Equal]
    return selector.name or (fixed[0] if fixed else "")


def range_selectors(query: str, where: str = "query") -> list[str]:
    """The text of every range selector of `query`, such as `x{a="b"}[5m]`. Raises ParamsError as `selectors`."""
    return [node.prettify() for node in nodes_of(_parse(query, where)) if isinstance(node, MatrixSelector)]


def matchers_text(labels: Mapping[str, str]) -> str:
    """Labels and their values as a selector has them: `{group="vision",user="ann"}`."""
    return "{" + ",".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}"


def quote(value: str) -> str:
    """`value` as a PromQL string literal; quotes, backslashes and line ends in it stay what they are."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _parse(query: str, where: str) -> Any:
    levels = len(NESTING.findall(re.sub(r"\{[^{}]*\}", "", OPAQUE.sub("", query))))
    if levels > MOST_LEVELS:
        what = f"{query[:60]!r} … has {levels:,} brackets and operators, more than {MOST_LEVELS}"
        raise ParamsError(what, where=where, cure="let a recording rule of Prometheus compute a part of it")
    try:
        tree: Any = promql_parser.parse(query)
    except ValueError as fault:
        raise ParamsError(f"{query!r} is not PromQL ({fault})", where=where, cure="mend the query") from None
    inner = tree
    while isinstance(inner, ParenExpr):
        inner = inner.expr
    if isinstance(inner, (MatrixSelector, SubqueryExpr)):
        cure = "write max_over_time(…) or the like around it, or leave the range out"
        raise ParamsError(f"{query!r} is a range, not one value at a time", where=where, cure=cure)
    if isinstance(inner, StringLiteral):
        raise ParamsError(f"{query!r} is a text", where=where, cure="select a metric")
    return tree


def nodes_of(tree: Any) -> list[Any]:
    """A parsed query and all that is inside it; a parent stands right before its own."""
    nodes: list[Any] = []

    def visit(node: Any) -> bool:
        nodes.append(node)
        return True

    promql_parser.walk(tree, visit)
    return nodes
