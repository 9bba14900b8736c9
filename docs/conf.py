"""The site that `make docs` builds: README, these pages, and the notebooks, which are executed for it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from sphinx.application import Sphinx

project = "tsf"
extensions = ["myst_nb"]
root_doc = "README"
pages = {
    "Guide": ["docs/jupyterlab", "docs/alarms", "docs/metrics", "docs/deployment"],
    "Notebooks": ["notebooks/explore", "notebooks/federated"],
    "Reference": ["docs/parameters", "docs/commands", "docs/rest"],
    "Measured": ["docs/forecaster", "docs/performance", "docs/demo-fleet"],
    "Project": ["CHANGELOG", "CONTRIBUTING"],
}
include_patterns = ["README.md", *(f"{page}.*" for part in pages.values() for page in part)]
html_theme = "furo"
html_title = "tsf"
html_static_path = html_css_files = ["site.css"]
html_copy_source = False
myst_heading_anchors = 3  # README and pages link to headings by the names that code hosts give them
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
suppress_warnings = ["misc.highlighting_failure"]  # crontabs and CSV have no colours

logging.getLogger("traitlets").setLevel(logging.WARNING)  # else each execution is announced, however quiet the build


def setup(app: Sphinx) -> None:
    """README stays free of the contents, which only the site's side-bar shows; it is the first page, too."""
    app.connect("source-read", _add_contents)
    app.connect("build-finished", _add_index)


def _add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        for caption, names in pages.items():
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```\n"])


def _add_index(app: Sphinx, fault: Exception | None) -> None:
    if fault is None and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))
