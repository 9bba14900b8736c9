"""Where things lie in a project folder; no file is touched here, except to find the folder itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tsf.errors import ParamsError

__all__ = ["STAGES", "Stage", "TaskPaths", "find_root"]

Stage = Literal["fetch", "train", "evaluate", "push"]
STAGES: tuple[Stage, ...] = ("fetch", "train", "evaluate", "push")


def find_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` (the current one) that holds params.yaml and dvc.yaml.

    Notebooks run in notebooks/ under JupyterLab and in the root under papermill: both find the same root.
    Raises ParamsError where there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise ParamsError(
        f"{start} is not inside a tsf project", cure="go to the folder that holds params.yaml and dvc.yaml"
    )


@dataclass(frozen=True)
class TaskPaths:
    """The files of one task; DVC owns all but the registry, the checkpoint and the textfile."""

    root: Path
    task: str

    @property
    def series(self) -> Path:
        """What fetch read."""
        return self.root / "data" / self.task / "series.parquet"

    @property
    def quality(self) -> Path:
        """What fetch counted: gaps, late starts, infinities."""
        return self.root / "data" / self.task / "quality.json"

    @property
    def model(self) -> Path:
        """The folder of the model that these data and parameters give: weights and card."""
        return self.root / "models" / self.task

    @property
    def checkpoint(self) -> Path:
        """Where a training that is cut off goes on; beside what DVC owns, and gone once the model is whole."""
        return self.root / "models" / ".work" / f"{self.task}.safetensors"

    @property
    def evaluation(self) -> Path:
        """The folder of the metrics and plot data that DVC compares."""
        return self.root / "evaluation" / self.task

    @property
    def policy(self) -> Path:
        """Choices of threshold, hold and gate that no other beats, with their alarms a week and breaches announced."""
        return self.evaluation / "policy.csv"

    @property
    def pushed(self) -> Path:
        """The folder of the last forecast that was written back and its receipt."""
        return self.root / "pushed" / self.task

    @property
    def context(self) -> Path:
        """The samples that the last forecast was made from."""
        return self.pushed / "context.parquet"

    @property
    def textfile(self) -> Path:
        """The folder that node_exporter's textfile collector reads; shared by all tasks."""
        return self.root / "textfile"

    @property
    def registry(self) -> Path:
        """The folder of every model version ever evaluated; shared by all tasks."""
        return self.root / "registry"

    @property
    def rules(self) -> Path:
        """The alert rules for Prometheus."""
        return self.root / "rules" / f"{self.task}.yml"

    @property
    def rule_tests(self) -> Path:
        """Their cases for promtool, apart from them: `rules/*.yml` in rule_files would take them for rules."""
        return self.root / "rules" / "tests" / f"{self.task}.yml"

    def kept_evaluation(self, version: str) -> Path:
        """The metrics of a version's last evaluation, so that versions can be compared."""
        return self.registry / self.task / version / "evaluation.json"

    def output(self, stage: Stage) -> Path:
        """The folder that `stage` writes its data to."""
        return {"fetch": self.series.parent, "train": self.model, "evaluate": self.evaluation, "push": self.pushed}[
            stage
        ]

    def report(self, stage: Stage) -> Path:
        """The page a person reads."""
        return self.root / "reports" / self.task / f"{stage}.html"

    def notebook(self, stage: Stage) -> Path:
        """The executed notebook behind the page."""
        return self.root / "reports" / self.task / f"{stage}.ipynb"

    def running_notebook(self, stage: Stage) -> Path:
        """The notebook of a run that goes on, as far as it is."""
        return self.root / "reports" / self.task / f"{stage}.running.ipynb"

    def failed_notebook(self, stage: Stage) -> Path:
        """The notebook of a run that failed, up to the cell that failed; absent once the stage succeeds."""
        return self.root / "reports" / self.task / f"{stage}.failed.ipynb"
