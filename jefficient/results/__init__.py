"""Results: arrays of a finished sweep enter; a labelled dataset and its readings leave."""

from ._best import Best as Best
from ._compare import Comparison as Comparison
from ._complete import check_complete as check_complete
from ._dataset import Curves as Curves
from ._dataset import Labels as Labels
from ._dataset import by_fold as by_fold
from ._dataset import counted_evaluations as counted_evaluations
from ._dataset import in_largest_fold as in_largest_fold
from ._dataset import last_evaluation as last_evaluation
from ._dataset import ranking as ranking
from ._dataset import status_of as status_of
from ._dataset import to_dataset as to_dataset
from ._files import read as read
from ._join import concatenated as concatenated
from ._result import Replay as Replay
from ._result import Result as Result
from ._score import Rank as Rank
from ._score import Score as Score
from ._score import Status as Status
from ._score import at_evaluations as at_evaluations
from ._score import over_trials as over_trials
from ._values import value_table as value_table
from .checks import Check as Check
from .checks import Checks as Checks
