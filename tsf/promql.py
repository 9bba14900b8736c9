"""PromQL as text: checked without a server, quoted safely, and refused before it misleads a model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import promql_parser
from promql_parser import BinaryExpr, Call, MatchOp, MatrixSelector, NumberLiteral, VectorSelector

from tsf.errors import ParamsError

__all__ = [
    "Unit",
    "amount_text",
    "check_query",
    "matchers_text",
    "metric_name",
    "quote",
    "range_selectors",
    "raw_selectors",
    "scale_of",
    "selectors",
    "unit_of",
]

Unit = Literal["bytes", "bytes/s", "percent", "ratio", ""]
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
DECIMAL = ("", "k", "M", "G", "T", "P", "E")
COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
COUNTER_FUNCTIONS = {"rate", "irate", "increase", "delta", "idelta", "resets", "changes", "count_over_time"}


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
    return [node for node in _nodes(_parse(query, where)) if isinstance(node, VectorSelector)]


def raw_selectors(query: str, where: str = "query") -> list[VectorSelector]:
    """The vector selectors of `query` outside rate(), increase() and the like. Raises ParamsError as `selectors`."""
    found, nodes, at = [], _nodes(_parse(query, where)), 0
    while at < len(nodes):
        node = nodes[at]
        tamed = isinstance(node, Call) and node.func.name in COUNTER_FUNCTIONS
        found += [node] if isinstance(node, VectorSelector) else []
        at += len(_nodes(node)) if tamed else 1  # a parent stands right before all that is inside it
    return found


def metric_name(selector: VectorSelector) -> str:
    """The name of the metric that `selector` reads, "" where it does not fix one."""
    fixed = [m.value for m in selector.matchers.matchers if m.name == "__name__" and m.op == MatchOp.Equal]
    return selector.name or (fixed[0] if fixed else "")


def range_selectors(query: str, where: str = "query") -> list[str]:
    """The text of every range selector of `query`, such as `x{a="b"}[5m]`. Raises ParamsError as `selectors`."""
    return [node.prettify() for node in _nodes(_parse(query, where)) if isinstance(node, MatrixSelector)]


def matchers_text(labels: Mapping[str, str]) -> str:
    """Labels and their values as a selector has them: `{group="vision",user="ann"}`."""
    return "{" + ",".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}"


def quote(value: str) -> str:
    """`value` as a PromQL string literal; quotes, backslashes and line ends in it stay what they are."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def unit_of(query: str) -> Unit:
    """The unit of a query's values, as far as it tells; "" where nothing does, and for what is not PromQL.

    By convention the names of metrics end in base units; operators change them.
    """
    try:
        return _unit(promql_parser.parse(query))
    except ValueError:
        return ""


def _unit(node: Any) -> Unit:
    if isinstance(node, BinaryExpr):
        return _combined(node, _unit(node.lhs), _unit(node.rhs))
    if any(isinstance(part, BinaryExpr) for part in _nodes(node)):
        inner = node.args if isinstance(node, Call) else [node.expr]
        return next((unit for unit in map(_unit, inner) if unit), "")
    return _named(node.prettify())


def _combined(node: BinaryExpr, left: Unit, right: Unit) -> Unit:
    """Bytes by bytes are a ratio; a factor makes another unit, but a join with an info metric, which is 1, does not."""
    factors = [side.val for side in (node.lhs, node.rhs) if isinstance(side, NumberLiteral)]
    if str(node.op) == "/":
        return "ratio" if left == right and left else ""
    if str(node.op) == "*" and factors:
        return "percent" if factors == [100] and "ratio" in (left, right) else ""
    return left or right


def _named(text: str) -> Unit:
    if re.search(r"(percent|pct)(?![a-zA-Z])", text):
        return "percent"
    if re.search(r"ratio(?![a-zA-Z])", text):
        return "ratio"
    if re.search(r"per_second|bytes_total|throughput|bandwidth", text) or (
        "bytes" in text and re.search(r"\bi?rate\(", text)
    ):
        return "bytes/s"
    return "bytes" if re.search(r"bytes|memory_(used|total|free)", text) else ""


def scale_of(largest: float, unit: Unit) -> tuple[float, str]:
    """What to divide by, and the name of the unit then, for values up to `largest`."""
    base, names = (1024.0, BINARY) if unit == "bytes" else (1000.0, DECIMAL)
    if unit == "percent":
        return 1.0, "%"
    if unit == "ratio":
        return 0.01, "%"
    power = 0
    while power < len(names) - 1 and math.isfinite(largest) and abs(largest) >= base ** (power + 1):
        power += 1
    return base**power, names[power] + ("B/s" if unit == "bytes/s" else "")


def amount_text(value: float, unit: Unit) -> str:
    """A value in the unit that suits its size, a dash where it is unknown."""
    if math.isnan(value):
        return "–"
    scale, name = scale_of(value, unit)
    number = value / scale
    return f"{format(number, ',.0f' if abs(number) >= 999.5 else '.3g')} {name}".strip()


def _parse(query: str, where: str) -> Any:
    try:
        return promql_parser.parse(query)
    except ValueError as fault:
        raise ParamsError(f"{query!r} is not PromQL ({fault})", where=where, cure="mend the query") from None


def _nodes(tree: Any) -> list[Any]:
    nodes: list[Any] = []

    def visit(node: Any) -> bool:
        nodes.append(node)
        return True

    promql_parser.walk(tree, visit)
    return nodes
