"""The expected loss of a noisy quadratic, over schedules, rates and batches."""

import numpy as np
from published import quadratic


def test_the_mean_over_seeds_is_the_closed_form():
    """Within 4 standard errors, which are so small that no other configuration is nearer."""
    table = quadratic.compared(rates=(0.03, 0.2), batches=(4,), seeds=250)
    mean, exact = table["mean"].to_numpy(), table["exact"].to_numpy()
    assert len(table) == 10
    assert (abs(mean - exact) < 4 * table["error"]).all()
    nearest = abs(mean[:, None] - exact).argmin(axis=1)
    np.testing.assert_array_equal(nearest, np.arange(10))
