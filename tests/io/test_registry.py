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

from tsf.errors import ModelError
from tsf.io import registry
from tsf.io.artifacts import CARD, WEIGHTS, read_card, read_json, read_model, write_model
from tsf.io.files import write_json
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


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, list[str]]:
    """A registry with three versions of one task, the oldest first."""
    root, found = tmp_path / "registry", []
    for number in range(3):
        model(tmp_path / "model", number)
        found.append(register(root, "storage", tmp_path / "model", name(number)))
    return root, found


def test_a_version_is_copied_whole_and_only_once(tmp_path: Path) -> None:
    root, version = tmp_path / "registry", model(tmp_path / "model", 1)
    assert register(root, "storage", tmp_path / "model", name(1)) == version
    folder = root / "storage" / version
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert register(root, "storage", tmp_path / "model", name(2)) == version
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert {path.name for path in before} == {WEIGHTS, CARD}
    tensors, card = read_model(folder)
    assert tensors["w"].tolist() == [1, 1, 1]
    assert card["name"] == name(1)


def test_the_executed_notebook_is_kept_with_the_version_that_it_names(tmp_path: Path) -> None:
    root, notebook = tmp_path / "registry", tmp_path / "train.ipynb"
    first = model(tmp_path / "model", 1)
    notebook.write_text(f"kept as version {first}")
    register(root, "storage", tmp_path / "model", name(1), notebook)
    assert (root / "storage" / first / NOTEBOOK).read_text() == f"kept as version {first}"
    second = model(tmp_path / "model", 2)  # the notebook still tells of the first
    register(root, "storage", tmp_path / "model", name(2), notebook)
    assert not (root / "storage" / second / NOTEBOOK).exists()


def test_versions_come_oldest_first_with_their_aliases(stored: tuple[Path, list[str]]) -> None:
    root, (first, second, third) = stored
    promote(root, "storage", first)
    promote(root, "storage", third, "challenger")
    found = versions(root, "storage")
    assert [one.version for one in found] == [first, second, third]
    assert [one.name for one in found] == [name(0), name(1), name(2)]
    assert [one.aliases for one in found] == [("champion",), (), ("challenger",)]
    assert [one.card["spec"] for one in found] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert versions(root, "gpu") == []


def test_a_model_is_found_by_alias_name_version_and_its_start(stored: tuple[Path, list[str]]) -> None:
    root, (first, second, _) = stored
    promote(root, "storage", name(1))
    for reference in ("champion", second, second[:11], name(1)):
        assert resolve(root, "storage", reference) == root / "storage" / second
    assert resolve(root, "storage", name(0)) == root / "storage" / first
    assert resolve(root, "storage") == root / "storage" / second


def test_an_alias_is_followed_without_a_look_at_the_other_versions(
    stored: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, (first, second, third) = stored
    assert aliased(root, "storage") is None
    promote(root, "storage", second)
    promote(root, "storage", second, "challenger")
    read = []
    monkeypatch.setattr(registry, "read_card", lambda folder: read.append(folder.name) or read_card(folder))
    assert aliased(root, "storage") == versions(root, "storage")[1]
    assert sorted(read) == sorted([second, first, second, third])
    read.clear()
    assert resolve(root, "storage", "challenger").name == second
    assert read == [second]
    shutil.rmtree(root / "storage" / second)
    assert aliased(root, "storage") is None
    (root / "storage" / "aliases.json").write_text(
        '{"history": [{"act": "promote", "alias": "champion", "version": ".."}]}'
    )
    assert aliased(root, "storage") is None


@pytest.mark.parametrize("reference", ["", "champion", "xyz", "../storage", "model_20990101_000000", ".", "0" * 12])
def test_a_reference_to_nothing_lists_what_there_is(stored: tuple[Path, list[str]], reference: str) -> None:
    root, known = stored
    with pytest.raises(ModelError, match="task storage: there is no model") as caught:
        resolve(root, "storage", reference)
    assert all(version in str(caught.value) for version in known)
    assert name(0) in str(caught.value)


def test_a_start_that_two_versions_share_is_not_guessed(tmp_path: Path) -> None:
    root, starts = tmp_path / "registry", list[str]()
    for number in range(17):  # 16 hexadecimal digits: two must share the first
        model(tmp_path / "model", number)
        starts.append(register(root, "storage", tmp_path / "model", name(number))[0])
    shared = next(start for start in starts if starts.count(start) > 1)
    with pytest.raises(ModelError, match=f"{starts.count(shared)} versions start with '{shared}'"):
        resolve(root, "storage", shared)


def test_a_task_without_models_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="task storage: it has no model in the registry; run `tsf train"):
        resolve(tmp_path, "storage")


def test_rollback_goes_back_step_by_step_and_keeps_the_history(stored: tuple[Path, list[str]]) -> None:
    root, (first, second, third) = stored
    for version in (first, second, second, third):
        promote(root, "storage", version)
    assert rollback(root, "storage") == second
    assert rollback(root, "storage") == first
    assert resolve(root, "storage").name == first
    with pytest.raises(ModelError, match=f"points at {first}, and nothing lies before it; promote a version"):
        rollback(root, "storage")
    promote(root, "storage", third)
    assert rollback(root, "storage") == first
    history = read_json(root / "storage" / "aliases.json")["history"]
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
        rollback(root, "storage", "challenger")


def test_only_champion_and_challenger_are_aliases(stored: tuple[Path, list[str]]) -> None:
    root, (first, *_) = stored
    with pytest.raises(ModelError, match="there is no alias 'latest'; choose from champion, challenger"):
        promote(root, "storage", first, "latest")
    assert not (root / "storage" / "aliases.json").exists()


