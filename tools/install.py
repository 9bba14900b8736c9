"""Make .venv from the lock, or leave it alone when it is whole; safe to stop, repeat and run twice at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["cure_of", "fingerprint", "main", "torch_pin"]

ROOT = Path(__file__).resolve().parents[1]
NEEDED_BYTES = 3 * 2**30  # the environment with a CPU build of torch takes 2 GB; one with CUDA wants about 8
MAKE_VENV = (sys.executable, "-m", "venv")
LEANINGS = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")  # would lead pip out of .venv

CURES = [
    (r"No space left on device|Errno 28", "the disk is full; free about 3 GB here and in {temporary}, and repeat"),
    (
        r"HASHES|hash mismatch",
        "a package is not the one that was locked; look at the mirror, or clear the cache with `pip cache purge`",
    ),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "the index has a certificate that is not trusted here; set PIP_CERT"),
    (
        r"name resolution|NewConnectionError|ConnectTimeout|connection broken|ProxyError|Read timed out",
        "the package index cannot be reached; check the network, the proxy (HTTPS_PROXY) or the mirror (PIP_INDEX_URL)",
    ),
    (r"No matching distribution|from versions: none", "this Python or machine has no such package; try Python 3.11"),
    (r"Permission denied", "this user may not write here; make the folder your own"),
]


def main() -> int:
    """Bring .venv up to the lock. Returns the exit status; what is wrong and its cure stand on standard error."""
    with (ROOT / "requirements.lock").open("rb+") as lock:  # nothing is written: NFS locks only what may be
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another make is installing; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)  # a pip that outlives a killed make still holds the lock
        try:
            return _install(ROOT)
        except KeyboardInterrupt:
            return _fail("stopped; the same command goes on from here", status=130)


def torch_pin(root: Path) -> str:
    """The one `torch==…` that constraints.txt names; it is installed apart, as its build depends on the machine."""
    pins: list[str] = re.findall(r"(?m)^torch==[\w.]+", (root / "constraints.txt").read_text())
    return pins[0]


def fingerprint(root: Path) -> str:
    """Where .venv was made and from what, a line each: its programs break when the folder moves.

    The last file names the bundle of the Lab pages, which an editable install copies, too.
    """
    digest = hashlib.sha256()
    for name in ("requirements.lock", "constraints.txt", "pyproject.toml", "ui/labextension/package.json"):
        digest.update((root / name).read_bytes())
    return f"{root}\n{digest.hexdigest()}"


def cure_of(output: str) -> str:
    """What to do about a failed step of pip, from what it printed."""
    for pattern, cure in CURES:
        if re.search(pattern, output):
            return cure.format(temporary=tempfile.gettempdir())
    return "the lines above tell more"


def _install(root: Path) -> int:
    venv = root / ".venv"
    stamp, python = venv / "installed", venv / "bin" / "python"
    made_from = stamp.read_text() if stamp.exists() else ""
    works = python.exists() and not subprocess.run([python, "-c", "import pip"], capture_output=True).returncode
    if works and made_from == fingerprint(root):
        return 0
    if not works or made_from.partition("\n")[0] != str(root):  # half-made, its Python changed, or the folder moved
        shutil.rmtree(venv, ignore_errors=True)
        if shutil.disk_usage(root).free < NEEDED_BYTES:
            return _fail(f"{root} has less than {NEEDED_BYTES >> 30} GiB left; free some and repeat")
        print(f"making .venv with Python {sys.version.split()[0]}; the first time takes some minutes", flush=True)
        made = subprocess.run([*MAKE_VENV, venv], capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(venv, ignore_errors=True)
            return _fail(f"{made.stdout}{made.stderr}\n.venv cannot be made; {cure_of(made.stdout + made.stderr)}")
    stamp.unlink(missing_ok=True)
    for what, arguments in {
        "the packages of requirements.lock": ["--require-hashes", "--no-deps", "-r", "requirements.lock"],
        f"{torch_pin(root)}, for CPU or GPU as your index gives it": [torch_pin(root)],
        "tsf itself, editable": ["--no-deps", "--no-build-isolation", "--editable", "."],
    }.items():
        print(f"installing {what}", flush=True)
        if status := _pip(python, arguments, root):
            return status
    whole = stamp.with_suffix(".new")
    whole.write_text(fingerprint(root))
    whole.replace(stamp)
    return 0


def _pip(python: Path, arguments: list[str], root: Path) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in LEANINGS}
    environment |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1"}
    # --no-compile: the third of the packages that is ever imported gets compiled then; all of them cost 45 CPU seconds.
    command = [str(python), "-m", "pip", "install", "--no-input", "--no-compile", "--progress-bar", "off", *arguments]
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=root, env=environment, close_fds=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pip:
        for line in pip.stdout or ():
            if not line.startswith(("Ignoring ", "WARNING: Location ")):  # other Pythons' packages, empty indexes
                lines.append(line)
            if sys.stdout.isatty():
                print(f"\r\033[K  {line.rstrip()[: shutil.get_terminal_size().columns - 3]}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if pip.returncode:
        return _fail("".join(lines[-12:]) + cure_of("".join(lines)))
    return 0


def _fail(message: str, status: int = 1) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
