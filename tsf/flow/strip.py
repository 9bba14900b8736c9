"""Notebooks without outputs, for DVC to depend on: saving one in JupyterLab after a look makes no stage stale.

Run as `python -m tsf.flow.strip`; it keeps to the standard library since every `dvc repro` after a save runs it.
"""

from __future__ import annotations

import json

from tsf.project import STAGES, find_root

__all__ = ["main", "strip"]


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
    """Write notebooks/.stripped/<stage>.ipynb for every stage."""
    folder = find_root() / "notebooks"
    (folder / ".stripped").mkdir(exist_ok=True)
    for stage in STAGES:
        notebook = json.loads((folder / f"{stage}.ipynb").read_text(encoding="utf-8"))
        text = json.dumps(strip(notebook), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        (folder / ".stripped" / f"{stage}.ipynb").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
