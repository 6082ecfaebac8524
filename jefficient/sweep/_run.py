"""The host's side of a sweep: cut it into blocks, run them, put the numbers where they belong."""

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core import checks
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from ..results import Curves, Result, Score, Status, to_dataset
from ..results._score import at_looks, nan_mean
from ..spaces import Space
from ._lanes import LaneProgram, Look
from ._programs import Block, Program, blocks, programs, width_for, workers
from ._progress import Progress, reporter
from ._routes import WHERE, Routes
from ._task import Task
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
                f"{WHERE}: one of steps and epochs must be given, got steps={self.steps}, epochs={self.epochs}."
            )
        counts = {"steps": self.steps, "batch_size": self.batch_size, "eval_every": self.eval_every}
        checks.check_count(WHERE, **{name: x for name, x in counts.items() if x is not None})
        checks.check_count(WHERE, seeds=self.seeds, keep_configs=self.keep_configs)
        if self.epochs is not None:
            checks.check_duration(WHERE, epochs=self.epochs)
        checks.check_positive(WHERE, diverged_above=self.diverged_above)
        if self.keep not in ("last", "best", None):
            raise ArgumentError(f"{WHERE}: keep must be 'last', 'best' or None, got keep={self.keep!r}.")


def run(task: Task, optimizer: Any, space: Space, settings: Settings, key: jax.Array) -> Result:
    """Run a sweep; see `jf.sweep`."""
    if not isinstance(task, Task):
        raise ArgumentTypeError(f"{WHERE}: task must be a jf.Task, got {task!r}.")
    if not isinstance(space, Space):
        raise ArgumentTypeError(f"{WHERE}: space must come from jf.grid, got {space!r}.")
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
    record = _Record(space, parts, settings, score, _measured(task))
    report, close = reporter(WHERE, settings.progress)
    try:
        for part in parts:
            _run_program(part, routes, data, key, settings, record, report)
    finally:
        close()
    dataset = to_dataset(space.columns, record.curves(), _attributes(record, settings, score, size))
    return Result(dataset, score, record.weights, dict(space.columns))


_SPLIT = 2**32 - 1  # what fold_in draws a validation fraction with: no seed is that large


def _run_program(
    part: Program,
    routes: Routes,
    data: Tree,
    key: jax.Array,
    settings: Settings,
    record: "_Record",
    report: Callable[[Progress], None],
) -> None:
    trial = trial_of(routes, part.static, part.length.batch_size, part.length.size)
    check_trial(trial, routes, part.static, data, part.rows())
    program = LaneProgram(trial, record.score, settings.diverged_above, settings.keep)
    side_by_side = workers()
    width = width_for(len(part.configs) * settings.seeds, side_by_side)
    queue = list(blocks(len(part.configs), settings.seeds, width))
    report(record.progress())
    compiled = program.compile(_arguments(part, queue[0], key), data)

    def train(block: Block) -> Iterator[_Arrival]:
        lanes = compiled.start(*_arguments(part, block, key))
        for index, count in enumerate(part.length.segments):
            lanes, look = compiled.segment(lanes, data, count)
            yield _Arrival(block, index, jax.device_get(look))
        if settings.keep is not None:
            yield _Arrival(block, None, program.weights(lanes))

    for block, index, value in _side_by_side(train, queue, side_by_side):
        if index is None:
            record.keep(part, block, value)
        else:
            record.add(part, block, index, value)
            report(record.progress())


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


def _side_by_side(train: Callable[[Block], Iterator[_Arrival]], queue: list[Block], workers: int) -> Iterator[_Arrival]:
    """Everything that blocks hand over, as it comes, some of them in threads at the same time.

    XLA runs the programs of several threads at once, on one CPU device too (measured: tests/benchmarks/width.py).
    """
    arrivals: SimpleQueue[_Arrival | Exception | None] = SimpleQueue()
    is_over = threading.Event()

    def run(block: Block) -> None:
        try:
            for arrival in train(block):
                arrivals.put(arrival)
                if is_over.is_set():
                    return
            arrivals.put(None)
        except Exception as error:
            arrivals.put(error)

    pool = ThreadPoolExecutor(workers)
    try:
        for block in queue:
            pool.submit(run, block)
        running = len(queue)
        while running:
            arrival = arrivals.get()
            if isinstance(arrival, Exception):
                raise arrival
            if arrival is None:
                running -= 1
            else:
                yield arrival
    finally:
        is_over.set()
        pool.shutdown(cancel_futures=True)


