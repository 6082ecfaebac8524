"""A sweep that has been checked and cut into programs: all that is known before anything is compiled."""

import dataclasses
import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.serialization import digest, digest_of
from ..._core.typing import Tree
from ...results import Score
from ...spaces import Space
from ...training import TrainState
from ...transforms import clipped
from ..data import EvaluationBatch, PrefetchChunk, Stream
from ..programs import Group, LaneProgram, StreamedProgram, TrialLength, groups_of
from ..tasks import (
    COLUMNS,
    DIMENSIONS,
    VARIABLES,
    WHERE,
    Task,
    TaskProblem,
    Trial,
    TrialProblem,
    note_traced,
)
from ._settings import Settings

_ADDRESS = re.compile(r"0x[0-9a-f]+")
"""Of functions within a program's text: others in the next process."""


@dataclasses.dataclass(frozen=True)
class SweepSpec:
    """What is swept and how it is judged.

    Attributes:
        problem: the task with its optimizer, or the trial.
        space: the configurations.
        settings: how the sweep is made.
        score: what ranks.
        measured: the names of what every evaluation measures.
        parts: the space, cut into programs.
        trials: what a lane of each program does.
    """

    problem: TaskProblem | TrialProblem
    space: Space
    settings: Settings
    score: Score
    measured: tuple[str, ...]
    groups: list[Group]
    trials: list[Trial]

    @functools.cached_property
    def costs(self) -> list["LaneCosts"]:
        """Of a lane of each program; traced, not run."""
        return [
            self._lane_costs(trial, group)
            for trial, group in zip(self.trials, self.groups, strict=True)
        ]

    @functools.cached_property
    def lane_bytes(self) -> list[int]:
        """What a lane of each program works on: its state, the largest array of a step or an evaluation; traced, not run."""
        key = jax.random.key(0, impl=jax.random.key_impl(self.settings.key))

        def working(trial: Trial, group: Group) -> int:
            def step_and_evaluate(key: jax.Array, data: Tree, numbers: dict[str, Any]) -> Any:
                state = trial.init(key, **numbers, fold=0)
                state, _ = trial.step(state, data, jnp.int32(0), key, **numbers, fold=jnp.int32(0))
                return trial.evaluate(state, data, **numbers, fold=jnp.int32(0))

            with note_traced(group.static, group.numbers):
                return _largest_array(
                    jax.make_jaxpr(step_and_evaluate)(
                        key, self.problem.example(group.static), group.rows()[0]
                    )
                )

        each = zip(self.costs, self.trials, self.groups, strict=True)
        return [costs.state_bytes + working(trial, group) for costs, trial, group in each]

    @functools.cached_property
    def diagnostics(self) -> dict[str, tuple[int, ...]]:
        """What evaluations measure beside it, and the shape of each."""
        return self.problem.diagnostics(any(costs.has_clip for costs in self.costs))

    @functools.cached_property
    def data_digest(self) -> str:
        """Of all that lanes read, folds included."""
        return digest_of(
            self.data if self.stream is None else {**self.data, **self.stream.digest()}
        )

    @property
    def stream(self) -> Stream | None:
        """Where rows come from that are not in memory."""
        return self.problem.stream if isinstance(self.problem, TaskProblem) else None

    @property
    def data(self) -> Tree:
        """What all lanes read."""
        return self.problem.data

    @property
    def data_bytes(self) -> int:
        """Bytes of the data in memory."""
        return sum(x.nbytes for x in jax.tree.leaves(self.data) if hasattr(x, "nbytes"))

    def find(self, config: int) -> tuple[int, int]:
        """Return which group has a configuration, and its row in the group."""
        index = next(i for i, group in enumerate(self.groups) if config in group.configs)
        return index, int(np.flatnonzero(self.groups[index].configs == config)[0])

    def lane_program(self, index: int, width: int) -> LaneProgram:
        """Program `index` in blocks of `width` lanes."""
        settings, costs = self.settings, self.costs[index]
        step_metrics: dict[str, tuple[str, tuple[int, ...]]] = {
            name.removeprefix("train_"): (name, ())
            for name in self.measured
            if name.startswith("train_")
        }
        step_metrics |= {
            name: (name, self.diagnostics[name])
            for name in self.problem.step_diagnostics(costs.has_clip)
        }
        program = LaneProgram(
            trial=self.trials[index],
            score=self.score,
            divergence_threshold=settings.divergence_threshold,
            keep=settings.keep,
            width=width,
            step_metrics=step_metrics,
            are_weights_finite=isinstance(self.problem, TaskProblem),
            has_convolution=costs.has_convolution,
        )
        return (
            program
            if self.stream is None
            else self._streamed(program, self.groups[index], self.stream)
        )

    def _streamed(self, program: LaneProgram, group: Group, stream: Stream) -> StreamedProgram:
        """The same program, whose rows come while it runs."""
        problem, weights = self.problem, program.trial.weights
        assert isinstance(problem, TaskProblem)

        def accumulate(
            state: Any, piece: EvaluationBatch, data: Tree, fold: jax.Array, /, **given: Any
        ) -> dict[str, jax.Array]:
            piece = piece._replace(count=None) if stream.is_even else piece
            return problem.measured_sums(
                "valid", weights(state), piece, data, fold, {**group.static, **given}
            )

        batch_size, whole = group.static["batch_size"], jax.ShapeDtypeStruct((), jnp.int32)
        rows = stream.source.batch(self.batches(batch_size), batch_size)
        return StreamedProgram(
            **{field.name: getattr(program, field.name) for field in dataclasses.fields(program)},
            accumulate=accumulate,
            accumulated=tuple(name for name in self.measured if name.startswith("valid_")),
            chunk=PrefetchChunk(rows, whole, whole),
            evaluation_batch=EvaluationBatch(stream.valid[0].source.batch(stream.piece), whole)
            if stream.valid
            else None,
        )

    def batches(self, batch_size: int) -> int:
        """Batches of rows that are not in memory, read at a time."""
        assert self.stream is not None
        return self.stream.batches(batch_size, self._longest, self._cohorts(1))

    @functools.cached_property
    def _longest(self) -> int:
        """Updates from one evaluation to the next, at most."""
        evaluations = {evaluations for group in self.groups for evaluations in group.evaluations}
        return max(int(np.diff(x, prepend=0).max()) for x in evaluations)

    def bytes_ahead(self, slots: int) -> int:
        """Memory of the rows that are at hand while lanes train on so many slots: chunks in use, and those to come."""
        assert self.stream is not None
        sizes = {group.static["batch_size"] for group in self.groups}
        rows = max(self.batches(size) * size for size in sizes)
        return 2 * self._cohorts(slots) * rows * self.stream.source.row_bytes

    def _cohorts(self, slots: int) -> int:
        """Cohorts that train at the same time at most: of a judged configuration all, else what keeps slots busy."""
        every = (
            self.settings.seeds
            * self.problem.folds
            * len({group.static["batch_size"] for group in self.groups})
        )
        return every if self.settings.stop is not None else min(slots, every)

    def weights_like(self, config: int) -> Tree:
        """The weights of a configuration as shapes and dtypes."""
        index = next(i for i, group in enumerate(self.groups) if config in group.configs)
        trial, numbers = self.trials[index], self.groups[index].rows()[0]
        return jax.eval_shape(
            lambda key: trial.weights(trial.init(key, **numbers, fold=0)), jax.random.key(0)
        )

    def _lane_costs(self, trial: Trial, group: Group) -> "LaneCosts":
        def begin_and_step(key: jax.Array, data: Tree, numbers: dict[str, Any]) -> tuple[Any, Any]:
            state = trial.init(key, **numbers, fold=0)
            return state, trial.step(state, data, jnp.int32(0), key, **numbers, fold=jnp.int32(0))

        data = self.problem.example(group.static)
        with note_traced(group.static, group.numbers):
            jaxpr, (state, _) = jax.make_jaxpr(begin_and_step, return_shape=True)(
                jax.random.key(0, impl=jax.random.key_impl(self.settings.key)),
                data,
                group.rows()[0],
            )
        state_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
        text = str(jaxpr)
        has_clip = (
            isinstance(state, TrainState) and jax.eval_shape(clipped, state.opt_state) is not None
        )
        return LaneCosts(
            state_bytes,
            "conv_general_dilated" in text,
            has_clip,
            digest(_ADDRESS.sub("", text).encode()),
        )


