"""What is written as JSON."""

import json
import math
import os
from pathlib import Path
from types import MappingProxyType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsf.io.files import json_text, replacing

NUMBERS = st.floats() | st.floats().map(np.float64) | st.integers(-(2**40), 2**40).map(np.int64) | st.integers()
PLAIN = st.none() | st.booleans() | st.booleans().map(np.bool_) | st.text(st.characters(codec="utf-8")) | NUMBERS
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text("abc"), inner)
)


def read_back(value: object) -> object:
    """What a reader of JSON is to find for `value`."""
    if isinstance(value, dict):
        return {key: read_back(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [read_back(item) for item in value]
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


@given(VALUES)
def test_json_says_all_that_it_can_and_null_for_what_is_no_number(value: object) -> None:
    assert json.loads(json_text(value)) == read_back(value)


def test_arrays_paths_and_views_of_mappings_are_written_as_what_they_hold() -> None:
    value = {"array": np.array([[1.5, np.nan]]), "path": Path("a/b"), "view": MappingProxyType({2: (True,)})}
    assert json_text(value) == b'{"array": [[1.5, null]], "path": "a/b", "view": {"2": [true]}}'


def test_a_file_that_is_replaced_keeps_its_rights_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "storage.prom"
    path.write_bytes(b"old")
    before = os.umask(0o077)  # node_exporter is another user
    try:
        for mode in (0o644, 0o640, 0o664):
            path.chmod(mode)
            with replacing(path) as file:
                file.write(b"new")
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)
