"""Derivatives of a configuration's trials in its hyperparameters: the host's side.

Trials are differentiated in blocks, which run side by side like those of a sweep. Which mode, and
how long the segments of reverse mode are, is decided by what an update's derivative keeps, which is
found by tracing.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from ..._core.devices import Machine
from ..._core.errors import ArgumentError
from ..._core.reuse import once
from ...results import Derivatives
from ...spaces import Space
from ..planning import SweepSpec, group_width
from ..programs import GradientProgram, Place, Shared
from ..scheduler import block_bytes
from ._calls import Calls, Found, Given, forward, reverse, side_by_side, timed

FORWARD = 1.2
"""Time of one direction of forward mode, in times of the trial (``benchmarks/gradients.py``)."""

REVERSE = 4.2
"""Time of reverse mode, in times of the trial."""

_MEMORY = 0.5
"""The share of the memory that derivatives may take."""

_WORKING = 3
"""Trees like the carry that a step in forward mode holds at a time."""


class Layout(NamedTuple):
    """How derivatives are computed.

    `mode`: "forward" or "reverse"; `width`: trials in a block; `length`: updates in a segment;
    `bytes`: predicted of a block, by tracing.
    """

    mode: str
    width: int
    length: int
    bytes: float


@dataclasses.dataclass(frozen=True, eq=False)
class Differentiator:
    """Differentiates the score of one configuration in some of its hyperparameters.

    Attributes:
        where: the public name that asks.
        spec: the sweep.
        config: the configuration.
        names: of the hyperparameters, all with floats.
        evaluations: which evaluation of each trial is its score, int array (seeds, folds).
    """

    where: str
    spec: SweepSpec
    config: int
    names: tuple[str, ...]
    evaluations: np.ndarray

    def __post_init__(self):
        metric, scorer = self.spec.score.metric, self.spec.problem.scorer
        if self.spec.stream is not None:
            raise ArgumentError(
                f"{self.where}: the examples must be in memory, got data in a source, which the "
                f"host reads while trials train. Give jf.Task arrays."
            )
        if self.spec.problem.is_prequential:
            raise ArgumentError(
                f"{self.where}: the score must be that of a validation set, got a task with "
                f"evaluate='prequential', whose score is a mean over the whole training."
            )
        if scorer is not None and metric in {f"valid_{name}" for name in scorer.metrics}:
            raise ArgumentError(
                f"{self.where}: metric must be computed in JAX, got metric={metric!r}, which is "
                f"scored on the host and has no derivative. Take metric='valid_loss'."
            )
        key = "flat", self._program(1).reuse_key, self.names
        if once(key, lambda: self._program(1).is_flat(self.numbers, self.places, self.shared)):
            raise ArgumentError(
                f"{self.where}: metric must have a derivative in the weights, got "
                f"metric={metric!r}, which is constant but for jumps (a count, an error rate): its "
                f"derivative is zero everywhere. Take a smooth one such as metric='valid_loss'."
            )

    @functools.cached_property
    def _place(self) -> tuple[int, int]:
        return self.spec.find(self.config)

    @functools.cached_property
    def _trials(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The row, the seed and the fold of each trial."""
        seeds, folds = np.indices(self.evaluations.shape).reshape(2, -1)
        return np.full_like(seeds, self._place[1]), seeds, folds

    @functools.cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """The hyperparameters that are differentiated, as programs get them."""
        index, row = self._place
        return {name: np.asarray(self.spec.groups[index].numbers[name][row]) for name in self.names}

    @functools.cached_property
    def places(self) -> Place:
        """The trials, with NumPy arrays."""
        group = self.spec.groups[self._place[0]]
        rows, seeds, folds = self._trials
        traced = group.traced(rows, seeds, folds)
        others = {name: x for name, x in traced.items() if name not in self.names}
        counted = self.evaluations.ravel()
        before = np.where(counted > 0, group.until(rows, folds, np.maximum(counted - 1, 0)), 0)
        return Place(
            hyperparameters={**others, "steps": group.steps[rows, folds]},
            seed=seeds.astype(np.uint32),
            fold=folds.astype(np.int32),
            until=group.until(rows, folds, counted).astype(np.int32),
            since=before.astype(np.int32),
        )

    @property
    def shared(self) -> Shared:
        """What all trials read."""
        return Shared(self.spec.data, self.spec.settings.key)

    @functools.cached_property
    def steps(self) -> int:
        """Updates of the longest trial."""
        return int(self.places.until.max())

    @functools.cached_property
    def directions(self) -> int:
        """How many numbers are differentiated, elements of arrays counted."""
        return sum(x.size for x in self.numbers.values())

    @functools.cached_property
    def bytes(self) -> tuple[int, int]:
        """Bytes of a trial's carry, and of what an update keeps for reverse mode."""
        program = self._program(1)
        return once(
            ("residuals", program.reuse_key, self.names),
            lambda: program.residual_bytes(self.numbers, self.places, self.shared),
        )

    def _program(self, width: int, length: int = 1) -> GradientProgram:
        spec, metric = self.spec, self.spec.score.metric
        index = self._place[0]
        until = self.places.until
        return GradientProgram(
            key=(spec.keys[index], spec.settings.divergence_threshold),
            trial=spec.trials[index],
            metric=metric.removeprefix("train_"),
            is_training_metric=metric.startswith("train_"),
            divergence_threshold=spec.settings.divergence_threshold,
            are_weights_finite=spec.problem.has_finite_weights,
            width=width,
            length=length,
            is_ragged=bool((until != self.steps).any()),
        )

    def layout(self, mode: str, machine: Machine) -> Layout:
        """Choose the mode, if it is "auto", and the layout in that mode."""
        layouts = [self._layout("forward", machine), self._layout("reverse", machine)]
        if mode != "auto":
            return next(x for x in layouts if x.mode == mode)
        fitting = [x for x in layouts if x.bytes <= _room(machine)]
        if not fitting:
            return min(layouts, key=lambda x: x.bytes)
        trials = {"forward": 1 + FORWARD * self.directions, "reverse": REVERSE}
        return min(fitting, key=lambda x: trials[x.mode])

    def _layout(self, mode: str, machine: Machine) -> Layout:
        carry, kept = self.bytes
        length = segment_length(self.steps, carry, kept)
        of_trial = _WORKING * carry * (1 + self.directions)
        if mode == "reverse":
            of_trial = math.ceil(self.steps / length) * carry + length * kept + _WORKING * carry
        slots = machine.devices * machine.blocks
        width = group_width(self.spec, self._place[0], machine, slots, self.evaluations.size)
        while width > 1 and width * of_trial > _room(machine):
            width = math.ceil(width / 2)
        return Layout(mode, width, length, width * of_trial)

    def run(self, layout: Layout, machine: Machine) -> Derivatives:
        """Differentiate all trials; see `Derivatives`."""
        count = self.evaluations.size
        blocks = [
            np.minimum(np.arange(first, first + layout.width), count - 1)  # the last one is padded
            for first in range(0, count, layout.width)
        ]
        differentiate = {"forward": forward, "reverse": reverse}[layout.mode]
        slots = self._slots(layout, machine)[: len(blocks)]

        def block(calls: Calls, which: np.ndarray) -> Found:
            return jax.device_get(differentiate(calls, self._inputs(which, calls), self.steps))

        found = side_by_side(block, slots, blocks)
        ending, gradients, first = jax.tree.map(lambda *x: np.concatenate(x)[:count], *found)
        self._check_finished(ending.diverged_at, ending.is_sound)
        shape = self.evaluations.shape
        by_trial = {name: x.reshape(*shape, *x.shape[1:]) for name, x in gradients.items()}
        by_trial = {name: by_trial[name] for name in self.names}
        self._check_finite(by_trial)
        numbers = {name: np.asarray(x) for name, x in self.numbers.items()}
        return Derivatives(numbers, ending.score.reshape(shape), first.reshape(shape), by_trial)

    def tried(
        self, layout: Layout, machine: Machine
    ) -> tuple[tuple[float, int], tuple[float, int]]:
        """Predict seconds and bytes of all trials, and of training alone, from short calls."""
        slots = self._slots(layout, machine)
        calls = slots[0]
        blocks = math.ceil(self.evaluations.size / layout.width)
        which = np.minimum(np.arange(layout.width), self.evaluations.size - 1)
        given = self._inputs(which, calls)
        trial, whole = timed(calls, given, layout.mode, self.steps)
        rounds = math.ceil(blocks / len(slots))
        at_a_time = min(blocks, len(slots))
        data_bytes = self.spec.data_bytes

        def scaled(seconds: float, functions: Sequence[str], checkpoints: int) -> tuple[float, int]:
            largest = max(block_bytes(calls.compiled[x], data_bytes) for x in functions)
            return seconds * rounds, at_a_time * (largest + checkpoints)

        carries = 0
        functions = ["first", "first_tangents", "advance_tangents", "finish_tangents"]
        if layout.mode == "reverse":
            functions = ["first", "advance", "adjoint", "back", "back_to_init"]
            segments = math.ceil(self.steps / layout.length)
            carries = (segments - 1) * layout.width * self.bytes[0]
        of_trial = [x for x in ("first", "advance") if x in calls.compiled]
        return scaled(whole, functions, carries), scaled(trial, of_trial, 0)

    def _slots(self, layout: Layout, machine: Machine) -> list[Calls]:
        program = self._program(layout.width, layout.length)
        rest = self.steps % layout.length
        shorter = self._program(layout.width, rest) if rest else None
        devices = [
            Calls(program, shorter, device, jax.device_put(self.shared, device))
            for device in jax.local_devices()[: machine.devices]
        ]
        return devices * machine.blocks

    def _inputs(self, which: np.ndarray, calls: Calls) -> Given:
        own = jax.tree.map(lambda x: x[which], self.places)
        numbers, places = jax.device_put((self.numbers, own), calls.device)
        return numbers, places, calls.shared

    def _check_finished(self, diverged_at: np.ndarray, is_sound: np.ndarray) -> None:
        failed = np.flatnonzero((diverged_at >= 0) | ~is_sound)
        if failed.size == 0:
            return
        first = failed[0]
        _, seeds, folds = self._trials
        step = diverged_at[first]
        when = f"at update {step}" if step >= 0 else "by its last evaluation"
        more = f" ({failed.size} of {diverged_at.size} trials)" if failed.size > 1 else ""
        raise ArgumentError(
            f"{self.where}: every trial must finish, got one that diverged {when}: seed "
            f"{seeds[first]}, fold {folds[first]} of {self.spec.space[self.config]}{more}. What "
            f"diverges has no score and no derivative."
        )

    def _check_finite(self, by_trial: dict[str, np.ndarray]) -> None:
        metric = self.spec.score.metric
        for name, x in by_trial.items():
            if np.isfinite(x).all():
                continue
            seed, fold, *element = np.argwhere(~np.isfinite(x))[0]
            at = f"{name}{list(map(int, element))}" if element else name
            raise ArgumentError(
                f"{self.where}: derivatives must be finite, got ∂{metric}/∂{at}="
                f"{x[(seed, fold, *element)]} for {name}={self.spec.space[self.config][name]} in "
                f"seed {seed}, fold {fold}, whose score is finite. Either training is chaotic and "
                f"the derivative overflows: take fewer steps; or a function in it has no finite "
                f"derivative where it was called, such as a root or a norm at zero: optax.adamw "
                f"has none at gradients of zero, jf.adamw has."
            )


def without_derivative(space: Space, name: str) -> str | None:
    """Return what a hyperparameter is that has no derivative, None for one that has."""
    if not space.is_number(name):
        return "static value"
    return None if np.issubdtype(space.numbers(name).dtype, np.floating) else "whole number"


def segment_length(steps: int, carry_bytes: int, kept_bytes: int) -> int:
    """Return the updates of a segment for which reverse mode holds least: √(steps·carry/kept).

    steps/length carries are held, and what length updates keep. Near that it is a divisor of
    `steps`, if there is one, so that no trial ends within a segment.
    """
    best = min(max(math.sqrt(steps * carry_bytes / kept_bytes), 1.0), float(steps))
    near = [x for x in range(math.ceil(best / 2), int(2 * best) + 1) if steps % x == 0]
    return min(near, key=lambda x: abs(math.log(x / best))) if near else round(best)


def _room(machine: Machine) -> float:
    """Return the bytes that a block may take."""
    memory = machine.device_memory
    if math.isinf(memory):
        memory = machine.host_memory / machine.devices
    return _MEMORY * memory / machine.blocks
