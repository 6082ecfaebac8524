"""Which configurations a function is tried on: all that it may tell apart, and few where it tells none apart."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

import jefficient as jf
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.planning._spec import prepare
from jefficient.sweeps.programs._groups import HyperparameterTable
from jefficient.sweeps.tasks._notes import check_each
from jefficient.sweeps.tasks._watched import is_read

X = jnp.ones((4, 3))
KEY = jax.random.key(0)


def traced(function):
    """As sweeps check a loss: the arrays are unknown, the number is not."""
    return lambda numbers: jax.eval_shape(lambda x: jnp.asarray(function(numbers["b"], x)), X)


HANDED_ON = {
    "times": lambda b, x: x * b + b * x,
    "power": lambda b, x: x**b + b**x,
    "rest": lambda b, x: (1 - b) * x + (b / 2 - 0.5) * x - (-b),
    "compared by jax": lambda b, x: jnp.where(x > b, x, b),
    "function": lambda b, x: jnp.sin(b) + jax.nn.leaky_relu(x, b),
    "drawn": lambda b, x: jax.random.bernoulli(KEY, b, x.shape),
    "uniform": lambda b, x: jax.random.uniform(KEY, (3,), minval=-b, maxval=b),
    "array": lambda b, x: jnp.array([b, 1.0]) + jnp.full((2,), b) + jnp.stack([b, b]),
    "jit": lambda b, x: jax.jit(lambda b, x: b * x)(b, x),
    "scan": lambda b, x: jax.lax.scan(lambda c, _: (c * b, None), x, None, length=3)[0],
    "cond": lambda b, x: jax.lax.cond(x.sum() > b, lambda: x, lambda: x * b),
    "grad": lambda b, x: jax.grad(lambda w, b: (w * b).sum())(x, b),
    "vmap": lambda b, x: jax.vmap(lambda x, b: x * b, (0, None))(x, b),
    "checkpoint": lambda b, x: jax.checkpoint(lambda x, b: jnp.tanh(x * b))(x, b),
    "shape": lambda b, x: x if b.shape == () and b.dtype == np.shape(b) else x * b,
}
READ = {
    "if": lambda b, x: x if b else -x,
    "compared": lambda b, x: x if b > 0 else -x,
    "equal": lambda b, x: x if b == 0.5 else -x,
    "derived": lambda b, x: x if 2 * (1 - b) > 0 else -x,
    "with an array of NumPy": lambda b, x: x if (b * np.ones(2))[0] > 0 else -x,
    "after an array of NumPy": lambda b, x: x if (np.ones(2) * b)[0] > 0 else -x,
    "float": lambda b, x: x if float(b) > 0 else -x,
    "float64": lambda b, x: x if np.float64(b) > 0 else -x,
    "math": lambda b, x: x if math.isfinite(b) else -x,
    "NumPy's": lambda b, x: x if np.isfinite(b) else -x,
    "any": lambda b, x: x if np.any(b) else -x,
    "item": lambda b, x: x if b.item() > 0 else -x,
    "astype": lambda b, x: x if b.astype(np.float64) > 0 else -x,
    "text": lambda b, x: x * len(f"{b}"),
    "key": lambda b, x: x if b in {0.5: 1} else -x,
    "where not traced": lambda b, x: x if isinstance(b, Tracer) or b > 0 else -x,
    "a check of ours": lambda b, x: x * jf.constant_schedule(b)(jnp.int32(0)),
    "an optimizer": lambda b, x: jax.tree.leaves(jf.adam(b).init(x))[0],
}


@pytest.mark.parametrize("name", HANDED_ON)
def test_what_is_handed_to_jax_is_not_read(name):
    with jax.numpy_dtype_promotion("standard"):
        assert not is_read(traced(HANDED_ON[name]), {"b": np.float32(0.5)})


@pytest.mark.parametrize("name", READ)
def test_what_is_looked_at_is_read(name):
    with jax.numpy_dtype_promotion("standard"):
        assert is_read(traced(READ[name]), {"b": np.float32(0.5)})


@pytest.mark.parametrize(
    "read",
    [
        lambda n, x: x[: int(n)],
        lambda n, x: jnp.zeros(n),
        lambda n, x: x * n,
        lambda n, x: x / (n - 1),
    ],
)
def test_whole_numbers_count_as_read_where_they_are_asked_for(read):
    with jax.numpy_dtype_promotion("standard"):
        assert is_read(traced(read), {"b": np.int32(2)})
    assert not is_read(traced(lambda n, x: x), {"b": np.int32(2)})


def test_a_watched_number_is_the_number():
    seen = []

    def take(numbers):
        seen.extend((float(numbers["b"]), float(1 - numbers["b"]), float(jnp.exp(numbers["b"]))))

    is_read(take, {"b": np.float32(0.25)})
    assert seen == [0.25, 0.75, float(jnp.exp(jnp.float32(0.25)))]


def rows(n):
    a, b = np.arange(n, dtype=np.float32), np.repeat(np.arange(n // 2, dtype=np.float32), 2)
    return HyperparameterTable({"a": a, "b": b, "steps": np.full(n, 10, np.int32)})


def calls(check, names, given, is_traced=True):
    """The numbers that the check is called with, those of the watched call left out."""
    made = []

    def recorded(hp):
        if type(hp["steps"]) is np.int32:
            made.append(tuple(float(hp[name]) for name in names))
        check(hp)

    check_each(recorded, names, given, {}, is_traced=is_traced)
    return made


def test_a_check_that_reads_is_called_for_each_distinct_set():
    assert calls(lambda hp: float(hp["b"]), ("b",), rows(20)) == [(float(i),) for i in range(10)]
    assert len(calls(lambda hp: float(hp["b"]), ("a", "b"), rows(20))) == 20


def test_a_check_that_does_not_is_called_for_the_extremes():
    assert calls(lambda hp: jnp.sin(hp["b"]), ("b",), rows(20)) == [(0.0,), (9.0,)]
    assert calls(lambda hp: None, (), rows(20)) == [()]


def test_what_is_not_traced_is_called_for_each_distinct_set():
    """What jax makes of a number there has a value, which can be read: `float(jnp.sin(b))`."""
    assert len(calls(lambda hp: jnp.sin(hp["b"]), ("b",), rows(20), is_traced=False)) == 10


def test_an_optimizer_s_numbers_may_come_out_of_jax():
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


def test_what_is_raised_for_one_in_the_middle_is_raised_and_named():
    def check(hp):
        if not isinstance(hp["b"], Tracer) and hp["b"] == 7:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven") as caught:
        check_each(check, ("b",), rows(20), {"kind": "x"}, is_traced=True)
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


def test_a_loss_is_traced_a_few_times_however_many_configurations_there_are():
    traces = []

    def loss(params, batch, scale):
        traces.append(scale)
        return ((batch * params - scale) ** 2).mean()

    task = jf.Task(lambda key: jnp.ones(()), loss, np.ones(8, np.float32), validation=0.5)
    space = jf.grid(scale=np.linspace(0.1, 1, 200).astype(np.float32))
    prepare(task, jf.sgd(0.1), space, Settings(steps=2))
    assert len(traces) == 3  # one that is watched, and the extremes
    assert {float(x) for x in traces} == {
        space.numbers("scale").min(),
        space.numbers("scale").max(),
    }
