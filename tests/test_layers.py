"""Imports run downwards only: each room of the house may know the rooms below it, and no others."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = {"chinese", "errors", "kinds", "lazy", "params", "presets", "project", "promql", "series", "units", "words"}
BELOW = {  # room -> the rooms that it may import
    "words": set(),
    "learn": {"words"},
    "alarm": {"words"},
    "io": {"words"},
    "plots": {"words"},
    "report": {"words", "plots"},
    "stages": {"words", "learn", "alarm", "io", "plots", "report"},
    "flow": {"words"},
    "doctor": {"words", "io", "flow"},
    "cli": {"words", "io", "flow", "doctor"},
    "panel": {"words", "io", "plots", "flow"},
    "server": {"words", "io", "flow", "doctor"},
}
SHARED = {("flow", "tsf.io.files")}  # whole files and JSON; it knows nothing of data
FACES = {"cli", "doctor", "panel", "server"}  # they may use a stage inside the command that runs it
THIRD_PARTY = {  # rooms that keep to a list; the others are only kept from torch
    "words": {"holidays", "numpy", "pandas", "promql_parser", "pydantic", "ruamel", "typing_extensions"},
    "learn": {"holidays", "numpy", "onnxruntime", "pandas", "pydantic", "sklearn", "torch", "typing_extensions"},
    "alarm": {"numpy"},
    "io": {"numpy", "promql_parser", "pyarrow", "pydantic", "requests", "safetensors", "urllib3", "typing_extensions"},
    "plots": {"matplotlib", "numpy", "pandas"},
    "report": {"matplotlib", "pandas"},
}
OUTSIDE = {  # what files, network, processes, clock and environment come from
    *("asyncio", "ftplib", "glob", "http", "io", "multiprocessing", "os", "pathlib", "pickle", "shutil", "socket"),
    *("sqlite3", "ssl", "subprocess", "tempfile", "time", "urllib", "zipfile"),
}
DURATIONS = {"perf_counter"}  # how long an epoch took is shown, and changes no result
CLOCK = {"now", "today", "utcnow", "time", "time_ns"}


@dataclass(frozen=True)
class Import:
    """One imported module or name, where it stands, and whether it runs when the module is loaded."""

    module: str
    line: int
    at_load: bool


def room_of(module: str) -> str:
    """The room of `tsf.x.y`."""
    part = module.split(".")[1] if "." in module else ""
    return "words" if part in WORDS else part


def modules() -> dict[str, ast.Module]:
    """Every module of tsf, parsed."""
    paths = sorted((ROOT / "tsf").rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in zip(names, paths, strict=True)}


MODULES = modules()


def imports(module: str) -> Iterator[Import]:
    """All imports of `module`, those inside functions too, those for type checkers not."""

    def visit(node: ast.AST, at_load: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports by a relative path"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(whole if whole in MODULES else str(node.module), node.lineno, at_load)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_load and not inside)

    return visit(MODULES[module], True)


def members(*rooms: str) -> list[str]:
    return [module for module in MODULES if room_of(module) in rooms]


@pytest.mark.parametrize("module", [module for module in MODULES if module != "tsf"])
def test_a_module_imports_only_from_the_rooms_below(module: str) -> None:
    room = room_of(module)
    assert room in BELOW, f"{module} belongs to no room of the house"
    for one in imports(module):
        if not one.module.startswith("tsf."):
            continue
        target = room_of(one.module)
        stage_in_a_command = room in FACES and target == "stages" and not one.at_load
        allowed = target == room or target in BELOW[room] or (room, one.module) in SHARED
        assert allowed or stage_in_a_command, f"{module}:{one.line} may not import {one.module}"


@pytest.mark.parametrize("module", members(*THIRD_PARTY))
def test_a_module_uses_only_the_libraries_of_its_room(module: str) -> None:
    for one in imports(module):
        root = one.module.split(".")[0]
        known = root == "tsf" or root in sys.stdlib_module_names or root in THIRD_PARTY[room_of(module)]
        assert known, f"{module}:{one.line} may not import {one.module}"


@pytest.mark.parametrize("module", members("learn", "alarm"))
def test_computing_sees_no_file_network_clock_or_environment(module: str) -> None:
    for one in imports(module):
        if one.module.split(".")[0] in OUTSIDE - {"time"}:
            pytest.fail(f"{module}:{one.line} may not import {one.module}")
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("open", "print", "input"), f"{module}:{node.lineno} calls {called}()"
            owner, _, method = called.rpartition(".")
            if owner.split(".")[-1] in ("time", "datetime", "date", "Timestamp"):
                assert method not in CLOCK, f"{module}:{node.lineno} reads the clock"
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            assert {alias.name for alias in node.names} <= DURATIONS, f"{module}:{node.lineno} reads the clock"


def test_the_words_reach_no_network_and_start_no_process() -> None:
    for module in members("words"):
        for one in imports(module):
            root = one.module.split(".")[0]
            assert one.module == "urllib.parse" or root not in {"http", "socket", "ssl", "subprocess", "urllib"}, module


def test_nothing_is_pickled() -> None:
    for module in MODULES:
        for one in imports(module):
            assert one.module.split(".")[0] not in ("pickle", "joblib", "dill", "cloudpickle"), f"{module}:{one.line}"


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh Python has after `statement`."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_tsf_alone_loads_nothing_heavy() -> None:
    heavy = {"torch", "sklearn", "pandas", "numpy", "requests", "pyarrow", "papermill", "dvc", "IPython", "ipywidgets"}
    assert not heavy & loaded_by("import tsf")


def test_no_room_but_learn_and_stages_loads_torch() -> None:
    """The faces above all: a server or a panel must start at once."""
    light = [module for module in MODULES if room_of(module) not in ("learn", "stages")]
    found = loaded_by("\n".join(f"import {module}" for module in light if not module.endswith("__main__")))
    assert "tsf" in found
    assert not {"torch", "sklearn"} & found


def test_a_push_by_an_exported_model_loads_no_torch() -> None:
    found = loaded_by("import tsf.stages.push, tsf.learn.exported")
    assert "pandas" in found
    assert not {"torch", "sklearn", "matplotlib"} & found


def test_words_and_learning_work_without_jupyter_dvc_and_network() -> None:
    """Whoever only wants the library pays for the library."""
    assert not {"papermill", "dvc", "IPython", "requests", "typer"} & loaded_by("from tsf.learn import *")
