"""Is this machine fit, is the project whole, do the servers answer: each thing is ok, or comes with its cure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tsf.doctor.finding import Finding
from tsf.doctor.machine import check_hardware, check_packages, check_python, check_torch
from tsf.doctor.project import check_dvc, check_git, check_kernel, check_params, check_test_servers
from tsf.doctor.services import check_services, check_tasks
from tsf.errors import ParamsError
from tsf.params import read_params

__all__ = ["SECRET_NAME", "Finding", "run_doctor", "without_secrets"]

SECRET_NAME = re.compile(r"TOKEN|PASSWORD|SECRET|CREDENTIAL|_KEY$", re.IGNORECASE)


def run_doctor(root: Path, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Look at everything that the project in `root` needs; nothing is changed, nothing raises for what is wrong.

    environ: addresses, credentials and devices, the process's own by default; no secret in it gets into a finding.
    """
    environ = os.environ if environ is None else environ
    findings = [
        check_python(),
        *check_packages(),
        *check_torch(environ),
        *check_hardware(root),
        check_git(root),
        check_dvc(root, environ),
        check_kernel(),
        check_params(root, environ),
    ]
    with suppress(ParamsError):  # check_params has said so
        params = read_params(root)
        services = check_services(root, params.prometheus, environ)
        findings += services
        if services[0].state == "ok":  # Prometheus, or what stands for it
            findings += check_tasks(params, environ)
    return [without_secrets(finding, environ) for finding in [*findings, check_test_servers(root, environ)]]


def without_secrets(finding: Finding, environ: Mapping[str, str]) -> Finding:
    """`finding` with *** in place of every secret of `environ`."""
    for name, value in environ.items():
        if SECRET_NAME.search(name) and len(value) > 3:
            finding = replace(
                finding, detail=finding.detail.replace(value, "***"), cure=finding.cure.replace(value, "***")
            )
    return finding
