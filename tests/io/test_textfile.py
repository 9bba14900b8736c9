"""Metrics as files for node_exporter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsf.errors import SinkError
from tsf.io.textfile import delete_textfile, write_textfile


def test_a_file_is_replaced_as_a_whole_and_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "textfile"
    assert write_textfile(b"old 1\n", folder, "storage") == folder / "storage.prom"
    write_textfile(b"other 1\n", folder, "gpu")
    with (folder / "storage.prom").open("rb") as scrape:  # a scrape that began before the write
        write_textfile(b"new 1\n", folder, "storage")
        assert scrape.read() == b"old 1\n"
    assert (folder / "storage.prom").read_bytes() == b"new 1\n"
    delete_textfile(folder, "storage")
    delete_textfile(folder, "storage")
    assert [path.name for path in folder.iterdir()] == ["gpu.prom"]


def test_node_exporter_may_read_the_file(tmp_path: Path) -> None:
    path = write_textfile(b"x 1\n", tmp_path, "storage")
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("task", ["../evil", "/etc/cron.d/x", "", "a/b", "A", "x" * 64, "x\n"])
def test_no_task_name_leads_out_of_the_folder(tmp_path: Path, task: str) -> None:
    with pytest.raises(SinkError, match="is not the name of a task"):
        write_textfile(b"x 1\n", tmp_path / "textfile", task)
    with pytest.raises(SinkError, match="is not the name of a task"):
        delete_textfile(tmp_path / "textfile", task)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "textfile").write_text("a file")
    with pytest.raises(SinkError, match=r"storage\.prom: it cannot be written"):
        write_textfile(b"x 1\n", tmp_path / "textfile", "storage")
    with pytest.raises(SinkError, match=r"storage\.prom: it cannot be deleted"):
        delete_textfile(tmp_path / "textfile", "storage")
