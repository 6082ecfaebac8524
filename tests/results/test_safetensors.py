"""Weights as safetensors, and back into a tree; whole files are in test_files.py."""

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from results.made import made

import jefficient as jf
from jefficient.results import Result

TREE = {
    "layers": [
        {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.float16([1.5, -2.0])},
        (np.array(0.1, ml_dtypes.bfloat16), np.int8([3])),
    ],
    "alive": np.array([True, False]),
    "wide": np.array([1e300, 0.1]),
    "nothing": np.zeros((0, 2), np.float32),
    "key": jax.random.key(3),
}


def result(tree, **attributes):
    whole = made([[[0.1]], [[0.2]]], {"rate": [0.1, 0.2]}, **attributes)
    return Result(whole.dataset, weights={(0, 0, 0): tree})


def shapes(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)


@pytest.fixture
def path(tmp_path):
    return result(TREE).save_params(tmp_path / "weights.safetensors")


def test_a_tree_comes_back_into_its_template(path):
    same(jf.load_params(path, TREE), TREE)
    same(jf.load_params(str(path), shapes(TREE)), TREE)


def test_without_a_template_names_are_dicts(path):
    loaded = jf.load_params(path)
    assert set(loaded) == set(TREE)
    assert set(loaded["layers"]) == {"0", "1"}
    np.testing.assert_array_equal(
        loaded["layers"]["0"]["kernel"], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    )


def test_pairs_have_the_names_of_their_parts(tmp_path):
    """Where the task says so; other pairs are parameters like any."""
    pair = {"dense": {"kernel": np.ones(2)}}, {"norm": {"mean": np.zeros(3)}}
    path = result(pair, weights="params, state").save_params(tmp_path / "pair.safetensors")
    assert set(safetensors.numpy.load_file(path)) == {"params.dense.kernel", "state.norm.mean"}
    chex.assert_trees_all_equal(jf.load_params(path, pair), pair)
    assert set(jf.load_params(path)) == {"params", "state"}
    path = result(pair).save_params(tmp_path / "pair.safetensors")
    assert set(safetensors.numpy.load_file(path)) == {"0.dense.kernel", "1.norm.mean"}
    chex.assert_trees_all_equal(jf.load_params(path, pair), pair)
    path = result((np.ones(2), {}), weights="params, state").save_params(tmp_path / "pair")
    assert set(safetensors.numpy.load_file(path)) == {"params"}
    chex.assert_trees_all_equal(jf.load_params(path, (np.ones(2), {})), (np.ones(2), {}))


def test_a_single_array_is_named_params(tmp_path):
    path = result(np.ones(2)).save_params(tmp_path / "one.safetensors")
    chex.assert_trees_all_equal(jf.load_params(path, np.zeros(2)), np.ones(2))
    chex.assert_trees_all_equal(jf.load_params(path), {"params": np.ones(2)})


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({**TREE, "more": np.ones(1)}, r"got \['more'\] that are not in it, and not \[\]"),
        ({k: x for k, x in TREE.items() if k != "wide"}, r"got \[\] .* not \['wide'\]"),
        ({**TREE, "wide": np.ones(3)}, r"got \(\(3,\), 'float64'\) for wide, .* \(\(2,\), "),
        ({**TREE, "wide": np.ones(2, np.float32)}, r"\(\(2,\), 'float32'\) for wide"),
    ],
)
def test_another_template_is_refused(path, like, message):
    with pytest.raises(jf.ArgumentError, match=f"jf.load_params: like must have the .*{message}"):
        jf.load_params(path, like)


def test_what_is_no_such_file_is_refused(path, tmp_path):
    with pytest.raises(jf.JefficientError, match=r"jf.load_params: file not found"):
        jf.load_params(tmp_path / "missing")
    data = path.read_bytes()
    for damaged in (b"", b"no", data[:40], data[:-1], b"\xff" * 8 + data[8:]):
        path.write_bytes(damaged)
        with pytest.raises(jf.JefficientError, match=r"jf.load_params: path .*damaged"):
            jf.load_params(path)
