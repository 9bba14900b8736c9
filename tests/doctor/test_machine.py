"""What the doctor says of Python, packages, torch, GPU and the size of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.test_setup import PYPROJECT
from tsf.doctor import machine

CPU_ONLY = {"CUDA_VISIBLE_DEVICES": ""}


def with_driver(folder: Path) -> dict[str, str]:
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def test_a_package_that_does_not_fit_comes_with_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=99", "no-such-package>=1", "pandas>=1", "no-such-lab>=4; extra == 'lab'"]
    monkeypatch.setattr(machine, "requires", lambda _: wanted)
    by_name = {finding.name: finding for finding in machine.check_packages()}
    assert by_name["numpy"].state == by_name["no-such-package"].state == "fail"
    assert "numpy>=99" in by_name["numpy"].detail
    assert "absent" in by_name["no-such-package"].detail
    assert "pandas" not in by_name
    assert by_name["packages"].detail == "1 of 3 fit"
    assert by_name["extra lab"].state == "warn"
    assert "no-such-lab" in by_name["extra lab"].detail


def test_every_extra_is_looked_at() -> None:
    assert {*machine.EXTRAS} == {*PYPROJECT["project"]["optional-dependencies"]}


def test_a_python_without_tsf_is_told_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise machine.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "requires", absent)
    [finding] = machine.check_packages()
    assert (finding.state, finding.cure) == ("fail", "run `make setup`")


def test_cuda_visible_devices_hides_the_gpu_and_that_is_said() -> None:
    torch, gpu = machine.check_torch(os.environ | CPU_ONLY)
    assert (torch.name, torch.state) == ("torch", "ok")
    assert gpu.state == "ok"
    assert "CUDA_VISIBLE_DEVICES" in gpu.detail


def test_a_torch_that_cannot_be_imported_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open')")
    [torch] = machine.check_torch(os.environ | {"PYTHONPATH": str(tmp_path)})
    assert torch.state == "fail"
    assert "libcudart.so.13" in torch.detail


@pytest.mark.parametrize(
    ("cuda", "gpus", "said", "state", "words"),
    [
        ("13.0", [["H200", 139 * 2**30]], "", "ok", "H200, 139 GiB"),
        (None, [], "", "warn", "built for CPU only"),
        ("13.0", [], "UserWarning: the driver is too old", "warn", "driver is too old"),
    ],
)
def test_a_gpu_is_named_or_its_absence_explained(
    tmp_path: Path, cuda: str | None, gpus: list[list[object]], said: str, state: str, words: str
) -> None:
    finding = machine._check_gpu(cuda, gpus, with_driver(tmp_path), said)
    assert (finding.state, bool(finding.cure)) == (state, state == "warn")
    assert words in finding.detail


def test_a_small_machine_is_warned_and_not_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [finding.name for finding in machine.check_hardware(tmp_path)] == ["cores", "memory", "disk"]
    for name in ("MINIMUM_CORES", "MINIMUM_MEMORY_GIB", "MINIMUM_DISK_GIB"):
        monkeypatch.setattr(machine, name, 10**6)
    findings = machine.check_hardware(tmp_path)
    assert {finding.state for finding in findings} == {"warn"}
    assert all(finding.cure for finding in findings)


@pytest.mark.parametrize("what", ["folder", "state", "file of state"])
def test_what_cannot_be_written_is_told(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root may write wherever the mount lets it: so a file stands where a folder should."""
    wrong = {"folder": "project", "state": "project/.tsf", "file of state": "project/.tsf/params.lock"}[what]
    (tmp_path / wrong).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / wrong).write_text("")
    if what == "file of state":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    [disk] = [one for one in machine.check_hardware(tmp_path / "project") if one.name == "disk"]
    assert disk.state == "fail"
    assert f"{tmp_path / wrong} cannot be written" in disk.detail
    assert disk.cure


@pytest.mark.parametrize(
    ("said", "used", "detail"),
    [
        ("echo 'NVIDIA A, 3 MiB, 80 MiB'; echo 'NVIDIA B, 4 MiB, 80 MiB'", None, "NVIDIA A, 3 MiB, 80 MiB; NVIDIA B"),
        ("echo 3; echo 4", 7 * 2**20, "3; 4"),
        ("exit 9", None, "does not answer"),
        ("echo '[N/A]'", None, "[N/A]"),
    ],
)
def test_the_gpu_is_described_by_its_driver_without_loading_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, used: int | None, detail: str
) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.gpu_memory_bytes() == used
    assert detail in machine.gpu_without_torch().detail


def test_without_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu_memory_bytes() is None
    assert "computes on the CPU" in machine.gpu_without_torch().detail
