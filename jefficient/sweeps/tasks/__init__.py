"""What is trained: a task or trial and a space enter; the pure functions of a lane leave."""

from ._evaluation import Sums as Sums
from ._hyperparameters import HyperparameterTable as HyperparameterTable
from ._injection import COLUMNS as COLUMNS
from ._injection import DIMENSIONS as DIMENSIONS
from ._injection import VARIABLES as VARIABLES
from ._keys import ORDER as ORDER
from ._keys import trial_key as trial_key
from ._lane_data import ResidentData as ResidentData
from ._lane_data import StreamedData as StreamedData
from ._metric import Metric as Metric
from ._metric import host_metric as host_metric
from ._notes import WHERE as WHERE
from ._notes import annotate_checks as annotate_checks
from ._notes import annotate_compilation_errors as annotate_compilation_errors
from ._notes import annotate_errors as annotate_errors
from ._notes import traced_program as traced_program
from ._probe import NO_PROBE as NO_PROBE
from ._probe import checked_probes as checked_probes
from ._problem import Begin as Begin
from ._problem import Problem as Problem
from ._scoring import HostScorer as HostScorer
from ._task import Task as Task
from ._task import count_examples as count_examples
from ._task_problem import TaskProblem as TaskProblem
from ._trial import Trial as Trial
from ._trial_problem import TrialProblem as TrialProblem
