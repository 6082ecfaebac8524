"""What does an update cost, compiled and run, against optax? Seconds, microseconds and ratios.

    python tests/benchmarks/step.py [--optimizers adam,sgd] [--trees many] [--repeats 5]

Two trees: many small (500 leaves of 64 numbers) and few large (6 leaves of 500 000), float32. Two
ways: step by step (a Python loop over a jitted function with donated parameters and state) and scan
(one program). The gradients are arguments, held fixed; the parameters are updated too. Compiling is
tracing, lowering and compiling of new functions. The two libraries take turns, sample by sample,
and a ratio is the median over pairs, so that a busy machine slows both; still read nothing into a
few per cent.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jefficient as jf

RATE, MOMENTUM, MAX_NORM = 1e-3, 0.9, 1.0

OPTIMIZERS = {
    "sgd": lambda lib: lib.sgd(RATE),
    "momentum": lambda lib: lib.sgd(RATE, momentum=MOMENTUM),
    "nesterov": lambda lib: lib.sgd(RATE, momentum=MOMENTUM, nesterov=True),
    "adam": lambda lib: lib.adam(RATE),
    "nadam": lambda lib: lib.adam(RATE, nesterov=True),
    "adamw": lambda lib: lib.adamw(RATE),
    "clip+adam": lambda lib: lib.chain(lib.clip_by_global_norm(MAX_NORM), lib.adam(RATE)),
    "flat adam": lambda lib: optax.flatten(lib.adam(RATE)),
}


class Shape(NamedTuple):
    """A tree of `leaves` leaves of `size` numbers, and the number of updates in a sample."""

    leaves: int
    size: int
    updates: int

    def params(self):
        return {f"layer{i}": jnp.full(self.size, 1.0 + i) for i in range(self.leaves)}

    def gradients(self):
        return {f"layer{i}": jnp.linspace(-1.0, 1.0 + i, self.size) for i in range(self.leaves)}


TREES = {"many": Shape(500, 64, 60), "few": Shape(6, 500_000, 10)}


def step_by_step(lib: Any, optimizer: Callable, updates: int) -> Callable:
    del updates
    tx = optimizer(lib)

    def step(params, state, gradients):
        steps, state = tx.update(gradients, state, params)
        return lib.apply_updates(params, steps), state

    return step


def scan(lib: Any, optimizer: Callable, updates: int) -> Callable:
    step = step_by_step(lib, optimizer, updates)

    def steps(params, state, gradients):
        return jax.lax.scan(
            lambda carry, _: (step(*carry, gradients), None), (params, state), length=updates
        )[0]

    return steps


WAYS = {"steps": step_by_step, "scan": scan}


class Contestant:
    """One library's optimizer on one tree in one way."""

    def __init__(self, lib: Any, optimizer: Callable, shape: Shape, way: str):
        self.lib, self.optimizer, self.shape, self.way = lib, optimizer, shape, way
        self.gradients, params = shape.gradients(), shape.params()
        self.carry = params, optimizer(lib).init(params)
        self.run = self.program()
        self.calls = shape.updates if way == "steps" else 1

    def program(self) -> Callable:
        return jax.jit(
            WAYS[self.way](self.lib, self.optimizer, self.shape.updates), donate_argnums=(0, 1)
        )

    def compile(self) -> float:
        """Return the seconds to trace, lower and compile a new function."""
        program, begun = self.program(), time.perf_counter()
        program.lower(*self.carry, self.gradients).compile()
        return time.perf_counter() - begun

    def sample(self) -> float:
        """Return the microseconds for an update."""
        begun = time.perf_counter()
        for _ in range(self.calls):
            self.carry = self.run(*self.carry, self.gradients)
        jax.block_until_ready(self.carry)
        return 1e6 * (time.perf_counter() - begun) / self.shape.updates


def by_turns(
    measures: list[Callable[[], float]], repeats: int
) -> tuple[float, float, float, float]:
    """Take two measures in turns: return their medians, and median and spread of the ratios."""
    for measure in measures:
        measure()
    samples = [[measure() for measure in measures] for _ in range(repeats)]
    ratios = [ours / theirs for theirs, ours in samples]
    low, _, high = statistics.quantiles(ratios, method="inclusive")
    return (
        *(statistics.median(s) for s in zip(*samples, strict=True)),
        statistics.median(ratios),
        (high - low) / 2,
    )


def row(optimizer: str, tree: str, way: str, repeats: int) -> str:
    pair = [Contestant(lib, OPTIMIZERS[optimizer], TREES[tree], way) for lib in (optax, jf)]
    theirs, ours, ratio, noise = by_turns([c.compile for c in pair], repeats)
    compiling = f"{theirs:7.3f} {ours:7.3f} {ratio:6.2f} ±{noise:4.2f}"
    theirs, ours, ratio, noise = by_turns([c.sample for c in pair], 4 * repeats)
    running = f"{theirs:9.1f} {ours:9.1f} {ratio:6.2f} ±{noise:4.2f}"
    return f"{optimizer:<10} {tree:<5} {way:<6} {compiling} {running}"


def names(choices: dict, text: str) -> list[str]:
    chosen = text.split(",") if text else list(choices)
    unknown = set(chosen) - set(choices)
    if unknown:
        raise SystemExit(
            f"step.py: choose from {', '.join(choices)}, got {', '.join(sorted(unknown))}."
        )
    return chosen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizers", default="", help=", ".join(OPTIMIZERS))
    parser.add_argument("--trees", default="", help=", ".join(TREES))
    parser.add_argument("--ways", default="", help=", ".join(WAYS))
    parser.add_argument(
        "--repeats", type=int, default=5, help="pairs compiled; four times as many are run"
    )
    arguments = parser.parse_args()
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, optax {optax.__version__}, "
        f"jefficient/optax"
    )
    print(
        f"{'':<23} {'compile s':>15} {'ratio':>6} {'noise':>5} "
        f"{'µs an update':>19} {'ratio':>6} {'noise':>5}"
    )
    print(
        f"{'optimizer':<10} {'tree':<5} {'way':<6} {'optax':>7} {'jf':>7} "
        f"{'':>12} {'optax':>9} {'jf':>9}"
    )
    for optimizer in names(OPTIMIZERS, arguments.optimizers):
        for tree in names(TREES, arguments.trees):
            if (optimizer, tree) == ("flat adam", "few"):  # flattening is for many small leaves
                continue
            for way in names(WAYS, arguments.ways):
                print(row(optimizer, tree, way, arguments.repeats), flush=True)
