"""Sweeps: a task, an optimizer and a space enter; a labelled result leaves."""

from ._load import load as load
from ._machine import use_compilation_cache as use_compilation_cache
from ._machine import use_cpu_devices as use_cpu_devices
from ._progress import Progress as Progress
from ._stop import median_stop as median_stop
from ._stop import successive_halving as successive_halving
from ._sweep import plan as plan
from ._sweep import sweep as sweep
from ._task import Task as Task
from ._trial import Trial as Trial
