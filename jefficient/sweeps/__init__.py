"""Sweeps: a task, an optimizer and a space enter; a labelled result leaves."""

from ._hypergradient import hypergradient as hypergradient
from ._hypergradient import plan_hypergradient as plan_hypergradient
from ._load import load as load
from ._search import Goal as Goal
from ._search import Search as Search
from ._simulate import simulate as simulate
from ._sweep import plan as plan
from ._sweep import sweep as sweep
from ._tune import tune as tune
from .stopping import Observation as Observation
from .stopping import StopRule as StopRule
from .stopping import hyperband as hyperband
from .stopping import median_stop as median_stop
from .stopping import patience as patience
from .stopping import successive_halving as successive_halving
from .tasks import Metric as Metric
from .tasks import Task as Task
from .tasks import Trial as Trial
from .tasks import host_metric as host_metric
