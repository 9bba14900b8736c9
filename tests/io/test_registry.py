"""The store of model versions: nothing is lost, nothing is guessed, nobody gets out of it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tsf.errors import FlowError, ModelError
from tsf.io import registry
from tsf.io.artifacts import CARD, WEIGHTS, read_card, read_json, read_model, write_model
from tsf.io.files import write_json
from tsf.io.lineage import lineage
from tsf.io.registry import (
    NOTEBOOK,
    alert_in_force,
    aliased,
    chosen_alert,
    promote,
    register,
    resolve,
    rollback,
    versions,
)
from tsf.params import AlertParams
from tsf.project import TaskPaths


def model(folder: Path, number: int) -> str:
    """Write a model that `number` makes different, and return its version."""
    return write_model(folder, {"w": np.full(3, float(number))}, {"spec": {"n": number}, "data_hash": "d"})


def name(number: int) -> str:
    return f"model_20261101_{number:06d}"


def test_the_lineage_of_what_was_never_pushed_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="task 'a' has pushed no forecast; run `tsf push --task a`"):
        lineage(tmp_path, "a")


@pytest.fixture
def stored(tmp_path: Path) -> tuple[TaskPaths, list[str]]:
    """A registry with three versions of one task, the oldest first."""
    paths, found = TaskPaths(tmp_path, "storage"), []
    for number in range(3):
        model(paths.model, number)
        found.append(register(paths, name(number)))
    return paths, found


def test_a_version_is_copied_whole_and_only_once(tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, "storage")
    version = model(paths.model, 1)
    assert register(paths, name(1)) == version
    folder = paths.registry / "storage" / version
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert register(paths, name(2)) == version
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert {path.name for path in before} == {WEIGHTS, CARD}
    tensors, card = read_model(folder)
    assert tensors["w"].tolist() == [1, 1, 1]
    assert card["name"] == name(1)


def test_the_executed_notebook_is_kept_with_the_version_that_it_names(tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, "storage")
    notebook = paths.notebook("train")
    notebook.parent.mkdir(parents=True)
    first = model(paths.model, 1)
    notebook.write_text(f"kept as version {first}")
    register(paths, name(1))
    assert (paths.registry / "storage" / first / NOTEBOOK).read_text() == f"kept as version {first}"
    second = model(paths.model, 2)  # the notebook still tells of the first
    register(paths, name(2))
    assert not (paths.registry / "storage" / second / NOTEBOOK).exists()


def test_versions_come_oldest_first_with_their_aliases(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, (first, second, third) = stored
    promote(paths, first)
    promote(paths, third, "challenger")
    found = versions(paths)
    assert [one.version for one in found] == [first, second, third]
    assert [one.name for one in found] == [name(0), name(1), name(2)]
    assert [one.aliases for one in found] == [("champion",), (), ("challenger",)]
    assert [one.card["spec"] for one in found] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert versions(TaskPaths(paths.root, "gpu")) == []


def test_a_model_is_found_by_alias_name_version_and_its_start(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, (first, second, _) = stored
    promote(paths, name(1))
    for reference in ("champion", second, second[:11], name(1)):
        assert resolve(paths, reference) == paths.registry / "storage" / second
    assert resolve(paths, name(0)) == paths.registry / "storage" / first
    assert resolve(paths) == paths.registry / "storage" / second


def test_an_alias_is_followed_without_a_look_at_the_other_versions(
    stored: tuple[TaskPaths, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, (first, second, third) = stored
    assert aliased(paths) is None
    promote(paths, second)
    promote(paths, second, "challenger")
    read = []
    monkeypatch.setattr(registry, "read_card", lambda folder: read.append(folder.name) or read_card(folder))
    assert aliased(paths) == versions(paths)[1]
    assert sorted(read) == sorted([second, first, second, third])
    read.clear()
    assert resolve(paths, "challenger").name == second
    assert read == [second]
    shutil.rmtree(paths.registry / "storage" / second)
    assert aliased(paths) is None
    (paths.registry / "storage" / "aliases.json").write_text(
        '{"history": [{"act": "promote", "alias": "champion", "version": ".."}]}'
    )
    assert aliased(paths) is None


@pytest.mark.parametrize("reference", ["", "champion", "xyz", "../storage", "model_20990101_000000", ".", "0" * 12])
def test_a_reference_to_nothing_lists_what_there_is(stored: tuple[TaskPaths, list[str]], reference: str) -> None:
    paths, known = stored
    with pytest.raises(ModelError, match="task storage: there is no model") as caught:
        resolve(paths, reference)
    assert all(version in str(caught.value) for version in known)
    assert name(0) in str(caught.value)


def test_a_start_that_two_versions_share_is_not_guessed(tmp_path: Path) -> None:
    paths, starts = TaskPaths(tmp_path, "storage"), list[str]()
    for number in range(17):  # 16 hexadecimal digits: two must share the first
        model(paths.model, number)
        starts.append(register(paths, name(number))[0])
    shared = next(start for start in starts if starts.count(start) > 1)
    with pytest.raises(ModelError, match=f"{starts.count(shared)} versions start with '{shared}'"):
        resolve(paths, shared)


def test_a_task_without_models_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="task storage: it has no model in the registry; run `tsf evaluate"):
        resolve(TaskPaths(tmp_path, "storage"))


def test_rollback_goes_back_step_by_step_and_keeps_the_history(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, (first, second, third) = stored
    for version in (first, second, second, third):
        promote(paths, version)
    assert rollback(paths) == second
    assert rollback(paths) == first
    assert resolve(paths).name == first
    with pytest.raises(ModelError, match=f"points at {first}, and nothing lies before it; promote a version"):
        rollback(paths)
    promote(paths, third)
    assert rollback(paths) == first
    history = read_json(paths.registry / "storage" / "aliases.json")["history"]
    assert [(move["act"], move["version"]) for move in history] == [
        ("promote", first),
        ("promote", second),
        ("promote", third),
        ("rollback", second),
        ("rollback", first),
        ("promote", third),
        ("rollback", first),
    ]
    with pytest.raises(ModelError, match="challenger of task storage points at nothing"):
        rollback(paths, "challenger")


def test_only_champion_and_challenger_are_aliases(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, (first, *_) = stored
    with pytest.raises(ModelError, match="there is no alias 'latest'; choose from champion, challenger"):
        promote(paths, first, "latest")
    assert not (paths.registry / "storage" / "aliases.json").exists()


@pytest.mark.parametrize("bad", ["model", "../x", "model_20261101_000000/..", "model_20261101_00000", ""])
def test_bad_and_taken_names_are_refused(stored: tuple[TaskPaths, list[str]], bad: str) -> None:
    paths, (first, *_) = stored
    model(paths.model, 9)
    with pytest.raises(ModelError, match="is not a model's name"):
        register(paths, bad)
    with pytest.raises(ModelError, match=f"the name {name(0)} belongs to version {first}"):
        register(paths, name(0))
    other = TaskPaths(paths.root, "gpu")
    model(other.model, 9)
    register(other, name(0))  # names are unique within a task


@pytest.mark.parametrize("task", ["../storage", "/tmp", "", ".", "a/b", "A", "x\n"])
def test_no_task_name_leads_out_of_the_registry(stored: tuple[TaskPaths, list[str]], task: str) -> None:
    paths, (first, *_) = stored
    outside = TaskPaths(paths.root, task)
    for act in (
        lambda: register(outside, name(5)),
        lambda: versions(outside),
        lambda: resolve(outside),
        lambda: promote(outside, first),
        lambda: rollback(outside),
    ):
        with pytest.raises(ModelError, match="is not the name of a task"):
            act()


def test_a_damaged_model_is_not_registered(tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, "storage")
    model(paths.model, 1)
    (paths.model / WEIGHTS).write_bytes(b"")
    with pytest.raises(ModelError, match="is damaged"):
        register(paths, name(1))
    assert not paths.registry.exists()


def test_a_damaged_version_is_shown_and_healed_by_registering_it_again(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, (_, _, third) = stored
    (paths.registry / "storage" / third / CARD).write_text("{")
    assert {one.version: one.name for one in versions(paths)}[third] == ""
    assert register(paths, name(2)) == third
    assert read_model(resolve(paths, name(2)))[1]["version"] == third


def test_a_damaged_list_of_aliases_is_one_sentence(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, _ = stored
    moves = [f'"act": "promote", "version": {version}' for version in ("5", "null")]
    texts = [f'{{"history": [{{"alias": "champion", {move}}}]}}' for move in ('"act": "rollback"', *moves)]
    for text in ("{", "[]", '{"history": [{}]}', *texts):
        (paths.registry / "storage" / "aliases.json").write_text(text)
        with pytest.raises(ModelError, match=r"aliases\.json: it is damaged; restore it"):
            resolve(paths)


WORKER = """
import sys
from pathlib import Path
import numpy as np
from tsf.io.artifacts import write_model
from tsf.io.registry import promote, register
from tsf.project import TaskPaths
paths = TaskPaths(Path(sys.argv[1]), "storage")
for number in range(int(sys.argv[2]), 10**6):
    write_model(paths.model, {"w": np.full(100_000, float(number))}, {"spec": {"n": number}, "data_hash": "d"})
    version = register(paths, f"model_20261101_{number:06d}")
    promote(paths, version)
    print(number, version, flush=True)
