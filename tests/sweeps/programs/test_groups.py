"""When trials are evaluated, and how many updates they make."""

from fractions import Fraction

import numpy as np
import pytest

import jefficient as jf
from jefficient.sweeps.programs import TrialLength


def evaluations(sizes, batch_size, *, steps=None, epochs=None, eval_every=None):
    length = TrialLength(steps, epochs, eval_every)
    return length.evaluations(np.array(sizes) / batch_size)


def ceil(x):
    return -(-x.numerator // x.denominator)


@pytest.mark.parametrize("epochs", [1, 3, 40, 77, Fraction(5, 4)])
@pytest.mark.parametrize(
    ("sizes", "batch_size"), [([12, 24, 36], 5), ([30, 29], 7), ([11, 12], 11)]
)
def test_folds_are_evaluated_at_the_same_epochs(sizes, batch_size, epochs):
    """Against whole numbers, which do not round."""
    got = evaluations(sizes, batch_size, epochs=float(epochs))
    between = ceil(
        Fraction(ceil(epochs * Fraction(max(sizes), batch_size)) * batch_size, max(sizes)) / 50
    )
    for fold, size in enumerate(sizes):
        total = ceil(epochs * Fraction(size, batch_size))
        marks = [ceil(Fraction(k * between * size, batch_size)) for k in range(1, got.shape[1])]
        assert got[fold].tolist() == [*marks, total]
    assert (np.diff(got, prepend=0) > 0).all()
    after = [ceil(Fraction(got.shape[1] * between * size, batch_size)) for size in sizes]
    assert any(x >= total for x, total in zip(after, got[:, -1], strict=True))  # none is missing


def test_the_period_of_evaluations_counts_in_the_largest_fold():
    got = evaluations([12, 24, 48], 4, epochs=3, eval_every=8)
    assert got.tolist() == [[2, 4, 6, 8, 9], [4, 8, 12, 16, 18], [8, 16, 24, 32, 36]]


def test_every_fold_makes_an_update_between_two_evaluations():
    got = evaluations([5, 20], 4, epochs=2, eval_every=1)
    assert got.tolist() == [[1, 2, 3], [1, 5, 10]]
    assert evaluations([5, 5], 4, epochs=2, eval_every=1).tolist() == [[1, 2, 3]] * 2


def test_steps_are_the_same_in_all_folds():
    assert evaluations([12, 48], 4, steps=30).tolist() == [[12, 24, 30]] * 2
    assert evaluations([12, 48], 4, steps=30, eval_every=20).tolist() == [[20, 30]] * 2


@pytest.mark.parametrize("epochs", [1e-20, 1e10, 1e300])
def test_a_trial_has_as_many_updates_as_int32_can_count(epochs):
    if epochs < 1:
        assert evaluations([12, 24], 4, epochs=epochs).tolist() == [[1], [1]]
    else:
        with pytest.raises(jf.ArgumentError, match=r"fewer than 2\*\*31 updates, got \d+\."):
            evaluations([12, 24], 4, epochs=epochs)
