"""The project folder: git, DVC, params.yaml, the notebooks' kernel and the servers that tests use."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tsf.doctor.finding import Finding, failed
from tsf.errors import ParamsError
from tsf.flow.tasks import left_behind
from tsf.io.logs import start_log
from tsf.params import read_params

__all__ = ["check_dvc", "check_git", "check_kernel", "check_params", "check_test_servers", "names_of", "program_of"]

REPLACED = ("python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}")
TEST_SERVERS = ("prometheus", "promtool", "pushgateway", "alertmanager", "node_exporter", "victoria-metrics",
                "nginx")  # fmt: skip


def check_git(root: Path) -> Finding:
    """DVC works inside a git repository, and models carry the commit that made them."""
    if not shutil.which("git"):
        return Finding("git", "fail", "it is not in PATH", "install it (Debian, Ubuntu: sudo apt install git)")
    inside = subprocess.run(["git", "-C", root, "rev-parse", "--verify", "HEAD"], capture_output=True, check=False)
    if inside.returncode:
        return Finding("git", "fail", f"{root} is no git repository with a commit", "clone the project, or git init")
    return Finding("git", "ok", "a repository")


def check_dvc(root: Path, environ: Mapping[str, str]) -> Finding:
    """DVC is set up in this folder and tells nobody what it does."""
    if not (root / ".dvc" / "config").is_file():
        return Finding("DVC", "fail", "there is no .dvc/config", "run `git checkout .dvc`")
    config = configparser.ConfigParser()
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
    sends = config.get("core", "analytics", fallback="true").strip().lower() not in ("false", "0", "no", "off")
    if sends and not environ.get("DVC_NO_ANALYTICS"):
        return Finding("DVC", "warn", "it sends usage statistics", "run `dvc config core.analytics false`")
    return Finding("DVC", "ok", "set up, sends no usage statistics")


def check_kernel() -> Finding:
    """The kernel called python3, which runs every notebook, is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("kernel", "fail", "there is no kernel python3", "run `make setup`")
    if program in REPLACED or Path(program).resolve() == Path(sys.executable).resolve():
        return Finding("kernel", "ok", "python3 is this Python")
    cure = "run `jupyter kernelspec remove python3`, then `make setup`"
    return Finding("kernel", "fail", f"python3 starts {program}, which is not {sys.executable}", cure)


def check_params(root: Path, environ: Mapping[str, str]) -> Finding:
    """params.yaml can be read, every key of it holds, and nothing is left of tasks that are gone from it.

    And tsf can log as it and `environ` say, which begins here.
    """
    try:
        params = read_params(root)
        start_log(params.logging, environ)
    except ParamsError as fault:
        return failed("params.yaml", fault)
    tasks = ", ".join(params.tasks)
    if left := left_behind(root):
        said = f"tasks: {tasks or 'none'}; what {', '.join(left)} pushed and its alert rules are still there"
        return Finding("params.yaml", "warn", said, f"run `tsf tasks remove {left[0]}`")
    if not tasks:
        return Finding("params.yaml", "warn", "it has no tasks", "run `tsf tasks add --help`")
    return Finding("params.yaml", "ok", f"tasks: {tasks}")


def names_of(server: str) -> tuple[str, str]:
    """What the program of a server is called, by itself and by Debian."""
    return server, f"prometheus-{server}".replace("_", "-")


def program_of(server: str, root: Path, environ: Mapping[str, str]) -> Path | None:
    """Where the program of a server lies, in PATH or in the project at `root`; None where it is absent."""
    path = os.pathsep.join([environ.get("PATH", ""), str(root / ".servers" / "usr" / "bin")])
    found = next(filter(None, (shutil.which(name, path=path) for name in names_of(server))), None)
    return Path(found) if found else None


def check_test_servers(root: Path, environ: Mapping[str, str]) -> Finding:
    """The programs that the tests start; nothing else needs them."""
    if absent := [name for name in TEST_SERVERS if program_of(name, root, environ) is None]:
        return Finding("test servers", "ok", f"absent: {', '.join(absent)}; only tests need them", "run `make servers`")
    return Finding("test servers", "ok", "all there")
