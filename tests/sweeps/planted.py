"""Sweeps of curves that are known before: trials read them from a table, in one compiled program.

    PYTHONPATH=tests python tests/sweeps/planted.py [sweeps]

compares `jf.simulate` with the engine on more random sweeps than the tests do.
"""

import functools
import operator
import sys

import jax
import jax.numpy as jnp
import numpy as np
from sweeps.tiny import lanes

import jefficient as jf

CONFIGS, SEEDS, DRAWS, UPDATES = 14, 2, 5, 8
RULES = [
    jf.successive_halving(2, min_steps=1),
    jf.median_stop(min_steps=2, min_configs=3),
    jf.patience(evaluations=2, min_delta=0.05),
    jf.successive_halving(3, min_steps=2),
]
SPACE = functools.reduce(
    operator.add,
    (
        jf.grid(row=[row], steps=[UPDATES // (2 if row % 3 == 0 else 1)], kind=["aabab"[row % 5]])
        for row in range(CONFIGS)
    ),
)


def init(key):
    return jax.random.bits(key) % DRAWS, jnp.zeros(())


def step(state, data, t, key, row, kind):
    draw, _ = state
    return (draw, data[row, draw, t]), {"loss": data[row, draw, t]}


def evaluate(state, data):
    return {"score": state[1]}


def planted(table, *, width=3, blocks=2, **arguments):
    """A sweep of two programs that measures what a table (configs, draws, updates) says.

    Each seed draws one of the curves of its configuration; every third trains half as long.
    """
    with lanes(width, blocks=blocks):
        return jf.sweep(
            jf.Trial(init, step, evaluate, data=jnp.asarray(table, jnp.float32)),
            space=SPACE,
            eval_every=1,
            seeds=SEEDS,
            metric="score",
            keep=None,
            progress=False,
            **{"mode": "min", **arguments},
        )


def random_table(rng):
    """Falling curves with noise, sometimes ties, sometimes trials that diverge."""
    shape = CONFIGS, DRAWS, UPDATES
    fall = rng.exponential(size=(CONFIGS, 1, 1)) * np.exp(-0.5 * np.arange(UPDATES))
    table = rng.normal(size=(CONFIGS, 1, 1)) + fall + 0.3 * rng.normal(size=shape)
    if rng.random() < 0.4:
        table = np.round(table, 1)
    if rng.random() < 0.5:
        is_lost = rng.integers(0, 4 * UPDATES, size=(CONFIGS, DRAWS, 1)) <= np.arange(UPDATES)
        table = np.where(is_lost, np.nan, table)
    return table


def check_like_engine(rule, whole, stopped):
    """Assert that the simulation on the whole sweep is what the engine did in the stopped one."""
    found = jf.simulate(rule, whole)
    taken = stopped.dataset["steps_taken"].values
    np.testing.assert_array_equal(found.status, stopped.dataset["status"].values)
    np.testing.assert_array_equal(found.steps_taken, taken)
    assert found.utilization == stopped.dataset.attrs["utilization"]
    begun = whole.dataset["started_at"].values.sum()
    every = whole.dataset["steps_taken"].values.sum()
    assert found.cost == (taken.sum() - begun) / (every - begun)
    is_stopped = (stopped.dataset["status"] == "stopped").any(["seed", "fold"]).values
    assert found.stopped == tuple(np.flatnonzero(is_stopped))
    try:
        best = stopped.best()
    except jf.JefficientError:
        assert (found.best, np.isnan(found.regret)) == (None, True)
        return found
    lost = abs(best.score - whole.best().score)
    assert found.best == best.config
    np.testing.assert_allclose(found.regret, lost, rtol=1e-6, atol=1e-7)
    return found


def compare(number):
    """Compare on one random sweep; return the simulation."""
    table = random_table(np.random.default_rng(number))
    rule = RULES[number % len(RULES)]
    arguments = {
        "select": ["last", "best"][number // 4 % 2],
        "mode": ["min", "max"][number // 2 % 2],
    }
    whole = planted(table, **arguments)
    return check_like_engine(rule, whole, planted(table, stop=rule, **arguments))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    found = [compare(number) for number in range(count)]
    stopped = sum((x.status == "stopped").sum() for x in found)
    print(f"{count} sweeps: every trial is as in the engine; {stopped} of them were stopped.")
