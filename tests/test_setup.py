"""The set-up is one story: pyproject.toml, the lock, constraints, environment.yml, CI and the scripts agree."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OF_THE_MACHINE = re.compile(r"triton|nvidia-|cuda-")


@cache
def distributions_of_packages() -> dict[str, set[str]]:
    """Top-level module -> the distributions that install it, by their files: Python 3.10's own way misses most."""
    owners: dict[str, set[str]] = {}
    for found in distributions():
        for line in (found.read_text("RECORD") or "").splitlines():
            file = line.partition(",")[0]
            if file.endswith((".py", ".so")):
                owners.setdefault(re.split(r"[/.]", file, maxsplit=1)[0], set()).add(found.metadata["Name"])
    return owners


def pins(name: str) -> list[tuple[Requirement, int]]:
    """Each `name==version ; marker` of a lock file with its number of hashes."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / name).read_text()).replace("\\\n", " ")
    return [(Requirement(line.split("--hash")[0].strip()), line.count("--hash=sha256:")) for line in text.splitlines()]


def needs(*extras: str) -> list[Requirement]:
    optional = PYPROJECT["project"]["optional-dependencies"]
    return [Requirement(t) for t in (*PYPROJECT["project"]["dependencies"], *(t for e in extras for t in optional[e]))]


def version_for(python: str, name: str, locked: list[tuple[Requirement, int]]) -> str | None:
    machine = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    fitting = [
        str(pin.specifier).removeprefix("==")
        for pin, _ in locked
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate(machine))
    ]
    assert len(fitting) <= 1, f"{name} has two versions for Python {python}"
    return fitting[0] if fitting else None


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ("lab", "dev")), ("constraints.txt", ("lab", "dev", "scale"))]
)
def test_every_dependency_is_locked_at_a_version_that_fits(python: str, lock: str, extras: tuple[str, ...]) -> None:
    locked = pins(lock)
    for need in needs(*extras):
        if need.name == "torch" and lock == "requirements.lock":
            continue
        version = version_for(python, need.name, locked)
        assert version, f"{need.name} is not in {lock}: run `make lock`"
        assert need.specifier.contains(version), f"{lock} has {need.name} {version}, wanted is {need}: run `make lock`"


def test_the_lock_is_a_part_of_the_constraints_with_hashes_for_all_platforms() -> None:
    locked = pins("requirements.lock")
    assert {str(pin) for pin, _ in locked} <= {str(pin) for pin, _ in pins("constraints.txt")}
    assert all(n_hashes for _, n_hashes in locked)
    assert max(n_hashes for pin, n_hashes in locked if pin.name == "numpy") > 20


def test_what_depends_on_the_machine_is_not_locked() -> None:
    assert not [pin.name for pin, _ in pins("requirements.lock") if OF_THE_MACHINE.match(pin.name)]
    assert not [pin.name for pin, _ in pins("constraints.txt") if OF_THE_MACHINE.match(pin.name)]
    assert "torch" not in {pin.name for pin, _ in pins("requirements.lock")}


def test_torch_has_one_version_everywhere() -> None:
    [pinned] = PYPROJECT["tool"]["uv"]["constraint-dependencies"]
    assert load_tool("install").torch_pin(ROOT) == pinned


def test_the_tested_pythons_are_the_same_everywhere() -> None:
    assert PYPROJECT["project"]["requires-python"] == ">=3.10"
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/ci.yml").read_text())
    assert tuple(workflow["jobs"]["check"]["strategy"]["matrix"]["python"]) == PYTHONS
    assert "(3, 10) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "tools/find_python").read_text()


def test_conda_takes_python_from_conda_and_all_else_from_pyproject() -> None:
    environment = YAML(typ="safe").load((ROOT / "environment.yml").read_text())
    python, pip, from_pip = environment["dependencies"]
    assert (environment["name"], pip) == ("tsf", "pip")
    range_ = SpecifierSet(python.removeprefix("python"))
    assert [v for v in ("3.9", *PYTHONS, "3.14") if range_.contains(v)] == list(PYTHONS)
    assert from_pip["pip"] == ["--constraint constraints.txt", "--editable .[lab,dev]"]


def test_dvc_tells_nobody() -> None:
    assert re.search(r"(?m)^ *analytics = false$", (ROOT / ".dvc/config").read_text())
    assert "export DVC_NO_ANALYTICS" in (ROOT / "Makefile").read_text()


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this copy of the project is no git repository")
    told = re.compile(
        r"https?://(files|registry|deb|mirror|simple|pypi|conda|download)[\w-]*\.|--(extra-)?index-url[ =]\w"
        r"|(?<![\w.~-])/(work|root|home/\w+|Users/\w+)/"
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    found = {
        str(path.relative_to(ROOT)): match.group()
        for path in paths
        if path.is_file() and path != Path(__file__) and (match := told.search(path.read_text(errors="ignore")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("feat: forecasts know their limit\n\nAny body.\n", 0),
        ("fix(io)!: größer\n", 0),
        ("Merge branch 'x'\n", 0),
        ("Add stuff\n", 1),
        ("feat:nothing\n", 1),
        ("feature: x\n", 1),
        (f"chore: {'x' * 200}\n", 1),
    ],
)
def test_a_commit_message_begins_with_its_type(tmp_path: Path, message: str, status: int) -> None:
    (tmp_path / "message").write_text(message)
    hook = subprocess.run(["sh", ROOT / ".githooks/commit-msg", tmp_path / "message"], capture_output=True, check=False)
    assert hook.returncode == status


class TestFindingPython:
    """tools/find_python among pythons that are not what they seem."""

    @staticmethod
    def find(folder: Path, **pythons: tuple[str, bool]) -> subprocess.CompletedProcess[str]:
        """Run it where PATH holds fake pythons: name -> version and whether it can make environments."""
        for name, (version, has_venv) in pythons.items():
            fake = folder / name.replace("_", ".")
            modules = "" if has_venv else "sys.modules['ensurepip'] = None; "
            numbers = tuple(int(part) for part in version.split("."))
            begin = f"import sys; sys.version_info = {numbers}; sys.version = '{version} '; {modules}"
            fake.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{begin}$2"\n')
            fake.chmod(0o755)
        command = ["/bin/sh", str(ROOT / "tools/find_python")]
        return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, check=False)

    def test_the_users_own_python3_is_taken_if_it_fits(self, tmp_path: Path) -> None:
        found = self.find(tmp_path, python3=("3.11.2", True), python3_13=("3.13.0", True))
        assert (found.returncode, found.stdout) == (0, "python3\n")

    def test_one_without_venv_is_passed_over(self, tmp_path: Path) -> None:
        found = self.find(tmp_path, python3=("3.11.2", False), python3_12=("3.12.1", True))
        assert found.stdout == "python3.12\n"

    def test_a_newer_one_than_was_tested_is_the_last_choice(self, tmp_path: Path) -> None:
        assert self.find(tmp_path, python3=("3.14.0", True)).stdout == "python3\n"
        assert self.find(tmp_path, python3_10=("3.10.1", True)).stdout == "python3.10\n"

    def test_a_shim_that_leads_nowhere_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "python3").write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / "python3").chmod(0o755)
        assert self.find(tmp_path, python3_12=("3.12.1", True)).stdout == "python3.12\n"

    def test_what_is_missing_is_said_with_its_cure(self, tmp_path: Path) -> None:
        found = self.find(tmp_path)
        assert found.returncode == 1
        assert "here is none" in found.stderr
        found = self.find(tmp_path, python3=("3.9.18", True))
        assert "here is only python3=3.9.18" in found.stderr
        found = self.find(tmp_path, python3=("3.11.2", False))
        assert found.returncode == 1
        assert "apt install python3-venv" in found.stderr


class TestInstalling:
    """tools/install.py on a project of its own, with pip kept still."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        folder = tmp_path / "project"
        (folder / "ui" / "labextension").mkdir(parents=True)
        for name in ("requirements.lock", "pyproject.toml", "ui/labextension/package.json"):
            (folder / name).write_text("")
        (folder / "constraints.txt").write_text("torch==2.13.0\n")
        return folder

    @pytest.fixture
    def install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        module = load_tool("install")
        module.asked = []
        module.status = 0

        def pip(python: Path, arguments: list[str], root: Path) -> int:
            module.asked.append(arguments[-1])
            return int(module.status)

        monkeypatch.setattr(module, "_pip", pip)
        monkeypatch.setattr(module, "MAKE_VENV", (*module.MAKE_VENV, "--without-pip"))  # quick
        (tmp_path / "fake" / "pip").mkdir(parents=True)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
        return module

    def test_it_is_made_once_updated_in_place_and_made_anew_when_half_made_or_moved(
        self, install: Any, project: Path
    ) -> None:
        mark = project / ".venv" / "mark"
        assert install._install(project) == 0
        assert install.asked == ["requirements.lock", "torch==2.13.0", "."]
        mark.touch()
        install.asked.clear()
        assert install._install(project) == 0
        assert install.asked == []  # whole: left alone
        (project / "requirements.lock").write_text("# another\n")
        assert install._install(project) == 0
        assert install.asked
        assert mark.exists()  # updated, not made anew
        (project / "requirements.lock").write_text("# and another\n")
        install.status = 1
        assert install._install(project) == 1
        install.status = 0
        assert install._install(project) == 0
        assert not mark.exists()  # the update had failed in the middle: made anew
        mark.touch()
        moved = project.rename(project.with_name(project.name + "-moved"))
        assert install._install(moved) == 0
        assert not (moved / ".venv" / "mark").exists()  # its programs named the old folder

    def test_a_full_disk_is_said_before_anything_is_made(
        self, install: Any, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(install, "NEEDED_BYTES", 2**60)
        assert install._install(project) == 1
        assert "free some" in capsys.readouterr().err
        assert not (project / ".venv").exists()

    @pytest.mark.parametrize(
        ("output", "cure"),
        [
            ("OSError: [Errno 28] No space left on device", "disk"),
            ("Retrying after connection broken by 'NewConnectionError(", "network"),
            ("SSLError(SSLCertVerificationError('CERTIFICATE_VERIFY_FAILED", "PIP_CERT"),
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "mirror"),
            ("ERROR: No matching distribution found for torch==2.13.0", "Python 3.11"),
            ("something else", "lines above"),
        ],
    )
    def test_what_pip_says_becomes_a_cure(self, install: Any, output: str, cure: str) -> None:
        assert cure in install.cure_of(output)


