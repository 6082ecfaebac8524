"""Sweeps: a task, an optimizer and a space enter; a labelled result leaves."""

from ._progress import Progress as Progress
from ._sweep import sweep as sweep
from ._task import Task as Task
