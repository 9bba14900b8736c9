"""One stage by itself: what a person sees of a notebook that fails, and what stays."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import papermill
import pytest

from tests.pipeline.conftest import make_project
from tsf.errors import FlowError, ParamsError
from tsf.flow.notebooks import export_report, main, run_stage
from tsf.flow.strip import strip
from tsf.project import find_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path, ("cpu",)).root


def put_notebook(root: Path, *cells: str) -> None:
    """In the place of fetch: the parameter cell, then `cells`."""
    code = [{"cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "source": "task = 'none'"}]
    code += [{"cell_type": "code", "id": str(i), "metadata": {}, "source": cell} for i, cell in enumerate(cells)]
    (root / "notebooks/.stripped").mkdir(exist_ok=True)
    (root / "notebooks/.stripped/fetch.ipynb").write_text(json.dumps(strip({"cells": code})))


def test_a_notebook_that_runs_becomes_a_report_and_the_task_is_its_parameter(root: Path) -> None:
    put_notebook(root, "print('the task is', task)")
    report = run_stage("fetch", "cpu", root)
    assert "the task is cpu" in report.read_text()
    assert report.with_suffix(".ipynb").is_file()
    assert 'href="cpu/fetch.html"' in (root / "reports/index.html").read_text()


def test_a_long_path_of_temporary_files_takes_no_kernel_its_sockets(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("scratch-of-job-" * 7)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    put_notebook(root, "1 + 1")
    assert run_stage("fetch", "cpu", root).is_file()


def test_a_users_mistake_is_told_in_its_own_sentence_and_the_last_report_stays(root: Path) -> None:
    put_notebook(root, "1 + 1")
    report = run_stage("fetch", "cpu", root)
    before = report.read_bytes()
    put_notebook(
        root, "from tsf.errors import EmptyError\nraise EmptyError('nothing matches', where='up', cure='widen it')"
    )
    with pytest.raises(FlowError) as caught:
        run_stage("fetch", "cpu", root)
    assert str(caught.value) == "fetch@cpu: up: nothing matches; widen it."
    assert report.read_bytes() == before
    assert "widen it" in report.with_name("fetch.failed.ipynb").read_text()
    assert not report.with_name("fetch.running.ipynb").exists()


def test_any_other_fault_names_the_cell_and_the_notebook_that_shows_it(root: Path) -> None:
    put_notebook(root, "{}['missing']")
    with pytest.raises(FlowError, match=r"cell 3 failed with KeyError: 'missing'; open .*fetch\.failed\.ipynb"):
        run_stage("fetch", "cpu", root)


def test_what_a_kernel_says_while_it_ends_is_not_taken_for_the_fault(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dying = "import atexit, os\natexit.register(os.write, 2, b'Traceback: zmq.error.ZMQError')"
    put_notebook(root, f"{dying}\nfrom tsf.errors import EmptyError\nraise EmptyError('nothing', cure='widen it')")
    with pytest.raises(FlowError, match="widen it"):
        run_stage("fetch", "cpu", root)
    assert "Traceback" not in capfd.readouterr().err


def test_a_kernel_that_dies_is_told_as_such_with_its_last_words(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put_notebook(root, "import os\nos.write(2, b'CUDA: uncorrectable ECC')\nos._exit(9)")
    with pytest.raises(FlowError, match="run out of memory"):
        run_stage("fetch", "cpu", root)
    assert "uncorrectable ECC" in capfd.readouterr().err
    assert (root / "reports/cpu/fetch.failed.ipynb").is_file()


def test_a_full_disk_is_told_as_such(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path, running: Path, **__: object) -> None:
        running.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    put_notebook(root, "1")
    monkeypatch.setattr(papermill, "execute_notebook", full)
    with pytest.raises(FlowError, match="No space left on device; free the disk"):
        run_stage("fetch", "cpu", root)


@pytest.mark.parametrize("name", ["../outside", "nope", "", "/tmp/x", "cpu/../cpu"])
def test_a_name_that_is_no_task_touches_no_path(root: Path, name: str) -> None:
    put_notebook(root, "1")
    with pytest.raises(ParamsError, match="there is no task"):
        run_stage("fetch", name, root)
    assert not (root / "reports").exists()


def test_the_module_answers_a_mistake_with_one_line_and_status_1(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root / "notebooks")  # where JupyterLab starts kernels
    assert find_root() == root
    assert main(["cook", "cpu"]) == 1
    assert (
        capsys.readouterr().err
        == "error: 'cook cpu' is no stage and task; write one of fetch, train, evaluate, push.\n"
    )


def test_markup_in_outputs_is_shown_and_not_run(root: Path) -> None:
    put_notebook(root, "print('<script>alert(1)</script>')", "'<img src=x onerror=alert(2)>'")
    page = run_stage("fetch", "cpu", root).read_text()
    assert "<script>" not in page
    assert "<img" not in page
    assert "default-src 'none'" in page


def test_warnings_and_errors_of_a_notebook_are_seen_in_its_page(root: Path, tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stderr", "text": "mind <this>"}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "x", "outputs": [output], "execution_count": 1}
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book.ipynb").write_text(json.dumps(book))
    page = export_report(tmp_path / "book.ipynb", tmp_path / "book.html").read_text()
    assert '<pre class="warning" role="note">mind &lt;this&gt;</pre>' in page
