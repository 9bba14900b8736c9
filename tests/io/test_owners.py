"""A map of owners is read from a file or an address, and refused where it would name the wrong person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import Answer, FaultServer
from tsf.errors import ConnectError, ServerError, SourceError
from tsf.io.owners import Owners, read_owners
from tsf.params import PrometheusParams

CSV = 'cluster,group,owner\r\neast,vision,"Ann, <ann@example>"\neast,,ops\nwest,vision,\n'
SERVER = PrometheusParams()
SERIES = [{"cluster": "east", "group": "vision", "user": "x"}, {"cluster": "east", "user": "y"}]


def test_owners_are_found_by_the_labels_of_the_map(tmp_path: Path) -> None:
    (tmp_path / "owners.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    owners = read_owners("owners.csv", tmp_path, SERVER)
    assert owners.columns == ["cluster", "group"]
    assert owners.of(SERIES) == [
        {"cluster": "east", "group": "vision", "owner": "Ann, <ann@example>"},
        {"cluster": "east", "group": "", "owner": "ops"},
    ]
    assert owners.of([{"cluster": "north"}, {"cluster": "west", "group": "vision"}]) == []
    assert read_owners("", tmp_path, SERVER) == Owners()


def test_a_map_that_speaks_about_no_series_says_so_with_their_labels() -> None:
    misspelt = Owners(["usr"], [{"usr": "x", "owner": "ann"}, {"usr": "y", "owner": "bob"}])
    assert misspelt.unused(SERIES) == (
        "alert.owners: none of its 2 rows, by usr, speaks about a series; "
        "name labels of the series (cluster, group, user) and their values."
    )
    assert "(none)" in misspelt.unused([{}])
    assert Owners(["user"], [{"user": "y", "owner": "ann"}]).unused(SERIES) == ""
    assert Owners(["user"], []).unused(SERIES) == Owners().unused(SERIES) == ""


def test_an_address_is_asked(
    fault_server: Callable[..., FaultServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = fault_server(Answer(200, CSV.encode()), Answer(503))
    assert len(read_owners(f"{server.url}/cmdb.csv", tmp_path, SERVER).rows) == 2
    assert "Authorization" not in server.requests[0].headers
    with pytest.raises(ServerError, match="it answers 503"):
        read_owners(f"{server.url}/cmdb.csv", tmp_path, SERVER)
    with pytest.raises(ConnectError, match=r"alert\.owners http://127\.0\.0\.1:9/x: .*connection refused") as fault:
        read_owners("http://127.0.0.1:9/x?key=secret", tmp_path, SERVER)
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize(("text", "words"), [
    ("", "begin it with labels and owner"),
    ("group,user\na,b\n", "begin it with labels and owner"),
    ("owner\nann\n", "begin it with labels and owner"),
    ("group,group,owner\na,b,c\n", "begin it with labels and owner"),
    ("my group,owner\na,b\n", "'my group' is no name of a label"),
    ("group,owner\na,ann\na,bob\n", r"\('a',\) stands in it twice"),
    ('group,owner\n"a,ann\n', "it is not CSV"),
    ("group,owner\na,Ann, phone 4711\n", "line 2 has more cells than the first one"),
])  # fmt: skip
def test_a_map_that_misleads_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "owners.csv").write_text(text)
    with pytest.raises(SourceError, match=words):
        read_owners("owners.csv", tmp_path, SERVER)
    with pytest.raises(SourceError, match="cannot be read"):
        read_owners("nowhere.csv", tmp_path, SERVER)


def test_whatever_csv_may_hold_is_read_whole_and_many_rows_soon(tmp_path: Path) -> None:
    rows = "".join(f"group{number},ann\n" for number in range(20_000))
    (tmp_path / "owners.csv").write_text('group,owner\na\u2028b,ann\nc,"Ann\nphone 1"\n' + rows, encoding="utf-8")
    owners = read_owners("owners.csv", tmp_path, SERVER)
    assert owners.rows[0] == {"group": "a\u2028b", "owner": "ann"}
    assert owners.rows[1] == {"group": "c", "owner": "Ann\nphone 1"}
    assert len(owners.rows) == 20_002
