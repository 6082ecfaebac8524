"""Early stopping: the rules against oracles written from their papers, then inside of sweeps."""

import math

import jefficient as jf
from jefficient.sweep._stop import Report


def test_the_median_rule_passes_over_those_without_a_look_so_far():
    """A batch size that looks at epoch 1.07 for the first time has nothing to compare with one at epoch 1."""
    judge = jf.median_stop(min_configs=1).judge()
    assert judge.stops([Report(0, 16, 16 / 15, 0.0), Report(1, 1, 1.0, 9.0)]) == [False, False]
    assert judge.stops([Report(1, 2, 2.0, 9.0)]) == [False]  # 0 has not got as far
    assert judge.stops([Report(0, 32, 32 / 15, 0.0), Report(1, 3, 2.1, 9.0)]) == [False, True]


def test_the_best_score_so_far_is_not_one_to_come():
    """Of two looks that are reported together, the first is judged by what there was at the first."""
    judge = jf.median_stop(min_configs=1).judge()
    judge.stops([Report(0, 1, math.nan, 1.0), Report(0, 2, math.nan, 1.0)])
    assert judge.stops([Report(1, 1, math.nan, 2.0), Report(1, 2, math.nan, 0.0)]) == [True, False]