class LaneCosts(NamedTuple):
    """What is known of a lane without compiling it.

    `state_bytes`: of its state; `has_convolution`, `has_clip`: what is in a step; `digest`: of how
        a trial begins and
    steps, on this version of jax, whatever its numbers are (their dtypes count, and so do shapes).
    """

    state_bytes: int
    has_convolution: bool
    has_clip: bool
    digest: str


def _largest_array(x: Any) -> int:
    """Bytes of the largest array that a program makes, or what it calls; of any other parameter of an equation 0."""
    if isinstance(x, core.ClosedJaxpr) and not isinstance(
        x, core.Jaxpr
    ):  # since jax 0.12 they are one
        x = x.jaxpr
    if isinstance(x, core.Jaxpr):
        made: list[Any] = [v.aval for e in x.eqns for v in e.outvars if hasattr(v.aval, "dtype")]
        inner = [_largest_array(list(e.params.values())) for e in x.eqns]
        return max([*(aval.size * aval.dtype.itemsize for aval in made), *inner], default=0)
    return max(map(_largest_array, x), default=0) if isinstance(x, tuple | list) else 0


def prepare(task: Any, optimizer: Any, space: Any, settings: Settings) -> SweepSpec:
    """Check everything that can be checked before anything is compiled, every configuration's numbers included."""
    settings.check_with(space)
    problem = _problem(task, optimizer, settings)
    problem.check_names(space)
    if isinstance(task, Task) and task.test is not None and settings.keep is None:
        raise ArgumentError(
            f"{WHERE}: a task with test rows needs the winner's weights, got keep=None."
        )
    if isinstance(
        problem, TaskProblem
    ):  # its names are known: a bad metric need not wait for anything
        _score(settings, problem.measured)
    length = TrialLength(settings.steps, settings.epochs, settings.eval_every)
    groups = groups_of(space, problem, length, settings.batch_size, settings.seeds)
    if isinstance(settings.layers, tuple) and isinstance(problem, TaskProblem):
        problem = dataclasses.replace(problem, layers=settings.layers)
    elif settings.layers and isinstance(problem, TaskProblem):
        problem = problem.with_layers((group.static, group.rows()[0]) for group in groups)
    trials = [problem.trial(group.static) for group in groups]
    for group, trial in zip(groups, trials, strict=True):
        problem.check(trial, group.static, group.rows())
    measured = _measured(problem, groups, trials)
    _check_measured(measured, space, settings)
    return SweepSpec(problem, space, settings, _score(settings, measured), measured, groups, trials)


