"""What commands print stays whole, however narrow the terminal."""

from __future__ import annotations

from importlib import metadata
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tsf.cli import commands, terminal
from tsf.doctor import Finding


def test_a_table_folds_what_is_too_long_for_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    page = StringIO()
    monkeypatch.setattr(terminal, "out", Console(file=page, width=40, soft_wrap=True))
    data, path = "0123456789abcdef" * 4, "/srv/" + "x" * 60 + ".ipynb"
    terminal.show_table(("of", "what"), [("data", data)], "quota")
    terminal.show_findings([Finding("disk", "fail", path, "")])
    printed = "".join("".join(line.split("│")[2:]).replace(" ", "") for line in page.getvalue().splitlines())
    assert data in printed
    assert path in printed.replace("fail", "")
    assert "…" not in page.getvalue()


def test_the_version_is_that_of_the_package() -> None:
    said = CliRunner().invoke(commands.app, ["--version"])
    assert (said.output, said.exit_code) == (f"tsf {metadata.version('tsf')}\n", 0)
