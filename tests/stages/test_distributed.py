"""Which GPU a training takes, asked by real processes; the GPUs are names, as a lock needs no more of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stages.conftest import ROOT
from tsf.stages.distributed import free_gpu, gpu_names

HOLDS = """
import sys, pathlib
from tsf.stages.distributed import free_gpu
with free_gpu(sys.argv[2:], print, pathlib.Path(sys.argv[1])) as place:
    print(place, flush=True)
    sys.stdin.read()
"""


def held_by_a_process(folder: Path, names: Sequence[str]) -> subprocess.Popen[str]:
    """A process that holds a GPU until it is killed or its input ends; its output is at the line after the place."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder), *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    process.stdout.readline()
    return process


def test_each_training_takes_a_gpu_that_no_other_holds_and_a_killed_one_holds_none(tmp_path: Path) -> None:
    names, said = ["a", "b", "c"], []
    with held_by_a_process(tmp_path, names) as other:
        with free_gpu(names, said.append, tmp_path) as second, free_gpu(names, said.append, tmp_path) as third:
            assert (second, third) == (1, 2)
        with free_gpu(names, said.append, tmp_path) as again:
            assert again == 1
        other.kill()
    with free_gpu(names, said.append, tmp_path) as first:
        assert first == 0
    assert said == [f"training takes GPU {place} of 3" for place in (1, 2, 1, 0)]


def test_the_same_gpu_is_known_in_whatever_order_a_process_sees_it(tmp_path: Path) -> None:
    with held_by_a_process(tmp_path, ["a", "b"]) as other:
        with free_gpu(["b", "a"], print, tmp_path) as place:
            assert place == 0
        with free_gpu(["a", "b"], print, tmp_path) as place:
            assert place == 1
        other.kill()


def test_where_all_are_taken_the_first_one_is_shared_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    with ExitStack() as stack:
        assert [stack.enter_context(free_gpu(["a", "b"], said.append, tmp_path)) for _ in range(4)] == [0, 1, 0, 0]
    assert said[2:] == ["training shares GPU 0, as others hold all 2"] * 2


@pytest.mark.parametrize("names", [[], ["a"]])
def test_without_a_choice_nothing_is_locked_or_said(tmp_path: Path, names: list[str]) -> None:
    with free_gpu(names, pytest.fail, tmp_path) as place:
        assert place == -1
    assert not [*tmp_path.iterdir()]
    assert gpu_names("cpu") == []


def test_a_lock_that_cannot_be_opened_counts_as_held(tmp_path: Path) -> None:
    (tmp_path / "tsf-gpu-a.lock").mkdir()
    with free_gpu(["a", "b"], print, tmp_path) as place:
        assert place == 1


def test_a_strict_umask_of_the_first_user_keeps_no_other_from_the_gpu(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with free_gpu(["a", "b"], print, tmp_path):
            assert (tmp_path / "tsf-gpu-a.lock").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_lock_that_is_a_pipe_or_a_link_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tsf-gpu-a.lock")
    (tmp_path / "tsf-gpu-b.lock").symlink_to(tmp_path / "elsewhere")
    with free_gpu(["b", "a"], print, tmp_path) as place:
        assert place == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_training_that_fails_lets_go_of_its_gpu(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="diverged"), free_gpu(["a", "b"], print, tmp_path):
        raise RuntimeError("diverged")
    with free_gpu(["a", "b"], print, tmp_path) as place:
        assert place == 0