def _problem(task: Any, optimizer: Any, settings: Settings) -> TaskProblem | TrialProblem:
    if isinstance(task, Trial):
        given = {
            "optimizer": optimizer,
            "folds": settings.folds,
            "epochs": settings.epochs,
            "eval_batch_size": settings.eval_batch_size,
            "layers": settings.layers or None,
        }
        for name, x in given.items():
            if x is not None:
                raise ArgumentError(
                    f"{WHERE}: a jf.Trial must come without {name}, got {name}={x!r}."
                )
        if settings.stop is not None and settings.stop.needs_epochs:
            raise ArgumentError(
                f"{WHERE}: a jf.Trial must come without a rule that counts in epochs, "
                f"got stop={settings.stop!r}. Take one that counts updates."
            )
        return TrialProblem(task)
    if not isinstance(task, Task):
        raise ArgumentTypeError(f"{WHERE}: task must be a jf.Task or jf.Trial, got {task!r}.")
    if optimizer is None:
        raise ArgumentTypeError(f"{WHERE}: optimizer must be given with a jf.Task, got None.")
    return TaskProblem.of(task, optimizer, settings.folds, settings.eval_batch_size, settings.key)


def _measured(
    problem: TaskProblem | TrialProblem, groups: list[Group], trials: list[Trial]
) -> tuple[str, ...]:
    if isinstance(problem, TaskProblem):
        return problem.measured
    found = [
        problem.measured(trial, group.rows()[0])
        for group, trial in zip(groups, trials, strict=True)
    ]
    for group, names in zip(groups, found, strict=True):
        if set(names) != set(found[0]):
            raise ArgumentError(
                f"{WHERE}: all configurations must measure the same, got {list(found[0])} for {groups[0].static} and "
                f"{list(names)} for {group.static}."
            )
    return found[0]


def _check_measured(measured: tuple[str, ...], space: Space, settings: Settings) -> None:
    """Names of what is measured are free in the result and its tables, and what bounds a loss finds one."""
    beside = [f"{settings.metric}_{what}" for what in ("std", "se")]
    for name in measured:
        if name in (*space.names, *DIMENSIONS, *VARIABLES, *COLUMNS, *beside):
            raise ArgumentError(
                f"{WHERE}: what is measured must not have a name of the space or of the result, got {name!r}."
            )
        if "/" in name:
            raise ArgumentError(
                f"{WHERE}: what is measured must have no '/' in its name (a file cannot), got {name!r}."
            )
    if settings.diverged_above is not None and "train_loss" not in measured:
        raise ArgumentError(
            f"{WHERE}: diverged_above bounds the metric 'loss' of the trial's step, got "
            f"diverged_above={settings.diverged_above} and {list(measured)}."
        )


def _score(settings: Settings, measured: tuple[str, ...]) -> Score:
    return Score.checked(WHERE, settings.metric, settings.mode, settings.select, measured)
