"""Who is asked about which series: a map of labels to owners, from a CSV file or address, such as a CMDB exports it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from tsf.errors import ConnectError, ServerError, SourceError
from tsf.io.deadline import timed_session
from tsf.io.files import one_line
from tsf.io.http import Bearer, cause
from tsf.kinds import LABEL_NAME, plain_address
from tsf.params import PrometheusParams

__all__ = ["Owners", "read_owners"]

KEY = "alert.owners"


@dataclass(frozen=True)
class Owners:
    """columns: the labels that the map goes by. rows: their values and `owner`, no two with the same labels."""

    columns: Sequence[str] = ()
    rows: Sequence[Mapping[str, str]] = ()

    def of(self, series: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """The rows that speak about one of the `series`; an empty cell means that a series lacks the label."""
        known = {tuple(labels.get(name, "") for name in self.columns) for labels in series}
        return [row for row in self.rows if tuple(row[name] for name in self.columns) in known]

    def unused(self, series: Sequence[Mapping[str, str]]) -> str:
        """A sentence where there are rows and none speaks about one of the `series`, else ""."""
        if not self.rows or self.of(series):
            return ""
        labels = ", ".join(sorted({name for row in series for name in row})) or "none"
        what = f"none of its {len(self.rows)} rows, by {', '.join(self.columns)}, speaks about a series"
        return str(SourceError(what, where=KEY, cure=f"name labels of the series ({labels}) and their values"))


def read_owners(place: str, root: Path, server: PrometheusParams) -> Owners:
    """Read the CSV at `place`, an address or a path from `root` on; "" gives an empty map.

    Its first line names labels and `owner`. An address is asked with the timeout and the CA of `server`; credentials,
    those of ~/.netrc included, are sent to none. Raises SourceError.
    """
    if not place:
        return Owners()
    where = f"{KEY} {plain_address(place)}"
    text = _ask(place, where, server) if "://" in place else _read(root / place, where)
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in lines.fieldnames or ()]
        lines.fieldnames = columns
        rows = []
        for row in lines:
            if None in row:  # where DictReader puts what is too much
                raise csv.Error(f"line {lines.line_num} has more cells than the first one")
            rows.append({name: (row[name] or "").strip() for name in columns})
    except csv.Error as fault:
        raise SourceError(f"it is not CSV ({fault})", where=where, cure="mend that line") from None
    labels = [name for name in columns if name != "owner"]
    if "owner" not in columns or not labels or len(set(columns)) < len(columns):
        what = f"its first line is {','.join(columns)[:80]!r}"
        raise SourceError(what, where=where, cure="begin it with labels and owner, as in group,owner")
    if wrong := [name for name in labels if not LABEL_NAME.match(name)]:
        raise SourceError(f"{wrong[0]!r} is no name of a label", where=where, cure="use letters, digits and _")
    keys = [tuple(row[name] for name in labels) for row in rows]
    if twice := next((key for key, count in Counter(keys).items() if count > 1), None):
        raise SourceError(f"{twice} stands in it twice", where=where, cure="give it one owner")
    return Owners(labels, [row for row in rows if row["owner"]])


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise SourceError(f"it cannot be read ({one_line(fault)})", where=where, cure="mend the path") from None


def _ask(address: str, where: str, server: PrometheusParams) -> str:
    try:
        with timed_session() as session:
            reply = session.get(address, timeout=server.timeout, verify=server.ca_file or True, auth=Bearer(""))
    except (requests.RequestException, OSError) as fault:
        raise ConnectError(f"it cannot be asked ({cause(fault)})", where=where, cure="mend the address") from None
    if reply.status_code != 200:
        raise ServerError(f"it answers {reply.status_code}", where=where, cure="open the address and see why")
    return reply.content.decode("utf-8-sig", errors="replace")