"""


def test_a_process_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    done = -1
    for pause in np.linspace(0, 0.06, 3):
        arguments = [sys.executable, "-c", WORKER, str(tmp_path), str(done + 10)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        done, version = int(lines[-1].split()[0]), lines[-1].split()[1]
        known = versions(TaskPaths(tmp_path, "storage"))
        assert version in [one.version for one in known]
        assert all(read_model(one.folder)[1]["version"] == one.version for one in known)
        assert read_model(resolve(TaskPaths(tmp_path, "storage")))[1]["spec"]["n"] >= done
    shutil.rmtree(tmp_path / "registry")


MOVER = """
import sys
from pathlib import Path
from tsf.io.registry import promote, rollback
from tsf.project import TaskPaths
paths, first, second, alias = TaskPaths(Path(sys.argv[1]), "storage"), *sys.argv[2:]
promote(paths, first, alias)
for _ in range(20):
    promote(paths, second, alias)
    rollback(paths, alias)
"""


def test_two_processes_that_move_aliases_at_once_lose_no_move(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, (first, second, _) = stored
    started = [
        subprocess.Popen([sys.executable, "-c", MOVER, str(paths.root), first, second, alias])
        for alias in ("champion", "challenger")
    ]
    assert [process.wait() for process in started] == [0, 0]
    history = read_json(paths.registry / "storage" / "aliases.json")["history"]
    for alias in ("champion", "challenger"):
        moves = [(move["act"], move["version"]) for move in history if move["alias"] == alias]
        assert moves == [("promote", first), *[("promote", second), ("rollback", first)] * 20]


def test_the_alert_in_force_goes_back_with_the_champion(stored: tuple[TaskPaths, list[str]]) -> None:
    paths, found = stored
    as_set = AlertParams(probability=0.9, hold=2, gate=0.4)
    assert alert_in_force(paths, as_set) == as_set  # before there is a champion
    for version, threshold in zip(found[:2], (0.2, 0.3), strict=True):
        chosen = {"threshold": threshold, "hold_steps": 1, "gate": 0.85}
        write_json({"alarms": chosen}, paths.kept_evaluation(version))
        promote(paths, version)
    assert alert_in_force(paths, as_set) == AlertParams(probability=0.3, hold=1, gate=0.85)
    assert chosen_alert(paths, found[0]) == {"probability": 0.2, "hold": 1, "gate": 0.85}
    of_another = AlertParams(probability=0.2, hold=1, gate=0.85)
    assert alert_in_force(paths, as_set, chosen_alert(paths, found[0])) == of_another
    assert alert_in_force(paths, as_set, chosen_alert(paths, found[2])) == as_set  # never evaluated
    rollback(paths)
    assert alert_in_force(paths, as_set).probability == 0.2
    fixed = as_set.model_copy(update={"policy": "fixed"})
    assert alert_in_force(paths, fixed) == fixed
    promote(paths, found[2])  # never evaluated
    assert alert_in_force(paths, as_set) == as_set
