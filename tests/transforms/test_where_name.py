"""Masks by the names of parameters."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jefficient as jf

PARAMS = {
    "encoder": [{"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}],
    "norm": {"scale": jnp.ones(2)},
}


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("kernel", ["encoder.0.kernel"]),
        (r"^encoder\.", ["encoder.0.bias", "encoder.0.kernel"]),
        (["bias", r"scale$"], ["encoder.0.bias", "norm.scale"]),
    ],
)
def test_patterns_are_found_anywhere_in_a_name(pattern, selected):
    mask = jf.where_name(pattern)(PARAMS)
    leaves = jax.tree_util.tree_leaves_with_path(mask)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, x in leaves if x]
    assert sorted(names) == selected


def test_it_is_taken_wherever_a_mask_is():
    kernels = jf.where_name("kernel")
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    for tx in (
        jf.l2_decay(1.0, kernels),
        jf.adamw(1.0, weight_decay=1.0, mask=kernels),
        jf.masked(jf.l2_decay(1.0), kernels),
        jf.masked(jf.proximal_l1(1.0), kernels),
    ):
        updates, _ = tx.update(zeros, tx.init(PARAMS), PARAMS)
        moved = {name for name, x in zip("bks", jax.tree.leaves(updates), strict=True) if x.any()}
        assert moved == {"k"}


def test_the_biases_of_attention_which_are_matrices_are_told_from_its_kernels():
    attention = nnx.MultiHeadAttention(2, 4, 4, decode=False, rngs=nnx.Rngs(0))
    params = nnx.to_pure_dict(nnx.state(attention, nnx.Param))
    assert params["query"]["bias"].ndim == 2
    mask = jf.where_name("kernel")(params)
    assert mask["query"] == {"bias": False, "kernel": True}


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        (3, jf.ArgumentTypeError, "jf.where_name: pattern must be a string or strings, got 3"),
        ([], jf.ArgumentError, "pattern must hold at least one string"),
        ("(", jf.ArgumentError, r"pattern must be a regular expression, got '\('"),
        (
            ["kernel", "weight"],
            jf.ArgumentError,
            r"found in the name of a parameter, got 'weight' and the names \['encoder.0.bias'",
        ),
    ],
)
def test_wrong_patterns(pattern, error, message):
    with pytest.raises(error, match=message):
        jf.where_name(pattern)(PARAMS)
