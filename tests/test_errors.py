"""The tree of errors: each a sentence, each drawn where a reader looks first."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tsf import errors
from tsf.errors import SeriesError, TsfError

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_is_one_sentence_that_survives_a_process_boundary(kind: type[TsfError]) -> None:
    fault = kind("the value is 7", where="params.yaml a.b", cure="make it 8")
    for one in (fault, pickle.loads(pickle.dumps(fault)), copy.deepcopy(fault)):  # noqa: S301
        assert type(one) is kind
        assert str(one) == "params.yaml a.b: the value is 7; make it 8."
        assert (one.what, one.where, one.cure) == ("the value is 7", "params.yaml a.b", "make it 8")


def test_a_notebook_shows_the_sentence_and_no_traceback(tmp_path: Path) -> None:
    cell = "from tsf.errors import TsfError\nraise TsfError('it broke', cure='mend it')"
    environ = os.environ | {"IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-m", "IPython", "-c", cell]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "error: it broke; mend it.\n"), done.stderr


def test_place_and_cure_are_left_out_where_there_is_none() -> None:
    assert str(TsfError("it broke")) == "it broke."
    assert str(TsfError("it broke", cure="mend it")) == "it broke; mend it."


def test_the_tree_at_the_top_of_the_module_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│ ├└─]*)(\w+Error)\b", line):
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            drawn[match[2]] = path[-2] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in CLASSES}


def test_one_except_catches_them_all() -> None:
    with pytest.raises(TsfError):
        raise errors.HistoryError("there are 3 steps, 24 are needed")
    assert issubclass(errors.HistoryError, SeriesError)
