"""The host's side of a sweep: cut it into blocks, run them, put the numbers where they belong."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core import checks
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from ..results import Result, Score, to_dataset
from ..spaces import Space
from ._lanes import LaneProgram
from ._programs import Block, Program, blocks, programs, width_for, workers
from ._progress import Progress, reporter
from ._record import Record
from ._routes import WHERE, Routes
from ._task import Task
from ._threads import side_by_side
from ._trial import check_trial, trial_of

FOLDS = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """The keyword arguments of `jf.sweep`, checked."""

    steps: int | None
    epochs: float | None
    batch_size: int | None
    seeds: int
    metric: str
    mode: str | None
    select: str
    eval_every: int | None
    diverged_above: float
    keep: str | None
    keep_configs: int
    progress: bool | Callable[[Progress], None]

    def __post_init__(self):
        if (self.steps is None) == (self.epochs is None):
            raise ArgumentError(
                f"{WHERE}: exactly one of steps and epochs must be given, got steps={self.steps}, epochs={self.epochs}."
            )
        counts = {"steps": self.steps, "batch_size": self.batch_size, "eval_every": self.eval_every}
        checks.check_count(WHERE, **{name: x for name, x in counts.items() if x is not None})
        checks.check_count(WHERE, seeds=self.seeds, keep_configs=self.keep_configs)
        if self.epochs is not None:
            checks.check_positive_finite(WHERE, epochs=self.epochs)
        checks.check_positive(WHERE, diverged_above=self.diverged_above)
        if self.keep not in ("last", "best", None):
            raise ArgumentError(f"{WHERE}: keep must be 'last', 'best' or None, got keep={self.keep!r}.")


def run(task: Task, optimizer: Any, space: Space, settings: Settings, key: jax.Array) -> Result:
    """Run a sweep; see `jf.sweep`."""
    if not isinstance(task, Task):
        raise ArgumentTypeError(f"{WHERE}: task must be a jf.Task, got {task!r}.")
    if not isinstance(space, Space):
        raise ArgumentTypeError(f"{WHERE}: space must come from jf.grid, got {space!r}.")
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ArgumentTypeError(f"{WHERE}: key must be a typed key such as jax.random.key(0), got key={key!r}.")
    if "batch_size" in space.names and settings.batch_size is not None:
        raise ArgumentError(f"{WHERE}: batch_size must come once, got an axis and batch_size={settings.batch_size}.")
    routes = Routes.of(task, optimizer)
    routes.check(space)
    score = _score(task, settings)
    train, valid = task.split(jax.random.fold_in(key, _SPLIT))
    data = {"train": train, "valid": valid}
    size = jax.tree.leaves(train)[0].shape[0]
    cut = {"steps": settings.steps, "epochs": settings.epochs, "eval_every": settings.eval_every}
    parts = programs(space, size, settings.batch_size, **cut)
    record = Record(space, parts, settings.seeds, FOLDS, score, _measured(task), settings.keep_configs)
    report, close = reporter(WHERE, settings.progress)
    engine = _Engine(routes, data, key, settings, score, record, report)
    try:
        for part in parts:
            engine.run(part)
    finally:
        close()
    dataset = to_dataset(space.columns, record.curves(), _attributes(record, settings, score, size))
    return Result(dataset, score, record.weights, dict(space.columns))


_SPLIT = 2**32 - 1  # what fold_in draws a validation fraction with: no seed is that large


@dataclasses.dataclass(frozen=True)
class _Engine:
    """What all programs of a sweep share."""

    routes: Routes
    data: Tree
    key: jax.Array
    settings: Settings
    score: Score
    record: Record
    report: Callable[[Progress], None]

    def run(self, part: Program) -> None:
        """Compile one program and run all its trials."""
        trial = trial_of(self.routes, part.static, part.length.batch_size, part.length.size)
        check_trial(trial, self.routes, part.static, self.data, part.rows())
        cores = workers()
        width = width_for(len(part.configs) * self.settings.seeds, cores)
        queue = [
            _Work(block, _arguments(part, block, self.key))
            for block in blocks(len(part.configs), self.settings.seeds, width)
        ]
        self.record.begin(part, width)
        self.report(self.record.progress())
        program = LaneProgram(trial, self.score, self.settings.diverged_above, self.settings.keep)
        try:
            compiled = program.compile(queue[0].arguments, self.data)
        except TypeError as error:  # jax's errors about numbers that must be known while tracing are such
            error.add_note(
                f"{WHERE}: the numbers {[*part.numbers, 'steps']} are traced. Whoever decides on one in Python, or "
                f"makes a shape of one, cannot have it traced (jf's schedules and transforms can)."
            )
            raise

        def train(work: _Work) -> Iterator[_Arrival]:
            block, lanes = work.block, compiled.start(*work.arguments)
            for index, count in enumerate(part.length.segments):
                lanes, look = compiled.segment(lanes, self.data, count)
                yield _Arrival(block, index, jax.device_get(look))
            if self.settings.keep is not None:
                yield _Arrival(block, None, program.weights(lanes))

        for block, index, value in side_by_side(train, queue, cores):
            if index is None:
                self.record.keep(part, block, value)
            else:
                self.record.add(part, block, index, value)
                self.report(self.record.progress())


class _Work(NamedTuple):
    """A block and what its lanes start from, made by the main thread: jax's settings are a thread's own."""

    block: Block
    arguments: Any


class _Arrival(NamedTuple):
    """What a block hands over: a look and its index, or at the end (index None) its weights."""

    block: Block
    index: int | None
    value: Any


def _arguments(part: Program, block: Block, key: jax.Array) -> tuple[dict[str, np.ndarray], jax.Array, np.ndarray]:
    """Hyperparameters, keys and steps of a block's lanes; a lane that only fills the width has no steps."""
    numbers = {name: x[block.row] for name, x in part.numbers.items()}
    steps = np.where(np.arange(len(block.row)) < block.trials, part.length.steps, 0)
    return numbers, _trial_keys(key, block.seed.astype(np.uint32)), steps.astype(np.int32)


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0))
def _trial_keys(key: jax.Array, seed: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(key, seed), 0)  # fold 0


def _measured(task: Task) -> tuple[str, ...]:
    held_out = () if task.validation is None else ("valid_loss", *(f"valid_{name}" for name in task.metrics))
    return ("train_loss", *held_out)


def _score(task: Task, settings: Settings) -> Score:
    return Score.checked(WHERE, settings.metric, settings.mode, settings.select, _measured(task))


def _attributes(record: Record, settings: Settings, score: Score, size: int) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "mode": score.mode,
        "select": score.select,
        "diverged_above": settings.diverged_above,
        "training_rows": size,
        "seconds": record.seconds,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
