"""How a worker process ends with its server, however that went; it must load fast, so it knows little else."""

from __future__ import annotations

import os

from tsf.flow import parent

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """From now on end this process when its parent is gone."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of torch must not spin beside a server
    parent.end_with_parent(lambda: os._exit(0), every_seconds=1.0)
