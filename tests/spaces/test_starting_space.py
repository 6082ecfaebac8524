"""Where a search starts: the numbers of the sources, and that every name can be swept."""

import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf
from jefficient._core.errors import ArgumentError, ArgumentTypeError

RATES = (1e-4, 1e-1)
X = np.linspace(-1, 1, 40, dtype=np.float32)


def task():
    return jf.Task(
        init=lambda key: jnp.zeros(()),
        loss=lambda w, batch: jnp.mean((batch["x"] * w - batch["y"]) ** 2),
        data={"x": X, "y": 3 * X},
        validation=0.25,
    )


def warmed_up(learning_rate, warmup_steps, steps, weight_decay):
    schedule = jf.warmup_cosine_decay_schedule(0.0, learning_rate, warmup_steps, steps)
    return jf.adamw(schedule, weight_decay=weight_decay)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("adam", {"learning_rate": RATES}),
        ("adamw", {"learning_rate": RATES, "weight_decay": (1e-4, 1.0)}),
        ("sgd", {"learning_rate": (1e-3, 1.0), "momentum": (0.5, 0.9, 0.99)}),
    ],
)
def test_the_numbers_are_those_of_the_sources(optimizer, expected):
    ranges = jf.starting_space(optimizer, steps=1000)
    got = {
        name: each.values if isinstance(each, jf.Choice) else (each.low, each.high)
        for name, each in ranges.items()
    }
    assert got == expected | {"batch_size": (10, 20, 50, 100, 200), "warmup_steps": (1, 100)}
    assert all(
        isinstance(ranges[name], jf.LogUniform) for name in ("learning_rate", "warmup_steps")
    )
    assert set(ranges.reasons) == set(ranges)
    assert all(f"{name}: " in str(ranges) for name in ranges)


@pytest.mark.parametrize(
    ("examples", "sizes"),
    [(8, (8,)), (12, (12,)), (120, (10, 20, 50, 120)), (150, (10, 20, 50, 100, 150))],
)
def test_the_largest_batch_has_all_examples(examples, sizes):
    assert jf.starting_space("adam", examples=examples)["batch_size"].values == sizes


def test_a_short_training_has_no_warmup():
    assert "warmup_steps" not in jf.starting_space("adam", steps=19)
    assert "warmup_steps" not in jf.starting_space("adam")
    assert jf.starting_space("adam", steps=20)["warmup_steps"].high == 2


@pytest.mark.parametrize(
    ("optimizer", "factory", "steps"),
    [("adam", jf.adam, None), ("sgd", jf.sgd, None), ("adamw", warmed_up, 20)],
)
def test_every_name_is_requested_by_our_factories(optimizer, factory, steps):
    ranges = jf.starting_space(optimizer, examples=12, steps=steps)
    result = jf.sweep(task(), factory, jf.sobol(4, **ranges), steps=20, progress=False)
    assert set(result.space) == set(ranges)


def test_optuna_and_random_take_it():
    optuna = pytest.importorskip("optuna")
    ranges = jf.starting_space("adamw")
    assert len(jf.random(16, **ranges)) == 16
    search = jf.optuna(optuna.samplers.RandomSampler(seed=0), 4, storage=None, **ranges)
    assert set(search.example().names) == set(ranges)


def test_arguments():
    with pytest.raises(ArgumentError, match="optimizer must be one of"):
        jf.starting_space("lion")
    with pytest.raises(ArgumentError, match="examples"):
        jf.starting_space("adam", examples=0)
    with pytest.raises(ArgumentTypeError, match="steps"):
        jf.starting_space("adam", steps=2.5)
