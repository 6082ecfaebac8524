"""Stopping rules: scores of configurations enter; which of them are stopped leaves."""

from ._stop import Observation as Observation
from ._stop import PrunerLog as PrunerLog
from ._stop import StopRule as StopRule
from ._stop import SuccessiveHalving as SuccessiveHalving
from ._stop import median_stop as median_stop
from ._stop import successive_halving as successive_halving
