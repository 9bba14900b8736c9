"""The panel of a task for notebooks and for a tab of JupyterLab: choose, look, plan, save, run, read."""

from tsf.panel.model import TaskModel
from tsf.panel.panel import TaskPanel

__all__ = ["TaskModel", "TaskPanel"]
