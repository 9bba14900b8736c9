"""Owners of tasks: who is asked when an alarm fires. Who may do what is Jupyter's business, not theirs."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from tsf.errors import ParamsError
from tsf.flow.store import opened
from tsf.params import Params, read_params
from tsf.server.answers import Answer, ConflictError, NotFoundError, json_answer, page_of, time_text
from tsf.server.service import Service

__all__ = ["add_user", "list_users", "read_user", "read_user_by_name", "tasks_of"]

NO_SIGN = r"@\s()<>\[\]:;,\\\""  # what an address has only in quotes or around itself
EMAIL = re.compile(rf"[^{NO_SIGN}]+@[^{NO_SIGN}.]+(\.[^{NO_SIGN}.]+)*\Z")


def list_users(service: Service, offset: int, limit: int) -> Answer:
    """Everybody who owns a task or was added."""
    return json_answer(page_of(_users(service.root), offset, limit))


def add_user(service: Service, body: dict[str, Any]) -> Answer:
    """Add an owner; one who is known from params.yaml gets an e-mail address so."""
    name, email = body["username"], body["email"]
    if not name.isprintable() or name != name.strip():
        raise ParamsError(f"{name!r} holds signs that cannot be seen", where="username", cure="remove them")
    if not (email.isprintable() and EMAIL.match(email)):
        raise ParamsError(f"{email!r} is not an e-mail address", where="email", cure="write one, as in ops@example.com")
    _users(service.root)  # so that owners in params.yaml have their rows
    with opened(service.root) as store:
        found = store.execute("SELECT email FROM users WHERE username = ?", (name,)).fetchone()
        if found and found["email"]:
            raise ConflictError(f"there is a user {name!r} already", where="username", cure="choose another name")
        if found:
            store.execute("UPDATE users SET email = ? WHERE username = ?", (email, name))
        else:
            _insert(store, name, email)
    return read_user_by_name(service, name)


def read_user(service: Service, user_id: int) -> Answer:
    """One owner by number."""
    return _found(service.root, "id", user_id)


def read_user_by_name(service: Service, username: str) -> Answer:
    """One owner by name."""
    return _found(service.root, "username", username)


def tasks_of(params: Params, username: str) -> list[str]:
    """Names of the tasks that somebody owns."""
    return [name for name, task in params.tasks.items() if task.owner == username]


def _found(root: Path, key: str, value: object) -> Answer:
    for user in _users(root):
        if user[key] == value:
            return json_answer(user)
    raise NotFoundError(f"there is no user {value!r}", where=key, cure="add one: POST /users")


def _users(root: Path) -> list[dict[str, Any]]:
    """All rows, after those owners of params.yaml who had none have got one."""
    params = read_params(root)
    with opened(root) as store:
        known = {row["username"] for row in store.execute("SELECT username FROM users")}
        for name in dict.fromkeys(task.owner for task in params.tasks.values() if task.owner):
            if name not in known:
                _insert(store, name, "")
        rows = store.execute("SELECT * FROM users ORDER BY id").fetchall()
    return [
        {**dict(row), "created_at": time_text(row["created_at"]), "tasks": tasks_of(params, row["username"])}
        for row in rows
    ]


def _insert(store: sqlite3.Connection, name: str, email: str) -> None:
    store.execute("INSERT INTO users (username, email, created_at) VALUES (?, ?, ?)", (name, email, time.time()))
