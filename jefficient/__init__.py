"""jefficient: compose gradient transformations, and train every value of a hyperparameter in one compiled program."""

from ._core.errors import JefficientError as JefficientError
from .schedules import *
from .spaces import *
from .sweep import *
from .training import *
from .transforms import *