class TestServers:
    """tools/servers.py where nothing can be got."""

    def test_the_missing_are_named_under_both_of_their_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        servers = load_tool("servers")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert servers.missing(tmp_path) == [
            "prometheus",
            "promtool",
            "pushgateway",
            "alertmanager",
            "node_exporter",
            "victoria-metrics",
            "nginx",
        ]
        for name in ("bin/prometheus", ".servers/usr/bin/prometheus-pushgateway"):
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).touch(mode=0o755)
        assert servers.missing(tmp_path) == [
            "promtool",
            "alertmanager",
            "node_exporter",
            "victoria-metrics",
            "nginx",
        ]

    @pytest.mark.parametrize(("on_ci", "status"), [(True, 1), (False, 0)])
    def test_without_a_package_manager_it_says_so_and_fails_only_on_ci(
        self, tmp_path: Path, on_ci: bool, status: int
    ) -> None:
        (tmp_path / "tools").mkdir()
        script = tmp_path / "tools" / "servers.py"
        script.write_text((ROOT / "tools/servers.py").read_text())
        environ = {"PATH": str(tmp_path)} | ({"CI": "true"} if on_ci else {})
        run = subprocess.run([sys.executable, script], env=environ, capture_output=True, text=True, check=False)
        assert run.returncode == status
        assert "cannot be got here" in run.stderr


