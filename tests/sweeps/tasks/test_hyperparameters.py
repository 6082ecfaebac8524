"""Checks of functions with the numbers of configurations: how many, and what an error tells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.tasks._hyperparameters import (
    MOST_CHECKED,
    HyperparameterTable,
    check_configurations,
    check_traced,
)


def table(n):
    a, b = np.arange(n, dtype=np.float32), np.repeat(np.arange(n // 2, dtype=np.float32), 2)
    return HyperparameterTable({"a": a, "b": b, "steps": np.full(n, 10, np.int32)})


def checked(names, given):
    """The numbers that the check is called with."""
    made = []

    def check(hyperparameters):
        made.append(tuple(float(hyperparameters[name]) for name in names))

    check_configurations(check, names, given, {})
    return made


def traced(key, names, given):
    """The numbers that a function is traced for."""
    made = []

    def check(hyperparameters):
        made.append(tuple(float(hyperparameters[name]) for name in names))

    check_traced(key, check, names, given, {})
    return made


def columns(**numbers):
    of = {name: np.array(x, np.float32) for name, x in numbers.items()}
    return HyperparameterTable({**of, "steps": np.ones(len(of["a"]), np.int32)})


def test_a_check_is_called_for_each_distinct_set():
    assert checked(("b",), table(20)) == [(float(i),) for i in range(10)]
    assert len(checked(("a", "b"), table(20))) == 20
    assert checked((), table(20)) == [()]


def test_a_function_is_traced_for_some_and_the_extremes_of_each_hyperparameter():
    a = np.random.default_rng(0).permutation(100)
    made = traced(object(), ("a",), columns(a=a))
    assert {(0.0,), (99.0,)} <= set(made)
    assert MOST_CHECKED <= len(made) <= MOST_CHECKED + 2
    assert len(traced(object(), ("a",), columns(a=range(10)))) == 10


def test_the_same_function_is_traced_again_for_other_numbers_alone():
    key = object()
    assert len(traced(key, ("a", "b"), columns(a=[1, 2, 3], b=[0, 1, 2]))) == 3
    assert traced(key, ("a", "b"), columns(a=[3, 1], b=[2, 0])) == []
    assert traced(key, ("a", "b"), columns(a=[1, 2, 3], b=[0, 1.5, 2])) == [(2, 1.5)]
    assert traced(key, ("a", "b"), columns(a=[2, 3], b=[1.5, 2])) == []
    assert traced(object(), (), columns(a=[1], b=[1])) == [()]
    assert traced(key, (), columns(a=[1], b=[1])) == [()]
    assert traced(key, (), columns(a=[2], b=[2])) == []


def test_what_was_refused_is_refused_again():
    def check(hyperparameters):
        raise ValueError("never")

    for _ in range(2):
        with pytest.raises(ValueError, match="never"):
            check_traced("a key of its own", check, ("a",), columns(a=[1, 2]), {})


def test_what_is_raised_for_one_is_raised_and_named():
    def check(hyperparameters):
        if hyperparameters["b"] == 7:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven") as caught:
        check_configurations(check, ("b",), table(20), {"kind": "x"})
    assert caught.value.__notes__ == [
        "jf.sweep: raised for the hyperparameters {'kind': 'x', 'a': 14.0, 'b': 7.0, 'steps': 10}."
    ]


def test_numbers_are_told_apart_bit_for_bit():
    b = np.array([0.0, -0.0, np.nan, np.nan, 0.0], np.float32)
    given = HyperparameterTable({"b": b, "steps": np.full(5, 1, np.int32)})
    assert given.distinct(("b",)).tolist() == [0, 1, 2]
    assert given.distinct(("steps", "b")).tolist() == [0, 1, 2]
    assert given.distinct(("none of them",)).tolist() == [0]
    assert 2 in given.extremes(("b",))  # NaN is one


def test_the_optimizer_is_built_for_every_distinct_number():
    """One in the middle is found, and what jax computes of a number counts too."""
    task = jf.Task(
        lambda key: jnp.ones(()), lambda w, batch: ((batch * w) ** 2).mean(), np.ones(8, np.float32)
    )
    space = jf.grid(angle=np.linspace(0.1, 9.0, 30).astype(np.float32))
    with pytest.raises(jf.JefficientError, match="got learning_rate=-0") as caught:
        prepare(
            task,
            lambda angle: jf.sgd(jnp.sin(angle)),
            space,
            Settings(steps=2, metric="train_loss"),
        )
    assert "'angle': 3." in caught.value.__notes__[-1]


def test_a_loss_is_traced_a_few_times_however_many_configurations_there_are():
    traces = []

    def loss(params, batch, scale):
        traces.append(float(scale))
        return ((batch * params - scale) ** 2).mean()

    task = jf.Task(lambda key: jnp.ones(()), loss, np.ones(8, np.float32), validation=0.5)
    space = jf.grid(scale=np.linspace(0.1, 1, 200).astype(np.float32))
    prepare(task, jf.sgd(0.1), space, Settings(steps=2))
    assert len(traces) <= MOST_CHECKED + 2
    assert {min(traces), max(traces)} == {
        float(space.numbers("scale").min()),
        float(space.numbers("scale").max()),
    }


def test_numbers_of_init_and_loss_are_checked_at_their_extremes():
    def init(key, width):
        assert width > 0, f"width must be positive, got {width}"
        return jnp.ones(())

    values = [*np.linspace(1, 2, 100), -1.0, *np.linspace(3, 4, 100)]
    task = jf.Task(init, lambda w, batch: ((batch * w) ** 2).mean(), np.ones(8, np.float32))
    with pytest.raises(AssertionError, match="width must be positive, got -1"):
        prepare(task, jf.sgd(0.1), jf.grid(width=values), Settings(steps=2, metric="train_loss"))


def test_rows_of_arrays_are_told_apart_by_every_number():
    arrays = np.array([[0, 5], [9, 1], [0, 5], [0, -3], [2, 2]], np.float32)
    table = HyperparameterTable({"rates": arrays, "steps": np.ones(5, np.int32)})
    assert table.distinct(["rates"]).tolist() == [0, 1, 3, 4]
    assert table.extremes(["rates"]).tolist() == [0, 1, 3]  # 9 in row 1, -3 in row 3
    assert isinstance(table[1]["rates"], jax.Array)
