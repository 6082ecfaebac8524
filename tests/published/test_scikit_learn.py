"""Ridge and logistic regression over strengths and folds, against scikit-learn's solvers."""

import numpy as np
import pytest
from published import scikit_learn

L2 = np.array([0.1, 0.3, 0.9], np.float32)


@pytest.mark.parametrize("name", ["diabetes", "wine"])
def test_optima_and_scores_of_a_search_are_scikit_learn_s(name):
    """Three strengths x five folds; all of `L2`, and a third data set: reproduced.py."""
    got = scikit_learn.compared(scikit_learn.PROBLEMS[name], L2)
    assert got.coefficients < 1e-5
    np.testing.assert_allclose(got.ours, got.theirs, rtol=1e-5)
    assert got.ours.argmin() == got.theirs.argmin()
    assert len(set(got.theirs.round(3))) == 3
