"""The laws that every schedule obeys.

Those of `jefficient.testing`, and those that need an invalid value or optax's twin.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance.table import SCHEDULES, cases

import jefficient as jf
from jefficient.testing import SCHEDULE_LAWS, verify_schedule

STEPS = np.arange(40, dtype=np.int32)


@pytest.mark.parametrize("law", SCHEDULE_LAWS)
@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_law(row, law):
    verify_schedule(row.factory, row.pairs(), laws=[law], rtol=1e-6)


@pytest.mark.parametrize("row", [row for row in SCHEDULES if row.twin], ids=str)
def test_every_step_is_optax_s(row):
    """To 1e-6 of the largest value: optax's own cosine loses digits near its end."""
    with jax.numpy_dtype_promotion("standard"):
        theirs = jnp.stack(
            [jnp.asarray(row.twin(**row.values())(int(t)), jnp.float32) for t in STEPS]
        )
    np.testing.assert_allclose(row.build()(STEPS), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("row", "number"), **cases(SCHEDULES))
def test_bad_numbers_are_refused_by_name(row, number):
    bad = row.numbers[number][2]
    if bad is not None:
        with pytest.raises(
            jf.JefficientError, match=rf"jf\..*{number}.* must hold, got .*{number}={bad}"
        ):
            row.build(**{number: bad})
    with pytest.raises(jf.JefficientError, match=r"must be a scalar, got shape \(2,\)"):
        row.build(**{number: jnp.array([1.0, 2.0])})
