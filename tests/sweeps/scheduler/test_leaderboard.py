"""Which weights are kept while configurations complete in any order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jefficient.results import Score
from jefficient.sweeps.scheduler._leaderboard import Leaderboard

FINISHED = -math.inf


def board(size=2, mode="min"):
    return Leaderboard(Score("valid_loss", mode, "last"), size, seeds=2, folds=1)


def enter(leaderboard, config, rank):
    """Its weights arrive first, then it is complete, as in a sweep."""
    for seed in range(2):
        leaderboard.weights[config, seed, 0] = config
    leaderboard.enter(np.array([config]), [rank])


@given(st.permutations(range(6)))
def test_the_best_stay_in_whatever_order_they_come(order):
    """Ranks: trials without a score, updates made where it was cut short, the mean score."""
    ranks = {
        0: (0, FINISHED, 0.1),
        1: (0, FINISHED, 0.2),
        2: (0, FINISHED, 0.3),
        3: (0, -50.0, 0.0),  # stopped: after all that finished
        4: (0, -10.0, 0.0),
        5: (1, FINISHED, 0.0),  # a trial has diverged: last
    }
    leaderboard = board(size=4)
    for config in order:
        enter(leaderboard, config, ranks[config])
    assert {config for config, _, _ in leaderboard.weights} == {0, 1, 2, 3}
    assert leaderboard.best_score == 0.1


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
def test_the_best_score_is_that_of_a_finished_configuration(mode, sign):
    leaderboard = board(mode=mode)
    assert leaderboard.best_score is None
    enter(leaderboard, 0, (0, -5.0, sign * -9.0))
    enter(leaderboard, 1, (1, FINISHED, sign * -9.0))
    assert leaderboard.best_score is None
    enter(leaderboard, 2, (0, FINISHED, sign * 0.5))
    assert leaderboard.best_score == 0.5


def test_weights_are_wanted_of_incomplete_configurations_and_of_the_best():
    leaderboard = board(size=1)
    assert leaderboard.wants(7)
    enter(leaderboard, 7, (0, FINISHED, 1.0))
    assert leaderboard.wants(7)
    enter(leaderboard, 8, (0, FINISHED, 0.5))
    assert not leaderboard.wants(7)
    assert leaderboard.wants(8)
    assert leaderboard.wants(9)


def test_cleared_it_keeps_the_weights_that_are_not_forgotten():
    leaderboard = board(size=2)
    for config in (0, 1):
        enter(leaderboard, config, (0, FINISHED, float(config)))
    leaderboard.clear({1})
    assert {config for config, _, _ in leaderboard.weights} == {0}
    assert leaderboard.best_score is None
    assert leaderboard.wants(1)
