"""Which series of one query belongs to which of another, by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tsf.errors import QueryError

__all__ = ["join_rows"]

Row = Mapping[str, str]


def join_rows(series: Sequence[Row], others: Sequence[Row], where: str) -> NDArray[np.intp]:
    """(N,) for each of N `series` the index of the one in `others` that belongs to it, -1 where there is none.

    One belongs to a series that carries all of its labels with the same values, so many series may share it. The one
    with the very same labels goes before those with fewer. Labels hold no empty values, and no two `others` are equal.
    Raises QueryError with `where` if two belong to one series, or none to any.
    """
    tables: dict[tuple[str, ...], dict[tuple[str, ...], int]] = {}  # label names -> their values -> index
    for index, other in enumerate(others):
        names = tuple(sorted(other))
        tables.setdefault(names, {})[tuple(other[name] for name in names)] = index
    joined = np.full(len(series), -1, np.intp)
    for row, labels in enumerate(series):
        values = {names: tuple(labels.get(name, "") for name in names) for names in tables}
        found = {names: table[values[names]] for names, table in tables.items() if values[names] in table}
        if len(found) > 1 and tuple(sorted(labels)) not in found:
            first, second = (dict(others[index]) for index in list(found.values())[:2])
            raise QueryError(
                f"both {first} and {second} belong to the series {dict(labels)}",
                where=where,
                cure="aggregate by the same labels everywhere, as in max by (group, user) (…)",
            )
        joined[row] = found.get(tuple(sorted(labels)), next(iter(found.values()), -1))
    if (joined < 0).all():
        raise QueryError(_why_none(series, others), where=where, cure=_cure(series, others))
    return joined


def _why_none(series: Sequence[Row], others: Sequence[Row]) -> str:
    return f"none of its {len(others)} series, such as {dict(others[0])}, belongs to one such as {dict(series[0])}"


def _cure(series: Sequence[Row], others: Sequence[Row]) -> str:
    known = set().union(*series)
    shared = [name for name in sorted(others[0]) if name in known]
    if extra := sorted(set(others[0]) - known):
        return f"the metric has no label {', '.join(extra)}; write max by ({', '.join(shared)}) (…)"
    return "keep only labels that have the same values in both, as in max by (group, user) (…)"
