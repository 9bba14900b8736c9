"""What DVC depends on beside params.yaml: the notebooks without outputs, and which servers the environment names.

Saving a notebook in JupyterLab after a look makes no stage stale; another PROMETHEUS_URL does. Run as
`python -m tsf.flow.strip`; it keeps to the standard library since every `dvc repro` runs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

from tsf.errors import FlowError
from tsf.project import STAGES, find_root

__all__ = ["main", "strip"]

ADDRESSES = ("PROMETHEUS_URL", "PUSHGATEWAY_URL")  # that win over params.yaml


def strip(notebook: dict[str, object]) -> dict[str, object]:
    """The same notebook with no outputs, counters or editor state, so that equal cells are equal bytes."""
    cells = []
    for cell in notebook["cells"]:  # type: ignore[attr-defined]
        tags = cell.get("metadata", {}).get("tags")
        kept = {key: cell[key] for key in ("cell_type", "id", "source") if key in cell}
        kept["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            kept |= {"outputs": [], "execution_count": None}
        cells.append(kept)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    """Write notebooks/.stripped/<stage>.ipynb for every stage, and environment.json beside them.

    Raises FlowError for a notebook that is damaged, as by a merge.
    """
    folder = find_root() / "notebooks"
    (folder / ".stripped").mkdir(exist_ok=True)
    for stage in STAGES:
        path = folder / f"{stage}.ipynb"
        try:
            notebook = strip(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
            cure = f"mend it, or take the last one that was committed: git checkout HEAD {path}"
            raise FlowError(f"it is no notebook ({fault})", where=str(path), cure=cure) from None
        text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        (folder / ".stripped" / f"{stage}.ipynb").write_text(text, encoding="utf-8")
    # As a hash: what DVC keeps for ever must hold no password, should somebody have put one into an address.
    named = {name: os.environ.get(name, "") for name in ADDRESSES}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest()[:16] if text else "" for name, text in named.items()}
    (folder / ".stripped" / "environment.json").write_text(json.dumps(hashes) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except FlowError as fault:
        sys.exit(f"error: {fault}")