class _Record:
    """The arrays of a sweep as they fill up, and the weights that are worth keeping so far."""

    def __init__(self, space: Space, parts: list[Program], settings: Settings, score: Score, measured: tuple[str, ...]):
        shape = (len(space), settings.seeds, FOLDS)
        looks = max(len(part.length.looks) for part in parts)
        self.score, self.settings, self.width = score, settings, 0
        self.looks = {name: np.full((*shape, looks), np.nan, np.float32) for name in measured}
        self.status = np.full(shape, Status.RUNNING, int)
        self.steps_taken = np.zeros(shape, int)
        self.diverged_at = np.full(shape, -1)
        self.step = np.full((len(space), looks), -1)
        self.steps_per_epoch = np.ones(len(space))
        self.weights: dict[tuple[int, int, int], Tree] = {}
        self.lane_steps = sum(len(part.configs) * settings.seeds * part.length.steps for part in parts)
        self.lane_steps_done = 0
        self.begun = time.monotonic()
        for part in parts:
            self.step[part.configs, : len(part.length.looks)] = part.length.looks
            self.steps_per_epoch[part.configs] = part.length.size / part.length.batch_size

    def add(self, part: Program, block: Block, index: int, look: Look) -> None:
        """One look at a block."""
        n = block.trials
        place = (part.configs[block.row[:n]], block.seed[:n], 0)
        for name, values in look.values.items():
            self.looks[name][*place, index] = values[:n]
        self.status[place] = look.status[:n]
        self.steps_taken[place] = look.step[:n]
        self.diverged_at[place] = look.diverged_at[:n]
        self.width = max(self.width, len(block.row))
        self.lane_steps_done += n * int(part.length.segments[index])

    def keep(self, part: Program, block: Block, weights: Tree) -> None:
        """Take the weights of a block's trials, and let go of those that fell out of the best configurations."""
        scores, status = self._trials()
        order = self.score.order(scores, status)
        is_done = (status != Status.RUNNING).all(axis=1)  # only then is its score final
        best = {*order[is_done[order]][: self.settings.keep_configs].tolist(), *np.flatnonzero(~is_done).tolist()}
        configs = part.configs[block.row[: block.trials]]
        lanes = [lane for lane, config in enumerate(configs) if config in best]
        host = jax.device_get(jax.tree.map(lambda x: x[np.array(lanes, int)], weights)) if lanes else None
        for i, lane in enumerate(lanes):
            place = (int(configs[lane]), int(block.seed[lane]), 0)
            self.weights[place] = jax.tree.map(lambda x, i=i: x[i], host)
        self.weights = {place: w for place, w in self.weights.items() if place[0] in best}

    def progress(self) -> Progress:
        """Where the sweep stands."""
        scores, status = self._trials()
        means = nan_mean(scores)[(status == Status.FINISHED).all(axis=1)]
        return Progress(
            trials_done=int((status != Status.RUNNING).sum()),
            trials=status.size,
            steps_done=self.lane_steps_done,
            steps=self.lane_steps,
            seconds=time.monotonic() - self.begun,
            diverged=int((status == Status.DIVERGED).sum()),
            metric=self.score.metric,
            best=self.score.sign * float(np.min(self.score.sign * means)) if len(means) else None,
        )

    def curves(self) -> Curves:
        """All arrays, for the dataset."""
        return Curves(self.looks, self.status, self.steps_taken, self.diverged_at, self.step, self.steps_per_epoch)

    def _trials(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores and status, (configs, trials)."""
        values = self.looks[self.score.metric]
        scores = at_looks(values, self.score.looks(values, self.status))
        return scores.reshape(len(scores), -1), self.status.reshape(len(scores), -1)


def _measured(task: Task) -> tuple[str, ...]:
    held_out = () if task.validation is None else ("valid_loss", *(f"valid_{name}" for name in task.metrics))
    return ("train_loss", *held_out)


def _score(task: Task, settings: Settings) -> Score:
    return Score.checked(WHERE, settings.metric, settings.mode, settings.select, _measured(task))


def _attributes(record: _Record, settings: Settings, score: Score, size: int) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "mode": score.mode,
        "select": score.select,
        "diverged_above": settings.diverged_above,
        "width": record.width,
        "training_rows": size,
        "seconds": time.monotonic() - record.begun,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
