"""A sweep cut into programs (one for each static combination) and blocks of lanes of one width."""

import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from .._core.errors import ArgumentError, ArgumentTypeError
from ..spaces import Space

WHERE = "jf.sweep"

WIDEST = {"cpu": 16, "gpu": 1024, "tpu": 1024}
"""Lanes in a block at most, by kind of device. On a CPU wider blocks are slower (tests/benchmarks/width.py)."""

MOST_LOOKS = 50
"""Looks that `eval_every=None` makes at most."""


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a trial trains, and when it is looked at.

    Attributes:
        batch_size: rows in a batch.
        size: training rows.
        looks: updates made at each look, rising; the last one ends the trial.
    """

    batch_size: int
    size: int
    looks: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self.looks[-1]

    @property
    def segments(self) -> np.ndarray:
        """Updates between looks, int32 (looks,)."""
        return np.diff(self.looks, prepend=0).astype(np.int32)

    @property
    def steps_per_epoch(self) -> int:
        """Updates in which every row has come at least once."""
        return math.ceil(self.size / self.batch_size)


def length(batch_size: int, size: int, steps: int | None, epochs: float | None, eval_every: int | None) -> Length:
    """The length of a trial; one of `steps` and `epochs` is given."""
    if not 1 <= batch_size <= size:
        raise ArgumentError(f"{WHERE}: 1 <= batch_size <= {size} (the training rows) must hold, got {batch_size=}.")
    total = math.ceil(epochs * size / batch_size) if steps is None and epochs is not None else int(steps or 0)
    if total > np.iinfo(np.int32).max:
        raise ArgumentError(f"{WHERE}: a trial must have fewer than 2**31 updates, got {total}.")
    if eval_every is None:
        between = math.ceil(total * batch_size / size / MOST_LOOKS)  # whole epochs from look to look
        looks = [math.ceil(k * between * size / batch_size) for k in range(1, MOST_LOOKS + 1)]
    else:
        looks = list(range(eval_every, total, eval_every))
    return Length(batch_size, size, (*(look for look in looks if look < total), total))


@dataclasses.dataclass(frozen=True)
class Program:
    """The configurations that share one compiled program.

    Attributes:
        configs: their numbers in the space.
        static: hyperparameters that the program is compiled for.
        numbers: traced hyperparameters, name to array (configs,).
        length: how long each trial trains.
    """

    configs: np.ndarray
    static: dict[str, Any]
    numbers: dict[str, np.ndarray]
    length: Length

    def rows(self) -> list[dict[str, Any]]:
        """The traced hyperparameters of each configuration as NumPy scalars, with what the engine injects."""
        injected = {"steps": np.int32(self.length.steps)}
        return [{**{name: x[i] for name, x in self.numbers.items()}, **injected} for i in range(len(self.configs))]


@dataclasses.dataclass(frozen=True)
class Block:
    """The trials of one run of a program; those past `trials` repeat the last one and only fill the width.

    Attributes:
        trials: how many there are.
        row: which configuration of the program each lane trains, int array (width,).
        seed: which seed, int array (width,).
    """

    trials: int
    row: np.ndarray
    seed: np.ndarray


def programs(space: Space, size: int, batch_size: int | None, **lengths: Any) -> list[Program]:
    """The static combinations of a space, in the order in which they come."""
    names = [name for name in space.names if name != "batch_size" and space.is_number(name)]
    numbers = {name: space.numbers(name) for name in names}
    statics = [name for name in space.names if name not in names]
    groups: dict[tuple, list[int]] = {}
    for i in range(len(space)):
        groups.setdefault(tuple(_key(space.columns[name][i]) for name in statics), []).append(i)
    result = []
    for members in groups.values():
        static = {name: space.columns[name][members[0]] for name in statics}
        static.setdefault("batch_size", batch_size if batch_size is not None else min(64, size))
        if isinstance(static["batch_size"], bool) or not isinstance(static["batch_size"], int):
            raise ArgumentTypeError(f"{WHERE}: batch_size must be a whole number, got {static['batch_size']!r}.")
        duration = length(static["batch_size"], size, **lengths)
        static["steps_per_epoch"] = duration.steps_per_epoch
        configs = np.array(members)
        result.append(Program(configs, static, {n: x[configs] for n, x in numbers.items()}, duration))
    return result


def blocks(configs: int, seeds: int, width: int) -> Iterator[Block]:
    """All (configuration, seed) pairs, a configuration's seeds together, in blocks of one width."""
    row, seed = (x.ravel() for x in np.divmod(np.arange(configs * seeds), seeds))
    for begin in range(0, len(row), width):
        lanes = np.minimum(np.arange(begin, begin + width), len(row) - 1)
        yield Block(min(width, len(row) - begin), row[lanes], seed[lanes])


def workers() -> int:
    """Blocks that run side by side: one a core on a CPU, whose programs for small models keep one core busy each."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def width_for(trials: int, side_by_side: int) -> int:
    """Lanes in a block: up to what the kind of device does well, the blocks spread evenly over those side by side."""
    widest = WIDEST.get(jax.default_backend(), WIDEST["gpu"])
    rounds = math.ceil(trials / (side_by_side * widest))
    return math.ceil(trials / (side_by_side * rounds))


def _key(value: Any) -> Any:
    return (type(value), value) if isinstance(value, bool | int | float | str | type(None)) else id(value)
