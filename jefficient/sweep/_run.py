"""The host's side of a sweep: check, cut into programs, run them, label the numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.errors import ArgumentError, ArgumentTypeError
from ..results import Result, Score, to_dataset
from ..spaces import Space
from ._compiler import Compiler
from ._custom import Custom
from ._engine import Engine, Queue
from ._lanes import LaneProgram, Shared
from ._programs import WHERE, Lengths, programs, width_for, workers
from ._progress import Progress, reporter
from ._record import Record
from ._stop import StopRule
from ._supervised import Supervised
from ._task import Task
from ._trial import Trial


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
    folds: Any
    eval_batch_size: int | None
    stop: StopRule | None
    progress: bool | Callable[[Progress], None]

    def __post_init__(self):
        counts = {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "eval_every": self.eval_every,
            "eval_batch_size": self.eval_batch_size,
        }
        checks.check_count(WHERE, **{name: x for name, x in counts.items() if x is not None})
        checks.check_count(WHERE, seeds=self.seeds, keep_configs=self.keep_configs)
        if self.epochs is not None:
            checks.check_positive_finite(WHERE, epochs=self.epochs)
        checks.check_positive(WHERE, diverged_above=self.diverged_above)
        if not isinstance(self.stop, StopRule | None):
            raise ArgumentTypeError(
                f"{WHERE}: stop must come from jf.successive_halving or jf.median_stop, got stop={self.stop!r}."
            )
        if self.keep not in ("last", "best", None):
            raise ArgumentError(f"{WHERE}: keep must be 'last', 'best' or None, got keep={self.keep!r}.")


def run(task: Task | Trial, optimizer: Any, space: Space, settings: Settings, key: jax.Array) -> Result:
    """Run a sweep; see `jf.sweep`."""
    if not isinstance(space, Space):
        raise ArgumentTypeError(f"{WHERE}: space must come from jf.grid, got {space!r}.")
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ArgumentTypeError(f"{WHERE}: key must be a typed key such as jax.random.key(0), got key={key!r}.")
    _check_lengths(space, settings)
    problem = _problem(task, optimizer, settings, key)
    problem.check_names(space)
    score = None if isinstance(problem, Custom) else _score(settings, problem.measured)
    lengths = Lengths(settings.steps, settings.epochs, settings.eval_every)
    parts = programs(space, problem, lengths, settings.batch_size, settings.seeds)
    trials = [problem.trial(part.static) for part in parts]
    for part, trial in zip(parts, trials, strict=True):
        problem.check(trial, part.static, part.rows())
    measured = problem.measured(trials[0], parts[0].rows()[0]) if isinstance(problem, Custom) else problem.measured
    score = _score(settings, measured) if score is None else score

    record = Record(len(space), parts, score, measured, settings.keep_configs)
    devices = jax.local_devices()
    shared = {device: jax.device_put(Shared(problem.data, key), device) for device in devices}
    slots = [device for _ in range(workers()) for device in devices]
    metrics = tuple(name.removeprefix("train_") for name in measured if name.startswith("train_"))
    queues = []
    for part, trial in zip(parts, trials, strict=True):
        width = width_for(part.trials, len(slots))
        record.begin(part, width)
        program = LaneProgram(trial, score, settings.diverged_above, settings.keep, width, metrics)
        queues.append(Queue.of(part, program))
    compiler = Compiler(queues, shared, len(slots))
    report, close = reporter(WHERE, settings.progress)
    report(record.progress())
    judge = None if settings.stop is None else settings.stop.judge()
    engine = Engine(
        queues,
        compiler,
        slots,
        shared,
        record,
        judge,
        settings.keep is not None,
        lambda: report(record.progress()),
    )
    try:
        engine.run()
    finally:
        compiler.close()
        close()
    attributes = _attributes(record, settings, score, getattr(problem, "size", 0))
    dataset = to_dataset(space.columns, record.curves(), attributes)
    return Result(dataset, score, record.weights, dict(space.columns))


def _problem(task: Task | Trial, optimizer: Any, settings: Settings, key: jax.Array) -> Supervised | Custom:
    if isinstance(task, Trial):
        given = {"optimizer": optimizer, "folds": settings.folds, "epochs": settings.epochs}
        for name, x in given.items():
            if x is not None:
                raise ArgumentError(f"{WHERE}: a jf.Trial must come without {name}, got {name}={x!r}.")
        return Custom(task)
    if not isinstance(task, Task):
        raise ArgumentTypeError(f"{WHERE}: task must be a jf.Task or jf.Trial, got {task!r}.")
    if optimizer is None:
        raise ArgumentTypeError(f"{WHERE}: optimizer must be given with a jf.Task, got None.")
    return Supervised.of(task, optimizer, settings.folds, settings.eval_batch_size, key)


def _check_lengths(space: Space, settings: Settings) -> None:
    """Steps come from one place, and so does the batch size."""
    sources = {
        "an axis": True if "steps" in space.names else None,
        "steps": settings.steps,
        "epochs": settings.epochs,
    }
    given = [name for name, x in sources.items() if x is not None]
    if len(given) != 1:
        raise ArgumentError(
            f"{WHERE}: exactly one of steps and epochs must be given, got steps={settings.steps}, "
            f"epochs={settings.epochs}{' and an axis' if 'steps' in space.names else ''}."
        )
    if "batch_size" in space.names and settings.batch_size is not None:
        raise ArgumentError(f"{WHERE}: batch_size must come once, got an axis and batch_size={settings.batch_size}.")


def _score(settings: Settings, measured: tuple[str, ...]) -> Score:
    return Score.checked(WHERE, settings.metric, settings.mode, settings.select, measured)


def _attributes(record: Record, settings: Settings, score: Score, size: int) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "mode": score.mode,
        "select": score.select,
        "diverged_above": settings.diverged_above,
        "training_rows": size,
        "seconds": record.seconds,
        "busy": record.busy,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
