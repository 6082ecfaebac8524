"""How a sweep is made: what `jf.sweep` takes beside the task, the optimizer and the space."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import checks
from ..._core.debugging import tools_off
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.logger import Logger
from ...results import checked_loggers
from ...spaces import Space
from ..scheduler import Progress
from ..stopping import StopRule
from ..tasks import WHERE, CrossValidation, checked_probes


@dataclasses.dataclass(frozen=True)
class Settings:
    """Arguments of `jf.sweep` that decide what its numbers are, checked."""

    steps: int | None = None
    epochs: float | None = None
    batch_size: int | None = None
    seeds: int = 1
    folds: CrossValidation | None = None
    metric: str = "valid_loss"
    mode: str | None = None
    select: str = "last"
    eval_every: int | None = None
    eval_batch_size: int | None = None
    stop: StopRule | None = None
    diverged_above: float | None = None
    keep: str | None = "last"
    keep_configs: int = 10
    keep_states: str | tuple[int, ...] | None = None
    start: object = None
    layers: bool | tuple[str, ...] = False  # their names, where another process has found them
    diagnostics: tuple[str, ...] = ()
    key: jax.Array = None  # pyright: ignore[reportAssignmentType]

    @tools_off()
    def __post_init__(self):
        if self.key is None:
            object.__setattr__(self, "key", _default_key())
        for name, x in vars(self).items():
            if isinstance(x, np.generic):  # in a file it would become a text
                object.__setattr__(self, name, x.item())
        self._check_numbers()
        self._check_key()
        if not isinstance(self.stop, StopRule | None):
            raise ArgumentTypeError(
                f"{WHERE}: stop must be a jf.StopRule, got stop={self.stop!r}. Take "
                f"jf.median_stop() or jf.successive_halving(min_steps=…), or derive from "
                f"jf.StopRule."
            )
        if self.keep not in ("last", "best", None):
            raise ArgumentError(
                f"{WHERE}: keep must be 'last', 'best' or None, got keep={self.keep!r}."
            )
        self._check_keep_states()

    def _check_numbers(self) -> None:
        checks.check_count(WHERE, seeds=self.seeds, keep_configs=self.keep_configs)
        for name in ("steps", "batch_size", "eval_every", "eval_batch_size"):
            x = getattr(self, name)
            if x is not None:
                checks.check_count(WHERE, **{name: x})
        if not isinstance(self.layers, tuple):
            checks.check_flag(WHERE, layers=self.layers)
        checked_probes(self.diagnostics)
        if self.epochs is not None:
            checks.check_positive_finite(WHERE, epochs=self.epochs)
        if self.diverged_above is not None:
            checks.check_positive(WHERE, diverged_above=self.diverged_above)

    def _check_keep_states(self) -> None:
        """Check which states are kept; evaluations become a tuple in rising order."""
        asked = self.keep_states
        if asked is None or (isinstance(asked, str) and asked in ("last", "best")):
            return
        evaluations = [] if isinstance(asked, str) or not isinstance(asked, Iterable) else [*asked]
        if not evaluations:
            raise ArgumentError(
                f"{WHERE}: keep_states must be 'last', 'best', None or numbers of evaluations, got "
                f"keep_states={asked!r}."
            )
        for evaluation in evaluations:
            checks.check_whole(WHERE, 0, keep_states=evaluation)
        object.__setattr__(self, "keep_states", tuple(sorted(map(int, set(evaluations)))))

    def _check_key(self) -> None:
        key = self.key
        is_typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        if not is_typed or key.shape != ():
            raise ArgumentTypeError(
                f"{WHERE}: key must be a typed key such as jax.random.key(0), got key={key!r}."
            )
        impl = str(jax.random.key_impl(key))
        if impl in ("rbg", "unsafe_rbg"):
            raise ArgumentError(
                f"{WHERE}: key must draw the same numbers under vmap as alone, got one of {impl}, "
                f"whose numbers depend on other lanes. Take "
                f"jax.random.key(0, impl='threefry2x32')."
            )

    @property
    def divergence_threshold(self) -> float:
        """The training loss above which a trial has diverged."""
        return float("inf") if self.diverged_above is None else float(self.diverged_above)

    def check_with(self, space: Space) -> None:
        """Check that the number of steps and the batch size are each given once."""
        if not isinstance(space, Space):
            raise ArgumentTypeError(
                f"{WHERE}: space must come from jf.grid, jf.sobol or jf.random, got {space!r}."
            )
        has_axis = "steps" in space.names
        if sum((self.steps is not None, self.epochs is not None, has_axis)) != 1:
            raise ArgumentError(
                f"{WHERE}: exactly one of steps and epochs must be given, got steps={self.steps}, "
                f"epochs={self.epochs}{' and an axis' if has_axis else ''}."
            )
        for x in space.columns.get("steps", ()):
            checks.check_count(WHERE, steps=x)
        if "batch_size" in space.names and self.batch_size is not None:
            raise ArgumentError(
                f"{WHERE}: batch_size must come once, got an axis and batch_size={self.batch_size}."
            )
        taken = [name for name in self.diagnostics if name in space.names]
        if taken:
            raise ArgumentError(
                f"{WHERE}: the space must not name a diagnostic that is asked for, got {taken}."
            )


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Arguments of `jf.sweep` that decide how it runs.

    At equal width they leave its numbers as they are.
    """

    plan: Any = None
    directory: str | os.PathLike | None = None
    snapshot_every: float = 30.0
    progress: bool | Callable[[Progress], bool | None] = True
    executor: Executor | None = None
    parts: int | None = None
    time_limit: float | None = None
    log: Logger | Iterable[Logger] | None = None

    def __post_init__(self):
        object.__setattr__(self, "log", checked_loggers(WHERE, self.log))
        if self.parts is not None:
            checks.check_count(WHERE, parts=self.parts)
            if self.executor is None:
                raise ArgumentError(
                    f"{WHERE}: parts go with an executor, got parts={self.parts} without one."
                )
        checks.check_not_negative(WHERE, snapshot_every=self.snapshot_every)
        if self.time_limit is not None:
            checks.check_positive(WHERE, time_limit=self.time_limit)


def _default_key() -> jax.Array:
    """Return ``jax.random.key(0, impl="threefry2x32")``, from its data, which compiles nothing."""
    return jax.random.wrap_key_data(jax.device_put(np.zeros(2, np.uint32)), impl="threefry2x32")