@pytest.mark.parametrize("bad", ["model", "../x", "model_20261101_000000/..", "model_20261101_00000", ""])
def test_bad_and_taken_names_are_refused(stored: tuple[Path, list[str]], tmp_path: Path, bad: str) -> None:
    root, (first, *_) = stored
    model(tmp_path / "model", 9)
    with pytest.raises(ModelError, match="is not a model's name"):
        register(root, "storage", tmp_path / "model", bad)
    with pytest.raises(ModelError, match=f"the name {name(0)} belongs to version {first}"):
        register(root, "storage", tmp_path / "model", name(0))
    register(root, "gpu", tmp_path / "model", name(0))  # names are unique within a task


@pytest.mark.parametrize("task", ["../storage", "/tmp", "", ".", "a/b", "A", "x\n"])
def test_no_task_name_leads_out_of_the_registry(stored: tuple[Path, list[str]], tmp_path: Path, task: str) -> None:
    root, (first, *_) = stored
    for act in (
        lambda: register(root, task, tmp_path / "model", name(5)),
        lambda: versions(root, task),
        lambda: resolve(root, task),
        lambda: promote(root, task, first),
        lambda: rollback(root, task),
    ):
        with pytest.raises(ModelError, match="is not the name of a task"):
            act()


def test_a_damaged_model_is_not_registered(tmp_path: Path) -> None:
    model(tmp_path / "model", 1)
    (tmp_path / "model" / WEIGHTS).write_bytes(b"")
    with pytest.raises(ModelError, match="is damaged"):
        register(tmp_path / "registry", "storage", tmp_path / "model", name(1))
    assert not (tmp_path / "registry").exists()


def test_a_damaged_version_is_shown_and_healed_by_registering_it_again(
    stored: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, (_, _, third) = stored
    (root / "storage" / third / CARD).write_text("{")
    assert {one.version: one.name for one in versions(root, "storage")}[third] == ""
    assert register(root, "storage", tmp_path / "model", name(2)) == third
    assert read_model(resolve(root, "storage", name(2)))[1]["version"] == third


def test_a_damaged_list_of_aliases_is_one_sentence(stored: tuple[Path, list[str]]) -> None:
    root, _ = stored
    for text in ("{", "[]", '{"history": [{}]}', '{"history": [{"alias": "champion", "act": "rollback"}]}'):
        (root / "storage" / "aliases.json").write_text(text)
        with pytest.raises(ModelError, match=r"aliases\.json: it is damaged; restore it"):
            resolve(root, "storage")


WORKER = """
import sys
from pathlib import Path
import numpy as np
from tsf.io.artifacts import write_model
from tsf.io.registry import NOTEBOOK, promote, register
folder = Path(sys.argv[1])
for number in range(int(sys.argv[2]), 10**6):
    write_model(folder / "model", {"w": np.full(100_000, float(number))}, {"spec": {"n": number}, "data_hash": "d"})
    version = register(folder / "registry", "storage", folder / "model", f"model_20261101_{number:06d}")
    promote(folder / "registry", "storage", version)
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
        known = versions(tmp_path / "registry", "storage")
        assert version in [one.version for one in known]
        assert all(read_model(one.folder)[1]["version"] == one.version for one in known)
        assert read_model(resolve(tmp_path / "registry", "storage"))[1]["spec"]["n"] >= done
    shutil.rmtree(tmp_path / "registry")


MOVER = """
import sys
from pathlib import Path
from tsf.io.registry import promote, rollback
root, first, second, alias = Path(sys.argv[1]), *sys.argv[2:]
promote(root, "storage", first, alias)
for _ in range(20):
    promote(root, "storage", second, alias)
    rollback(root, "storage", alias)
"""


def test_two_processes_that_move_aliases_at_once_lose_no_move(stored: tuple[Path, list[str]]) -> None:
    root, (first, second, _) = stored
    started = [
        subprocess.Popen([sys.executable, "-c", MOVER, str(root), first, second, alias])
        for alias in ("champion", "challenger")
    ]
    assert [process.wait() for process in started] == [0, 0]
    history = read_json(root / "storage" / "aliases.json")["history"]
    for alias in ("champion", "challenger"):
        moves = [(move["act"], move["version"]) for move in history if move["alias"] == alias]
        assert moves == [("promote", first), *[("promote", second), ("rollback", first)] * 20]


def test_the_alert_in_force_goes_back_with_the_champion(stored: tuple[Path, list[str]]) -> None:
    root, found = stored
    paths = TaskPaths(root.parent, "storage")
    as_set = AlertParams(probability=0.9, hold=2, gate=0.4)
    assert alert_in_force(paths, as_set) == as_set  # before there is a champion
    for version, threshold in zip(found[:2], (0.2, 0.3), strict=True):
        chosen = {"threshold": threshold, "hold_steps": 1, "gate": 0.85}
        write_json({"alarms": chosen}, paths.kept_evaluation(version))
        promote(root, "storage", version)
    assert alert_in_force(paths, as_set) == AlertParams(probability=0.3, hold=1, gate=0.85)
    assert chosen_alert(paths, found[0]) == {"probability": 0.2, "hold": 1, "gate": 0.85}
    of_another = AlertParams(probability=0.2, hold=1, gate=0.85)
    assert alert_in_force(paths, as_set, chosen_alert(paths, found[0])) == of_another
    assert alert_in_force(paths, as_set, chosen_alert(paths, found[2])) == as_set  # never evaluated
    rollback(root, "storage")
    assert alert_in_force(paths, as_set).probability == 0.2
    fixed = as_set.model_copy(update={"policy": "fixed"})
    assert alert_in_force(paths, fixed) == fixed
    promote(root, "storage", found[2])  # never evaluated
    assert alert_in_force(paths, as_set) == as_set
