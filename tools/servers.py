"""Get what the tests talk to, where it is missing: servers into .servers, without root or service; and a browser.

A browser stands on too many libraries to be unpacked beside the project: root installs it as a package.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tsf.doctor.project import names_of, program_of

__all__ = ["main", "missing"]

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {  # Debian's and Ubuntu's; promtool is a package of its own from Debian 13 on, and part of prometheus before
    "prometheus": ("prometheus",),
    "promtool": ("promtool", "prometheus"),
    "pushgateway": ("prometheus-pushgateway",),
    "alertmanager": ("prometheus-alertmanager",),
    "node_exporter": ("prometheus-node-exporter",),
    "victoria-metrics": ("victoria-metrics",),
    "nginx": ("nginx", "nginx-core"),  # Debian's; Ubuntu's
}


BROWSERS = ("chromium", "google-chrome", "chromium-browser")


def main() -> int:
    """Get what is missing. Returns 1 only on CI, where no test may be skipped for want of a server or a browser."""
    return _get_servers() or _get_browser()


def _get_browser() -> int:
    if any(map(shutil.which, BROWSERS)):
        return 0
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("installing chromium for the tests", flush=True)
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-qq", *arguments], stdout=subprocess.DEVNULL, check=False)
    if any(map(shutil.which, BROWSERS)):
        return 0
    print("there is no Chromium; install it by the system's package manager, or its tests are skipped", file=sys.stderr)
    return int(bool(os.environ.get("CI")))


def _get_servers() -> int:
    if not missing(ROOT):
        return 0
    home = ROOT / ".servers"
    home.mkdir(exist_ok=True)
    lock = os.open(home, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # released when this process ends, however it ends
    print(f"getting {', '.join(missing(ROOT))} for the tests", flush=True)
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        with tempfile.TemporaryDirectory(dir=home) as folder:
            _unpack_debian(Path(folder), home / "usr/bin")
    elif shutil.which("brew"):
        subprocess.run(["brew", "install", "prometheus"], check=False)  # promtool comes with it, the others do not
    if left := missing(ROOT):
        print(
            f"{', '.join(left)} cannot be got here; install by the system's package manager, or put the programs into "
            f"{home}/usr/bin; until then tests that need them are skipped",
            file=sys.stderr,
        )
    return int(bool(left and os.environ.get("CI")))


def missing(root: Path) -> list[str]:
    """The programs that are neither in PATH nor in `root`/.servers, under their own name or Debian's."""
    return [name for name in PACKAGES if program_of(name, root, os.environ) is None]


def _unpack_debian(folder: Path, target: Path) -> None:
    """Take the programs out of the packages that this machine's own sources have; needs no root, installs nothing."""
    index = folder / "index"
    for part in ("lists/partial", "cache/archives/partial"):
        (index / part).mkdir(parents=True)
    own_index = [f"-oDir::State::Lists={index}/lists", f"-oDir::Cache={index}/cache"]
    for options in ([], own_index):  # the machine's own index may be empty or old, and only root could renew it
        if options and _apt("update", options, folder):
            return
        for program in missing(ROOT):
            for package in PACKAGES[program]:
                if program in missing(ROOT) and not _apt("download", [*options, package], folder):
                    _take(folder, target)
        if not missing(ROOT):
            return


def _apt(action: str, arguments: list[str], folder: Path) -> int:
    """Exit status of apt-get, run in `folder`; what it says goes to standard error when an update fails."""
    command = ["apt-get", "-qq", "-oAPT::Sandbox::User=root", action, *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode and action == "update":
        print(run.stderr.strip(), file=sys.stderr)
    return run.returncode


def _take(folder: Path, target: Path) -> None:
    """Move the missing programs of every package in `folder` to `target`, each in one step and if it runs."""
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True, capture_output=True)
        archive.unlink()
    target.mkdir(parents=True, exist_ok=True)
    for program in missing(ROOT):
        names = *(f"usr/bin/{name}" for name in names_of(program)), f"usr/sbin/{program}"
        for found in (folder / name for name in names):
            version = "-v" if program == "nginx" else "--version"
            if found.exists() and not subprocess.run([found, version], capture_output=True, check=False).returncode:
                found.replace(target / found.name)


if __name__ == "__main__":
    sys.exit(main())
