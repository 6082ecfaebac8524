"""What is trained: a task or trial and its hyperparameters enter; the pure functions of a lane leave."""

from ._injection import COLUMNS as COLUMNS
from ._injection import DIMENSIONS as DIMENSIONS
from ._injection import VARIABLES as VARIABLES
from ._notes import WHERE as WHERE
from ._notes import note_traced as note_traced
from ._numbers import HyperparameterTable as HyperparameterTable
from ._problem import Problem as Problem
from ._task import Task as Task
from ._task_problem import ORDER as ORDER
from ._task_problem import TaskProblem as TaskProblem
from ._trial import Trial as Trial
from ._trial_problem import TrialProblem as TrialProblem