def test_help_lists_every_command() -> None:
    text = (ROOT / "Makefile").read_text()
    shown = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    for target in set(re.findall(r"(?m)^([a-z]+):", text)):
        assert f"make {target} " in shown


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("tsf", ("onnx", "scale", "tune")),
        ("tsf/server", ("lab",)),
        ("benchmarks", ("dev",)),
        ("tests", ("dev", "lab")),
        ("tools", ()),
    ],
)
def test_every_package_that_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    imported: dict[str, str] = {}
    own = {ROOT / "tsf/server"} - {ROOT / folder}  # it is there for those who have JupyterLab
    for path in sorted(path for path in (ROOT / folder).rglob("*.py") if not own & {*path.parents}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0]: str(path) for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported[node.module.partition(".")[0]] = str(path)
    declared = {canonicalize_name(need.name) for need in needs(*extras)}
    owners = distributions_of_packages()
    peers = re.findall(r"(?m)^[\w-]+", (ROOT / "benchmarks/peers.txt").read_text())  # their environment is not ours
    peers = {name.replace("-", "_") for name in peers}
    unknown = {
        name: path
        for name, path in imported.items()
        if name not in {*sys.stdlib_module_names, "tsf", "tests", "benchmarks", "tomli", "tomllib"}
        and not (Path(path) == ROOT / "benchmarks/rivals.py" and name in peers)
        and not declared & {canonicalize_name(owner) for owner in owners.get(name, [])}
    }
    assert unknown == {}


def test_the_lab_pages_have_the_version_of_tsf() -> None:
    for name in ("ui/package.json", "ui/labextension/package.json"):
        assert json.loads((ROOT / name).read_text())["version"] == PYPROJECT["project"]["version"], name
