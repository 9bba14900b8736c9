"""What flags write to params.yaml, those of `tsf train` before all, and what is run then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tsf.cli import commands
from tsf.errors import ParamsError
from tsf.flow.tasks import add_task
from tsf.params import TaskParams, read_params

ROOT = Path(__file__).parents[2]
Train = Callable[..., list[str]]
ALIKE = 'avg by (cluster, node) (cpu_usage_percent{{cluster="{}"}})'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the parameters of the repository."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


@pytest.fixture
def train(root: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run `tsf train` with these flags up to where DVC would begin: the tasks that it would train."""
    trained: list[str] = []
    monkeypatch.chdir(root)
    monkeypatch.setattr(commands, "run_stages", lambda _root, names, stage: trained.extend(names) or stage)

    def run(*flags: str) -> list[str]:
        trained.clear()
        done = CliRunner().invoke(commands.app, ["train", *flags])
        if isinstance(done.exception, ParamsError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return [*trained]

    return run


def task_of(root: Path, name: str) -> TaskParams:
    return read_params(root).task(name)


def test_a_query_that_no_task_has_becomes_one_with_all_flags(root: Path, train: Train) -> None:
    numbers = {
        "epochs": 7, "batch_size": 32, "learning_rate": 0.001, "hidden_dim": 64, "num_layers": 2, "d_model": 32,
        "nhead": 8, "sequence_length": 24, "prediction_steps": 48,
    }  # fmt: skip
    flags = [word for key, value in numbers.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    query = "home_used_bytes"
    made = train("--user", "ann", "--metric-query", query, "--model-type", "transformer", *flags)
    assert made == [query]
    task = task_of(root, query)
    assert (task.owner, task.fetch.metric_query, task.train.model_type) == ("ann", query, "transformer")
    assert {key: getattr(task.train, key) for key in numbers} == numbers
    before = (root / "params.yaml").read_text()
    assert train("--metric-query", query) == [query]  # which is found again
    assert (root / "params.yaml").read_text() == before


def test_queries_whose_names_would_be_the_same_have_tasks_of_their_own(root: Path, train: Train) -> None:
    made = [train("--metric-query", ALIKE.format(cluster)) for cluster in ("east", "west")]
    assert made == [["avg_by_cluster_node_cpu_usage_percent_cl"], ["avg_by_cluster_node_cpu_usage_percent_cl_2"]]
    assert task_of(root, made[1][0]).fetch.metric_query == ALIKE.format("west")


def test_a_task_that_looks_less_far_ahead_pushes_what_it_reaches(root: Path, train: Train) -> None:
    [made] = train("--metric-query", "home_used_bytes", "--prediction-steps", "1")
    assert task_of(root, made).push.horizons == (3600,)
    train("--task", made, "--prediction-steps", "12")
    assert task_of(root, made).push.horizons == (6 * 3600, 12 * 3600)


def test_of_tasks_with_the_same_query_that_of_the_user_is_trained(root: Path, train: Train) -> None:
    query = task_of(root, "cpu").fetch.metric_query
    (root / "params.yaml").write_text(
        add_task((root / "params.yaml").read_text(), "ours", "cpu", "ann", {"fetch.metric_query": query})
    )
    assert train("--user", "ann", "--metric-query", query, "--epochs", "3") == ["ours"]
    assert (task_of(root, "cpu").owner, task_of(root, "ours").owner) == ("compute-oncall", "ann")
    assert train("--metric-query", query) == ["cpu"]


def test_flags_without_a_task_are_for_all(root: Path, train: Train) -> None:
    assert train("--epochs", "3") == ["storage", "gpu", "network", "cpu"]
    assert {task.train.epochs for task in read_params(root).tasks.values()} == {3}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--user", "ann"], "--user ann names an owner, but no task; add --task or --metric-query"),
        (["--task", "nope"], "there is no task 'nope'"),
        (["--metric-query", "", "--epochs", "3"], "'' is not PromQL"),
        (["--task", "cpu", "--d-model", "10", "--nhead", "3"], "d_model 10 is not divisible by nhead 3"),
    ],
)
def test_what_cannot_be_changes_nothing(root: Path, train: Train, flags: list[str], words: str) -> None:
    before = (root / "params.yaml").read_text()
    with pytest.raises(ParamsError, match=words):
        train(*flags)
    assert (root / "params.yaml").read_text() == before


def test_a_preset_is_taken_without_its_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    done = CliRunner().invoke(commands.app, ["tasks", "add", "free", "--preset", "storage", "--limit", "null"])
    assert done.exit_code == 0, done.output
    assert task_of(root, "free").fetch.limit is None


@pytest.mark.parametrize("command", ["predict", "rules", "lineage"])
def test_a_project_without_tasks_is_told_so(root: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    (root / "params.yaml").write_text("tasks: {}\n")
    monkeypatch.chdir(root)
    done = CliRunner().invoke(commands.app, [command])
    assert str(done.exception) == "params.yaml has no tasks; add one: tsf tasks add NAME --preset storage."
