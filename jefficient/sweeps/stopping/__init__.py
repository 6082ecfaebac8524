"""Stopping rules: scores of configurations enter; which of them are stopped leaves."""

from ._hyperband import hyperband as hyperband
from ._log import PrunerLog as PrunerLog
from ._median import median_stop as median_stop
from ._patience import patience as patience
from ._rule import Observation as Observation
from ._rule import StopRule as StopRule
from ._successive_halving import successive_halving as successive_halving
