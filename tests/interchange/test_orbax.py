"""Weights and states through orbax, without any help: they are ordinary trees of arrays."""

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from sweeps import tiny

import jefficient as jf

RATES = jf.grid(learning_rate=[0.01, 0.1])


def sweep(**changes):
    settings = {"steps": 40, "eval_every": 10, "seeds": 2, "keep_states": [1], **changes}
    return tiny.sweep(tiny.task(validation=0.3), RATES, jf.adam, **settings)


@pytest.fixture(scope="module")
def whole():
    return sweep()


@pytest.fixture
def through(tmp_path):
    """Save a tree with orbax and restore it, by itself or into shapes."""

    def go(name, tree, like=None):
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(tmp_path / name, tree)
            checkpointer.wait_until_finished()
            return checkpointer.restore(tmp_path / name, like)

    return go


@pytest.mark.filterwarnings("ignore")  # orbax's own
def test_weights_go_through_orbax(whole, through):
    chex.assert_trees_all_equal(through("by_itself", whole.params()), whole.params())
    again = through("into_shapes", whole.params(1), whole.params(1))
    chex.assert_trees_all_equal(again, whole.params(1))


@pytest.mark.filterwarnings("ignore")
def test_a_sweep_goes_on_from_a_state_of_orbax(whole, through):
    states = [whole.state(1, seed) for seed in range(2)]
    restored = through("states", states, states)
    assert jax.tree.structure(restored) == jax.tree.structure(states)

    def start(config, seed, fold):
        return restored[seed] if config == 1 else None

    again = sweep(start=start, keep_states=None).dataset
    assert again["started_at"].values[1].ravel().tolist() == [20, 20]
    for name in ("train_loss", "valid_loss"):
        expected = whole.dataset[name].values[1, :, 0, 2:]
        got = again[name].values[1, :, 0, :2]  # evaluations are those after the start
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(got, expected)
