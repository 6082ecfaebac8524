"""At equal width a trial has the same bits as alone, whatever goes on around it."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import tiny

import jefficient as jf
from jefficient.spaces import Space
from jefficient.sweeps.planning import _widths

WIDTH = 4
RATES = (0.3, 1.0, 1.4, 1e30)
STEPS = (3, 8, 60)
POOL = [(rate, steps) for rate in RATES for steps in STEPS]
"""Of rate 1.4 the longest diverges on its way, of 1e30 all do at once.

The longest are evaluated every other step.
"""


@contextlib.contextmanager
def blocks_of_four(blocks=1):
    """However few trials there are."""
    with tiny.machine(cores=blocks), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_widths, "even_width", lambda *_: WIDTH)
        yield


def chaos():
    """A network that feeds itself: a last bit that differs is soon every bit.

    Beside it, a sum that may run away.
    """

    def init(key, rate):
        return jax.random.normal(jax.random.fold_in(key, 0), (8, 8)), jnp.ones(8), jnp.ones(())

    def step(state, data, t, key, rate, steps):
        weights, x, sum_ = state
        progress = t.astype(jnp.float32) / steps.astype(jnp.float32)
        x = jnp.tanh(
            weights @ x + progress + 0.1 * jax.random.normal(jax.random.fold_in(key, t), (8,))
        )
        return (weights + 0.01 * jnp.outer(x, x), x, sum_ * rate), {
            "loss": jnp.mean(x**2) + sum_ * rate
        }

    return jf.Trial(init, step, lambda state, data: {"size": jnp.mean(jnp.abs(state[1]))})


TRIAL = chaos()


def run(chosen, blocks=1, **changes):
    """A sweep over some of the pool, in this order."""
    space = Space(
        {name: tuple(one[i] for one in chosen) for i, name in enumerate(("rate", "steps"))}
    )
    arguments = {"metric": "size", "mode": "max", "keep_configs": 99, "diverged_above": 20.0}
    with blocks_of_four(blocks):
        result = jf.sweep(TRIAL, space=space, **{**arguments, "progress": False, **changes})
    assert (result.dataset["block_width"] == WIDTH).all()
    return result


@pytest.fixture(scope="module")
def alone():
    """Each of the pool, by itself."""
    return {one: run([one]) for one in POOL}


def test_the_pool_has_trials_of_every_kind(alone):
    ends = {
        one: (str(r.dataset["status"].values.item()), r.dataset["steps_taken"].item())
        for one, r in alone.items()
    }
    assert ends[1.4, 3] == ("finished", 3)
    assert ends[1.4, 60][0] == "diverged"
    assert 3 < ends[1.4, 60][1] < 60
    assert ends[1e30, 60] == ("diverged", 0)
    assert ends[0.3, 60] == ("finished", 60)
    assert alone[0.3, 60].dataset["step"].values[0].tolist() == list(range(2, 61, 2))
    weights = alone[0.3, 60].params(0)[0], alone[0.3, 8].params(0)[0]
    assert not np.array_equal(*weights)


@settings(max_examples=10, deadline=None)
@given(
    st.permutations(POOL),
    st.integers(1, len(POOL)),
    st.sampled_from([1, 2]),
    st.sampled_from(
        [None, jf.successive_halving(2, min_steps=3), jf.median_stop(min_steps=3, min_configs=1)]
    ),
)
def test_neighbours_order_refills_and_stops_change_no_bit(alone, order, count, blocks, stop):
    chosen = order[:count]
    result = run(chosen, blocks, stop=stop)
    for config, one in enumerate(chosen):
        trial, reference = (
            x.dataset.isel(config=c, seed=0, fold=0) for x, c in ((result, config), (alone[one], 0))
        )
        status, taken = str(trial["status"].values), int(trial["steps_taken"])
        evaluations = slice(0, int(((trial["step"] >= 0) & (trial["step"] <= taken)).sum()))
        for name in ("train_loss", "size"):
            np.testing.assert_array_equal(
                trial[name].values[evaluations], reference[name].values[evaluations]
            )
            assert np.isnan(trial[name].values[evaluations.stop :]).all()
        if status == "stopped":
            assert stop is not None
            continue
        for name in ("status", "steps_taken", "diverged_at"):
            assert trial[name].values == reference[name].values
        for x, y in zip(result.params(config), alone[one].params(0), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def in_order():
    return validated(range(len(LEARNING)), blocks=1)


LEARNING = (0.001, 0.02, 0.3, 1e30, 0.1)


def validated(order, blocks, **changes):
    """Unequal folds and two seeds, learning rates in this order; one of them diverges."""
    folds = [(np.arange(10, 30), np.arange(10)), (np.arange(12), np.arange(20, 26))]
    space = jf.grid(learning_rate=[LEARNING[i] for i in order])
    with blocks_of_four(blocks):
        return tiny.sweep(
            tiny.task(),
            space,
            jf.adam,
            folds=folds,
            seeds=2,
            steps=9,
            eval_every=2,
            keep_configs=99,
            **changes,
        )


@settings(max_examples=5, deadline=None)
@given(
    st.permutations(range(len(LEARNING))), st.integers(1, len(LEARNING)), st.sampled_from([1, 2])
)
def test_a_task_with_folds_and_seeds_keeps_its_bits(in_order, order, count, blocks):
    result = validated(order[:count], blocks)
    for config, i in enumerate(order[:count]):
        for name in ("train_loss", "valid_loss", "status", "steps_taken", "diverged_at"):
            one, other = (x.dataset[name].values[c] for x, c in ((result, config), (in_order, i)))
            np.testing.assert_array_equal(one, other)
        for seed, fold in ((0, 0), (0, 1), (1, 0), (1, 1)):
            np.testing.assert_array_equal(
                result.params(config, seed, fold), in_order.params(i, seed, fold)
            )


def test_a_task_s_trial_by_itself_in_a_block_has_the_same_bits(in_order):
    for place in ((0, 0, 0), (2, 1, 1), (3, 0, 1), (4, 1, 0)):
        again = in_order.replay(*place)
        recorded = in_order.dataset.isel(dict(zip(("config", "seed", "fold"), place, strict=True)))
        for name in ("train_loss", "valid_loss", "status", "steps_taken", "diverged_at"):
            np.testing.assert_array_equal(
                again.dataset[name].values[0, 0, 0], recorded[name].values
            )
        np.testing.assert_array_equal(again.params, in_order.params(*place))


def test_a_length_may_be_an_axis_of_a_task_that_nobody_asks_for():
    """Each trial is the one of a sweep of that length."""
    the_task, rates = tiny.task(validation=(tiny.X, tiny.Y)), [0.1, 0.02]
    with blocks_of_four():
        both = tiny.sweep(the_task, jf.grid(steps=[4, 11], learning_rate=rates), eval_every=3)
        for i, steps in enumerate((4, 11)):
            one = tiny.sweep(the_task, jf.grid(learning_rate=rates), steps=steps, eval_every=3)
            evaluations = one.dataset.sizes["evaluation"]
            for name in ("train_loss", "valid_loss"):
                recorded = both.dataset[name].values[2 * i : 2 * i + 2]
                np.testing.assert_array_equal(recorded[..., :evaluations], one.dataset[name].values)
                assert np.isnan(recorded[..., evaluations:]).all()
            np.testing.assert_array_equal(both.params(2 * i), one.params(0))
