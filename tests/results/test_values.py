"""Hyperparameters and weights come back from a file as what they were."""

import dataclasses
import json
from typing import NamedTuple

import chex
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from results.made import made
from sweeps import tiny

import jefficient as jf
from jefficient.results import Result


def activation(x):
    return x


SPACE = jf.Space(
    {
        "learning_rate": (0.05, 1),
        "nesterov": (False, True),
        "momentum": (None, 0.5),
        "kind": (None, "sgd"),
        "activation": (activation, 7),
        "width": (4, 4),
    },
    {"activation": ("plain", "seven"), "width": (4, 4)},
)


def optimizer(learning_rate, nesterov, momentum, kind, activation, width):
    del kind, activation, width
    return jf.sgd(learning_rate, momentum, nesterov=nesterov)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    directory = tmp_path_factory.mktemp("values") / "sweep"
    result = tiny.sweep(tiny.task(validation=0.2), SPACE, optimizer, steps=2, directory=directory)
    return result, directory


def typed(space):
    return {name: [(type(x), x) for x in column] for name, column in space.items()}


def test_hyperparameters_keep_their_types_in_files_and_directories(swept, tmp_path):
    """bool, None, int, float and str; a function is its label, with the task itself."""
    result, directory = swept
    expected = dict(SPACE.columns)
    assert typed(result.space) == typed(expected)
    expected["activation"] = tuple(
        "plain" if x is activation else x for x in expected["activation"]
    )
    for loaded in (jf.load(result.save(tmp_path / "a.nc")), jf.load(directory)):
        assert typed(loaded.space) == typed(expected)
        again = jf.load(loaded.save(tmp_path / "b.nc"))
        assert typed(again.space) == typed(expected)


def test_the_best_is_json(swept, tmp_path):
    result, _ = swept
    best = jf.load(result.save(tmp_path / "a.nc")).best()
    read = json.loads(json.dumps(dataclasses.asdict(best)))
    assert typed_of(read["hyperparameters"]) == typed_of(best.hyperparameters)
    assert type(best.labels["width"]) is int
    assert type(best.score) is float
    assert read["config"] == best.config


def typed_of(values):
    return {name: (type(x), x) for name, x in values.items()}


def test_joined_results_keep_the_types_of_both(tmp_path):
    """Numbers in one and None beside numbers in the other: a column of texts."""

    def of(values, kind):
        labels = values if kind == "number" else [str(x) for x in values]
        result = made([[[0.1]] for _ in values], {"width": labels})
        column = result.dataset["width"]
        if kind == "text":
            table = json.dumps({"None": None, "2.5": 2.5})
            column = column.assign_attrs(values=table)
        hashes = np.array([f"{x}{kind}" for x in values], object)
        dataset = result.dataset.assign_coords(width=column, hash=("config", hashes))
        return Result(dataset)

    joined = of([1, 2], "number") + of([None, 2.5], "text") + of([4, 0.5], "number")
    assert typed_of(dict(enumerate(joined.space["width"]))) == typed_of(
        dict(enumerate([1, 2, None, 2.5, 4.0, 0.5]))
    )
    loaded = jf.load(joined.save(tmp_path / "a.nc"))
    assert typed(loaded.space) == typed(joined.space)


def test_numpy_numbers_become_python_s():
    space = jf.Space({"x": np.array([1, 2]), "y": (np.float64(0.5), np.bool_(True))})
    assert typed(space.columns) == {"x": [(int, 1), (int, 2)], "y": [(float, 0.5), (bool, True)]}


class Pair(NamedTuple):
    w: jax.Array
    b: jax.Array


@chex.dataclass
class ChexPair:
    w: jax.Array
    b: jax.Array


@flax.struct.dataclass
class FlaxPair:
    w: jax.Array
    b: jax.Array


W, B = np.arange(3, dtype=np.float32), np.float32([4])
DICTS = {0: W, 10: {("a", 0): B, ("b", (1, True)): [W, {-1: B}]}, 2: {}}


def test_dicts_load_whatever_their_keys(tmp_path):
    result = made([[[0.1]]], {"learning_rate": [0.1]})
    path = Result(result.dataset, weights={(0, 0, 0): DICTS}).save(tmp_path / "a.nc")
    loaded = jf.load(path).params()
    chex.assert_trees_all_equal(loaded, DICTS)
    assert jax.tree.structure(loaded) == jax.tree.structure(DICTS)


def test_trees_of_classes_load_with_the_task(tmp_path):
    tree = {0: Pair(W, B), 1: {("a", 0): ChexPair(w=W, b=B), ("b", 1): FlaxPair(w=W, b=B)}}
    task = tiny.task(
        init=lambda key: jax.tree.map(jnp.asarray, tree),
        loss=lambda params, batch: tiny.loss(params[0].w, batch),
        validation=0.2,
    )
    space = jf.grid(learning_rate=[0.0])
    path = tiny.sweep(task, space, steps=1, keep="last").save(tmp_path / "a.nc")
    loaded = jf.load(path, task=task, optimizer=jf.sgd, space=space).params()
    chex.assert_trees_all_equal(loaded, tree)
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    with pytest.warns(jf.JefficientWarning, match=r"left out. jf.load\(path, task=…\)"):
        assert not jf.load(path).weights
