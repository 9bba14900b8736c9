"""How a worker process ends with its server, however that went; it must load fast, so it knows nothing else."""

from __future__ import annotations

import os
import threading
import time

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """From now on end this process when its parent is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of torch must not spin beside a server
    threading.Thread(target=watch, daemon=True).start()
