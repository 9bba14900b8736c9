"""The small database of a project, `.tsf/state.sqlite`: the queue of runs and the owners of tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsf.errors import FlowError
from tsf.io.files import one_line

__all__ = ["opened", "state_folder"]

VERSION = 1
SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    stage TEXT NOT NULL,
    alone INTEGER NOT NULL,
    force INTEGER NOT NULL,
    state TEXT NOT NULL,
    queued_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    settings TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_task ON runs (task, id);
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    created_at REAL NOT NULL
);
"""


def state_folder(root: Path) -> Path:
    """Where the queue, its lock and its logs lie; made on first use. Raises FlowError where that cannot be."""
    folder = root / ".tsf"
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        what = f"it cannot be made ({fault.strerror})"
        raise FlowError(what, where=str(folder), cure="free the disk or mend the permissions") from None
    return folder


@contextmanager
def opened(root: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one transaction that no other writer can come between; raises FlowError where it fails."""
    path = state_folder(root) / "state.sqlite"
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN IMMEDIATE")
            _make_tables(connection, path)
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()  # without COMMIT nothing of the transaction stays
    except sqlite3.Error as fault:
        cure = "free the disk or mend the permissions; if it is damaged, delete it: only the list of past runs is lost"
        raise FlowError(f"it cannot be used ({one_line(fault)})", where=str(path), cure=cure) from None


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        what = f"it has version {version}, this tsf reads {VERSION}"
        raise FlowError(what, where=str(path), cure="update tsf")
    if version == 0:
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
