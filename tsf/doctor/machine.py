"""The machine: Python and its packages, torch and the GPU, cores, memory and disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryFile

from packaging.requirements import Requirement

from tsf.doctor.finding import Finding

__all__ = ["check_hardware", "check_packages", "check_python", "check_torch", "gpu_memory_bytes", "gpu_without_torch"]

GIB = 2**30
MINIMUM_CORES = 2
MINIMUM_MEMORY_GIB = 4
MINIMUM_DISK_GIB = 3  # beside the environment itself, which takes 2 with a CPU build of torch
EXTRAS = {
    "lab": "JupyterLab",
    "onnx": "models that run without torch",
    "scale": "computing on a Ray cluster",
    "tune": "the search of tsf tune",
    "dev": "working on tsf itself",
}
INSTALL = "run `make setup`"
PROBE = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_properties(i) for i in range(count)]
print(json.dumps([torch.__version__, torch.version.cuda, [[gpu.name, gpu.total_memory] for gpu in gpus]]))
"""


def check_python() -> Finding:
    """Python 3.10 to 3.13 are tested; newer ones are worth a try."""
    text = sys.version.split()[0]
    if sys.version_info >= (3, 14):
        return Finding("Python", "warn", f"{text} is newer than any that was tested", "use 3.13 if something fails")
    return Finding("Python", "ok", f"{text} at {sys.executable}")


def check_packages() -> list[Finding]:
    """Every package that pyproject.toml asks for: a finding for each that does not fit, one for all that do."""
    try:
        needed = [Requirement(text) for text in requires("tsf") or ()]
    except PackageNotFoundError:
        return [Finding("packages", "fail", "tsf is not installed in this Python", INSTALL)]
    core = [need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    wrong = [need for need in core if not _fits(need)]
    findings = [
        Finding(need.name, "fail", f"{_installed(need.name) or 'absent'}; tsf needs {need}", INSTALL) for need in wrong
    ]
    findings.append(Finding("packages", "ok", f"{len(core) - len(wrong)} of {len(core)} fit"))
    for extra, purpose in EXTRAS.items():
        own = [need for need in needed if need not in core and need.marker and need.marker.evaluate({"extra": extra})]
        lacking = ", ".join(need.name for need in own if not _fits(need))
        detail = f"for {purpose}; {f'lacks {lacking}' if lacking else 'all there'}"
        cure = f"pip install --constraint constraints.txt --editable '.[{extra}]'" if lacking else ""
        findings.append(Finding(f"extra {extra}", "warn" if lacking and extra == "lab" else "ok", detail, cure))
    return findings


def check_torch(environ: Mapping[str, str]) -> list[Finding]:
    """Torch and what it computes on, seen by a process of its own: importing it takes seconds and opens the GPU."""
    probe = subprocess.run(
        [sys.executable, "-c", PROBE], env=dict(environ), capture_output=True, text=True, check=False
    )
    if probe.returncode:
        lines = probe.stderr.strip().splitlines() or [f"it ended with {probe.returncode}"]
        return [Finding("torch", "fail", f"it cannot be imported ({lines[-1]})", INSTALL)]
    torch_version, cuda, gpus = json.loads(probe.stdout)
    found = Finding("torch", "ok", f"{torch_version}, for {f'CUDA {cuda}' if cuda else 'CPU'}")
    return [found, _check_gpu(cuda, gpus, environ, probe.stderr)]


def gpu_without_torch() -> Finding:
    """The GPUs that the driver knows, with their memory in use; quick, but silent on whether torch can use them."""
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", "ok", "none: tsf computes on the CPU")
    said = _nvidia_smi("--query-gpu=name,memory.used,memory.total", "--format=csv,noheader")
    if said is None:
        return Finding("GPU", "warn", "nvidia-smi does not answer", "check the driver; until then the CPU is used")
    return Finding("GPU", "ok", "; ".join(said.strip().splitlines()) or "none: tsf computes on the CPU")


def gpu_memory_bytes() -> int | None:
    """Bytes in use on all GPUs that the driver knows; None where there is none, or the driver does not answer."""
    said = _nvidia_smi("--query-gpu=memory.used", "--format=csv,noheader,nounits")
    numbers = [int(line) for line in (said or "").splitlines() if line.isdigit()]
    return sum(numbers) * 2**20 if numbers else None


def _nvidia_smi(*options: str) -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        return subprocess.run([program, *options], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _refused(root: Path) -> str:
    """What of that which each command writes cannot be written, "" where all can."""
    state = folder = root / ".tsf"
    try:
        for folder in (root, state) if state.exists() else (root,):
            with TemporaryFile(dir=folder):
                pass
    except OSError as fault:
        return f"{folder} cannot be written ({fault.strerror})"
    return next((f"{path} cannot be written" for path in state.glob("*") if not os.access(path, os.W_OK)), "")


def check_hardware(root: Path) -> list[Finding]:
    """Cores, memory and disk beside the least that the four demo tasks run well on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory, disk = _memory_bytes() / GIB, shutil.disk_usage(root).free / GIB
    room = _enough("disk", disk, MINIMUM_DISK_GIB, f"{disk:.1f} GiB free", "free some; `dvc gc --workspace` helps")
    if refused := _refused(root):
        room = Finding("disk", "fail", refused, "make it this user's own, or mend how it is mounted")
    return [
        _enough("cores", cores, MINIMUM_CORES, f"{cores}", "expect training to take longer"),
        _enough("memory", memory * 1.1, MINIMUM_MEMORY_GIB, f"{memory:.1f} GiB", "close programs or shorten the tasks"),
        room,
    ]


def _check_gpu(cuda: str | None, gpus: list[list[object]], environ: Mapping[str, str], said: str) -> Finding:
    if gpus:
        texts = [f"{name}, {size / GIB:.0f} GiB" for name, size in gpus if isinstance(size, int)]
        return Finding("GPU", "ok", "; ".join(texts))
    if environ.get("CUDA_VISIBLE_DEVICES", "unset").strip() in ("", "-1"):
        return Finding("GPU", "ok", "CUDA_VISIBLE_DEVICES hides every GPU: tsf computes on the CPU")
    driver = shutil.which("nvidia-smi", path=environ.get("PATH")) or Path("/proc/driver/nvidia/version").exists()
    if driver and not cuda:
        cure = "install the torch of constraints.txt from an index with CUDA builds: see CONTRIBUTING.md"
        return Finding("GPU", "warn", "there is an NVIDIA driver, but this torch is built for CPU only", cure)
    if driver:
        reason = said.strip().splitlines()[-1] if said.strip() else "torch gives no reason"
        cure = f"check `nvidia-smi`; the driver must be new enough for CUDA {cuda}; until then the CPU is used"
        return Finding("GPU", "warn", f"there is an NVIDIA driver, but torch sees no GPU ({reason})", cure)
    return Finding("GPU", "ok", "none: tsf computes on the CPU")


def _enough(name: str, found: float, least: float, detail: str, cure: str) -> Finding:
    if found >= least:
        return Finding(name, "ok", detail)
    return Finding(name, "warn", f"{detail}; at least {least:g} are advised", cure)


def _memory_bytes() -> float:
    """Of this machine, or of the container where that has less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(machine, int(text)) if text.isdigit() else machine


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _fits(need: Requirement) -> bool:
    found = _installed(need.name)
    return bool(found) and need.specifier.contains(found, prereleases=True)
