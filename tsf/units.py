"""Units: which one the values of a query have, and amounts of it as people read them."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import promql_parser
from promql_parser import BinaryExpr, Call, NumberLiteral

from tsf.promql import nodes_of

__all__ = ["Unit", "amount_text", "scale_of", "unit_of"]

Unit = Literal["bytes", "bytes/s", "percent", "ratio", ""]
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
DECIMAL = ("", "k", "M", "G", "T", "P", "E")


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
    if any(isinstance(part, BinaryExpr) for part in nodes_of(node)):
        inner = node.args if isinstance(node, Call) else [node.expr]
        return next((unit for unit in map(_unit, inner) if unit), "")
    return _named(node.prettify())


def _combined(node: BinaryExpr, left: Unit, right: Unit) -> Unit:
    """Bytes by bytes are a ratio; a factor makes another unit, but a join with an info metric, which is 1, does not."""
    factors = [side.val for side in (node.lhs, node.rhs) if isinstance(side, NumberLiteral)]
    if str(node.op) == "/":
        hundredth = _hundredth(node.lhs)  # 100 * a / b is read as (100 * a) / b
        if hundredth is not None:
            return "percent" if _unit(hundredth) == right and right else ""
        return "ratio" if left == right and left else ""
    if str(node.op) == "*" and factors:
        return "percent" if factors == [100] and "ratio" in (left, right) else ""
    return left or right


def _hundredth(node: Any) -> Any:
    """What `node` takes a hundred times, None where it is no such product."""
    if not (isinstance(node, BinaryExpr) and str(node.op) == "*"):
        return None
    pairs = ((node.lhs, node.rhs), (node.rhs, node.lhs))
    return next((part for factor, part in pairs if isinstance(factor, NumberLiteral) and factor.val == 100), None)


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
