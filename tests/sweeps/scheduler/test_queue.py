"""The trials of a group in order, and what the lanes that train them are told."""

import numpy as np
import pytest
from sweeps.scheduler import groups

from jefficient.sweeps.scheduler import _queue
from jefficient.sweeps.scheduler._block import Block

IDLE = _queue.IDLE


def block(queue):
    idle = np.full(queue.width, IDLE)
    return Block(queue, None, None, None, idle, np.zeros(queue.width, int))


def test_trials_of_a_configuration_follow_each_other():
    queue = groups.queue(configs=5, seeds=2, folds=3, first=10)
    assert len(queue.waiting) == 30
    place = queue.place(np.arange(30))
    assert place.config.tolist() == np.repeat(np.arange(10, 15), 6).tolist()
    assert place.seed[:6].tolist() == [0, 0, 0, 1, 1, 1]
    assert place.fold[:6].tolist() == [0, 1, 2, 0, 1, 2]
    assert queue.trials_of(np.array([1, 4])).tolist() == [*range(6, 12), *range(24, 30)]


def test_trials_are_taken_in_order_and_refilled_by_configuration():
    queue = groups.queue(configs=2, seeds=1, folds=1)
    assert [queue.take() for _ in range(3)] == [0, 1, IDLE]
    queue.refill(np.array([1]))
    assert list(queue.waiting) == [1]


def test_commands_describe_each_trial_and_idle_lanes_have_nothing_to_do():
    queue = groups.queue(configs=2, seeds=2, folds=1, evaluations=((2, 4), (3,)))
    trials = np.array([0, 3, IDLE])
    commands = queue.commands(trials, np.array([True, False, False]), np.array([1, 0, 0]))
    assert commands.until.tolist() == [4, 3, 0]
    assert commands.until.dtype == np.int32
    assert commands.steps[:2].tolist() == [4, 3]
    assert commands.seed[:2].tolist() == [0, 1]
    assert commands.seed.dtype == np.uint32
    np.testing.assert_array_equal(commands.hyperparameters["rate"][:2], queue.group.numbers["rate"])
    assert queue.idle_commands().until.tolist() == [0] * queue.width


def test_the_last_evaluation_ends_a_trial_and_there_is_none_after_it():
    queue = groups.queue(configs=2, seeds=1, folds=1, evaluations=((2, 4), (3,)))
    trials = np.array([0, 0, 1])
    evaluations = np.array([0, 1, 0])
    assert queue.is_last(trials, evaluations).tolist() == [False, True, True]
    assert queue.until(trials, evaluations + 1).tolist() == [4, 0, 0]


def test_a_block_refills_its_idle_lanes_alone():
    mine = block(groups.queue(width=3, configs=4, seeds=1, folds=1))
    assert mine.refill().tolist() == [True, True, True]
    assert mine.trials.tolist() == [0, 1, 2]
    mine.evaluations[:] = [1, 2, 1]
    mine.trials[1] = IDLE
    assert mine.refill().tolist() == [False, True, False]
    assert mine.trials.tolist() == [0, 3, 2]
    assert mine.evaluations.tolist() == [1, 0, 1]
    mine.trials[0] = IDLE
    assert not mine.refill().any()  # nothing waits any more
    assert mine.occupied.tolist() == [1, 2]


def test_a_block_tells_who_is_due_and_since_when():
    mine = block(groups.queue(width=3, configs=2, seeds=1, folds=1, evaluations=((2, 4), (3, 6))))
    mine.refill()
    assert mine.until.tolist() == [2, 3, 0]
    assert mine.due(2).tolist() == [0]
    assert mine.begun_at.tolist() == [0, 0, 0]
    mine.evaluations[:] = [1, 1, 0]
    assert mine.until.tolist() == [4, 6, 0]
    assert mine.begun_at.tolist() == [2, 3, 0]


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_a_shortened_group_ends_one_configuration_earlier(steps):
    group = groups.group(configs=2, evaluations=((2, 4, 6),))
    shorter = group.shortened(1, 2, steps)
    kept = sorted({x for x in (2, 4, 6) if x <= steps} | {steps})
    assert shorter.evaluations[0].tolist() == [[2, 4, 6]] * 3
    assert shorter.evaluations[1].tolist() == [kept] * 3
    assert shorter.steps.tolist() == group.steps.tolist()  # what its schedules know
