"""Groups of configurations without a task: what the tests of the scheduler's decisions share."""

import numpy as np

from jefficient.sweeps.programs import Group
from jefficient.sweeps.scheduler import Queue


class Width:
    """What a queue asks of a program where nothing is compiled."""

    is_ranked_on_host = False

    def __init__(self, width):
        self.width = width


def group(configs=5, seeds=2, folds=3, evaluations=((2, 4, 6),), batch_size=8, first=0):
    """Configurations `first`, …; `evaluations` repeat over them."""
    each = [evaluations[i % len(evaluations)] for i in range(configs)]
    return Group(
        configs=first + np.arange(configs),
        static={"batch_size": batch_size},
        labels={"batch_size": batch_size},
        numbers={"rate": np.linspace(0.1, 1.0, configs, dtype=np.float32)},
        fold_numbers={},
        steps=np.array([[steps[-1]] * folds for steps in each], np.int32),
        evaluations=tuple(np.array([steps] * folds, np.int32) for steps in each),
        steps_per_epoch=np.full(folds, 2.0),
        seeds=seeds,
        folds=folds,
    )


def queue(width=4, **about):
    return Queue.of(group(**about), Width(width))
