"""A number for each group of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

PARAMS = {
    "layer_1": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "layer_10": {"kernel": jnp.ones(2)},
    "head": jnp.ones(3),
}
PATTERNS = [r"^layer_1\.", r"^layer_10\."]
GRADS = jax.tree.map(lambda x: jnp.arange(1.0, 1 + x.size).reshape(x.shape), PARAMS)


def updated(step_sizes, patterns=PATTERNS):
    tx = jf.scale_by_name(patterns, step_sizes)
    return tx.update(GRADS, tx.init(PARAMS), PARAMS)[0]


def test_each_group_has_its_number_and_others_none():
    """Against optax's partition with labels, traced and for many arrays at once."""
    rates = jnp.array([[0.5, -2.0], [0.0, 3.0]])
    many = jax.jit(jax.vmap(updated))(rates)
    labels = {"layer_1": "one", "layer_10": "ten", "head": "none"}
    for i, (one, ten) in enumerate(rates.tolist()):
        transforms = {"one": optax.scale(one), "ten": optax.scale(ten), "none": optax.identity()}
        theirs = optax.partition(transforms, labels)
        expected, _ = theirs.update(GRADS, theirs.init(PARAMS), PARAMS)
        for got in (jax.tree.map(lambda x, i=i: x[i], many), updated([one, ten])):
            jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_it_reports_the_number_of_each_pattern():
    state = jf.scale_by_name(PATTERNS, np.array([0.5, 2.0])).init(PARAMS)
    assert {name: float(x) for name, x in jf.hyperparameters(state).items()} == {
        rf"{PATTERNS[0]}.scale.step_size": 0.5,
        rf"{PATTERNS[1]}.scale.step_size": 2.0,
    }


@pytest.mark.parametrize(
    ("patterns", "step_sizes", "error", "match"),
    [
        (PATTERNS, [1.0], ValueError, r"as many as patterns, got 1 for the 2 patterns \['\^layer"),
        (PATTERNS, jnp.ones(3), ValueError, "got 3 for the 2 patterns"),
        (PATTERNS, jnp.ones((2, 1)), ValueError, r"shape \(k,\), got shape \(2, 1\)"),
        (PATTERNS, 0.1, TypeError, "a sequence of numbers, got step_sizes=0.1"),
        (["a", "a"], [1.0, 2.0], ValueError, "patterns must differ"),
        ("head", [1.0], TypeError, "patterns must be strings, got 'head'"),
        (["("], [1.0], ValueError, "patterns must be a regular expression"),
        (["head", "body"], [1.0, 2.0], ValueError, "scale_by_name: pattern must be found .*'body'"),
        (
            ["layer_1", "layer_10"],
            [1.0, 2.0],
            ValueError,
            r"one pattern at most, got \['layer_1', 'layer_10'\] for 'layer_10.kernel'",
        ),
    ],
)
def test_wrong_groups_are_refused_by_name(patterns, step_sizes, error, match):
    with pytest.raises(error, match=match) as raised:
        updated(step_sizes, patterns)
    assert isinstance(raised.value, jf.JefficientError)
