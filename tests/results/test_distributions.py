"""Tails of distributions, against scipy.stats, which a sweep does not import."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from jefficient.results._distributions import normal_isf, t_isf, t_sf


@pytest.mark.parametrize("degrees", [1, 2.5, 30, 1e6, np.inf])
def test_tails_are_those_of_scipy(degrees):
    x = np.array([-50.0, -3.0, 0.0, 0.1, 2.0, 30.0, 1e5, np.inf])
    p = np.array([1e-12, 0.001, 0.025, 0.3, 0.5, 0.9])
    np.testing.assert_allclose(t_sf(x, degrees), stats.t.sf(x, degrees), rtol=1e-12)
    np.testing.assert_allclose(t_isf(p, degrees), stats.t.isf(p, degrees), rtol=1e-9)
    np.testing.assert_allclose(normal_isf(p), stats.norm.isf(p), rtol=1e-12)


def test_a_sweep_does_not_import_scipy_stats():
    program = "import sys, jefficient as jf; jf.sweep; sys.exit('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
