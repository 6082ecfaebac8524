"""What schedulers share, without a sweep."""

import types

import numpy as np

from jefficient.results import Status
from jefficient.sweeps.programs import Evaluation
from jefficient.sweeps.scheduler._scheduler import Scheduler


class Late:
    """An array that is being computed: who reads it waits a second."""

    def __init__(self, values, record):
        self.values = np.asarray(values)
        self.shape = self.values.shape
        self.record = record

    def __array__(self, dtype=None, copy=None):
        self.record.seconds = 4.0
        return self.values


def test_seconds_are_those_when_an_evaluation_was_there():
    record = types.SimpleNamespace(seconds=3.0)
    running = [Status.RUNNING, Status.RUNNING]
    arrays = [Late(x, record) for x in (running, [5, 5], [-1, -1])]
    evaluation = Evaluation({"valid_loss": Late([0.5, 0.25], record)}, *arrays)
    there = Scheduler._on_host(types.SimpleNamespace(record=record), evaluation)
    assert there.seconds.tolist() == [4.0, 4.0]
    assert there.values["valid_loss"].tolist() == [0.5, 0.25]
