"""A map of owners is read from a file or an address, and refused where it would name the wrong person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import Answer, FaultServer
from tsf.errors import ConnectError, ServerError, SourceError
from tsf.io.owners import Owners, read_owners

CSV = 'cluster,group,owner\r\neast,vision,"Ann, <ann@example>"\neast,,ops\nwest,vision,\n'
SERIES = [{"cluster": "east", "group": "vision", "user": "x"}, {"cluster": "east", "user": "y"}]


def test_owners_are_found_by_the_labels_of_the_map(tmp_path: Path) -> None:
    (tmp_path / "owners.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    owners = read_owners("owners.csv", tmp_path, 5)
    assert owners.columns == ["cluster", "group"]
    assert owners.of(SERIES) == [
        {"cluster": "east", "group": "vision", "owner": "Ann, <ann@example>"},
        {"cluster": "east", "group": "", "owner": "ops"},
    ]
    assert owners.of([{"cluster": "north"}, {"cluster": "west", "group": "vision"}]) == []
    assert read_owners("", tmp_path, 5) == Owners()


def test_an_address_is_asked(fault_server: Callable[..., FaultServer], tmp_path: Path) -> None:
    server = fault_server(Answer(200, CSV.encode()), Answer(503))
    assert len(read_owners(f"{server.url}/cmdb.csv", tmp_path, 5).rows) == 2
    assert "Authorization" not in server.requests[0].headers
    with pytest.raises(ServerError, match="it answers 503"):
        read_owners(f"{server.url}/cmdb.csv", tmp_path, 5)
    with pytest.raises(ConnectError, match=r"alert\.owners http://127\.0\.0\.1:9/x"):
        read_owners("http://127.0.0.1:9/x", tmp_path, 5)


@pytest.mark.parametrize(("text", "words"), [
    ("", "begin it with labels and owner"),
    ("group,user\na,b\n", "begin it with labels and owner"),
    ("owner\nann\n", "begin it with labels and owner"),
    ("group,group,owner\na,b,c\n", "begin it with labels and owner"),
    ("my group,owner\na,b\n", "'my group' is no name of a label"),
    ("group,owner\na,ann\na,bob\n", r"\('a',\) stands in it twice"),
    ('group,owner\n"a,ann\n', "it is not CSV"),
])  # fmt: skip
def test_a_map_that_misleads_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "owners.csv").write_text(text)
    with pytest.raises(SourceError, match=words):
        read_owners("owners.csv", tmp_path, 5)
    with pytest.raises(SourceError, match="cannot be read"):
        read_owners("nowhere.csv", tmp_path, 5)
