"""What a stopping rule would have done to a sweep that was recorded whole."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Simulation:
    """What a stopping rule would have cost and lost; see `jf.simulate`.

    Attributes:
        rule: the rule, as text.
        metric: what ranks configurations; "score" for curves from elsewhere.
        cost: updates of all trials under the rule, as a share of those without, 0 to 1. As in the
            dataset of a sweep, what a lane computes between its trial's last evaluation and the end
            of that trial by the rule is not counted: one segment of a trial at most, and none where
            all trials of a configuration are evaluated together.
        regret: the mean score of `best`, minus the best without the rule, signed so that it is 0 or
            more, in units of the metric; NaN where no configuration would have finished.
        stopped: the configurations that would have been stopped, in rising order.
        best: the configuration that the stopped sweep would have named best; None where none would
            have finished, and `Result.best` refuses.
        status: how each trial would have ended, as in the dataset: str array (configs, seeds,
            folds).
        steps_taken: updates of each trial, int array (configs, seeds, folds).
        utilization: the share of lane-steps in which a trial would have been trained: where it is
            much below 1, time is not saved as updates are.
    """

    rule: str
    metric: str
    cost: float
    regret: float
    stopped: tuple[int, ...]
    best: int | None
    status: np.ndarray = dataclasses.field(repr=False)
    steps_taken: np.ndarray = dataclasses.field(repr=False)
    utilization: float
