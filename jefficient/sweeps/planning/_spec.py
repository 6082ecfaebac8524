"""A sweep that has been checked and split into groups: all that is known before compilation."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ..._core.checks import check_size
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import once, same
from ..._core.serialization import digest, digest_of
from ..._core.typing import Tree
from ..._core.warn import warn
from ...results import Score
from ...spaces import Space
from ..data import EvaluationBatch, PrefetchChunk, Source, Stream
from ..programs import Group, LaneProgram, StreamedProgram, TrialLength, groups_of
from ..tasks import (
    COLUMNS,
    DIMENSIONS,
    VARIABLES,
    WHERE,
    HyperparameterTable,
    Problem,
    Sums,
    Task,
    TaskProblem,
    Trial,
    TrialProblem,
    traced_program,
)
from ._settings import Settings
from ._starting import Starts, check_starts, started_groups, starts_of

_ADDRESS = re.compile(r"0x[0-9a-f]+")
"""Addresses of functions in the text of a program: they differ in the next process."""

_TRIAL_BYTES = 128
"""What a trial takes beside its evaluations: its place in a queue, its status, where it ended."""


MANY_PROGRAMS = 32
"""Programs from which on a warning is given before they are compiled."""


@dataclasses.dataclass(frozen=True)
class SweepSpec:
    """What is swept, and how configurations are ranked.

    Attributes:
        problem: the task with its optimizer, or the trial.
        space: the configurations.
        settings: arguments of `jf.sweep` that decide on its numbers.
        score: what ranks configurations.
        measured: names of what every evaluation records, diagnostics aside.
        groups: configurations that share a program.
        trials: what a lane of each group runs.
        keys: what the traced functions of each group depend on, its numbers apart.
        starts: what trials start from, where not all begin by `init`.
    """

    problem: Problem
    space: Space
    settings: Settings
    score: Score
    measured: tuple[str, ...]
    groups: list[Group]
    trials: list[Trial]
    keys: list[Hashable]
    starts: Starts | None = None

    @functools.cached_property
    def costs(self) -> list["LaneCosts"]:
        """Costs of a lane of each group, found by tracing."""
        each = zip(self.keys, self.trials, self.groups, strict=True)
        return [
            once(("costs", key), partial(self._lane_costs, trial, group))
            for key, trial, group in each
        ]

    @functools.cached_property
    def lane_bytes(self) -> list[int]:
        """Bytes of a lane of each group: its state and the largest array of step and evaluation."""
        key = self._key

        def working(trial: Trial, group: Group) -> int:
            def step_and_evaluate(key: jax.Array, data: Tree, numbers: dict[str, Any]) -> Any:
                state = trial.init(key, **numbers, fold=0)
                state, _ = trial.step(state, data, jnp.int32(0), key, **numbers, fold=jnp.int32(0))
                return trial.evaluate(state, data, **numbers, fold=jnp.int32(0))

            data = self.problem.step_data(group.static)
            numbers = group.table()[0]
            return _largest_array(
                traced_program(step_and_evaluate, key, data, group.static, numbers)[0]
            )

        each = zip(self.keys, self.costs, self.trials, self.groups, strict=True)
        return [
            costs.state_bytes + once(("working", key), partial(working, trial, group))
            for key, costs, trial, group in each
        ]

    @functools.cached_property
    def diagnostics(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what evaluations record beside `measured`."""
        return self.problem.diagnostics(any(costs.has_clip for costs in self.costs))

    @property
    def record_bytes(self) -> int:
        """Bytes of the arrays that hold all evaluations, and of what is held of each trial."""
        evaluations = self.most_evaluations
        diagnostics = sum(math.prod(shape) for shape in self.diagnostics.values())
        of_evaluation = 4 * (len(self.measured) + diagnostics) + 8  # float32; seconds are float64
        of_trial = of_evaluation * evaluations + _TRIAL_BYTES
        return self.total_trials * of_trial

    @property
    def total_trials(self) -> int:
        """Configurations × seeds × folds."""
        return sum(group.trials for group in self.groups)

    @property
    def most_evaluations(self) -> int:
        """Evaluations of a trial at most."""
        return max(x.shape[1] for group in self.groups for x in group.distinct_evaluations)

    @functools.cached_property
    def data_digest(self) -> str:
        """Digest of all that lanes read, folds and the names of classes included."""
        read = self.data if self.stream is None else (self.data, self.stream.digest())
        categories = self.problem.about_data.get("categories")
        own = digest_of(read)
        return own if categories is None else digest(f"{own} {categories}".encode())

    @property
    def stream(self) -> Stream | None:
        """Examples that are read while lanes train, or None."""
        return self.problem.stream

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
        """Return the program of a group in blocks of `width` lanes."""
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
        windows = self.problem.window_names
        step_metrics |= {name: (name, ()) for name in windows}
        program = LaneProgram(
            key=(self.keys[index], self.score, settings.divergence_threshold),
            trial=self.trials[index],
            score=self.score,
            divergence_threshold=settings.divergence_threshold,
            keep=settings.keep,
            width=width,
            step_metrics=step_metrics,
            windows=windows,
            are_weights_finite=self.problem.has_finite_weights,
            begin=self.problem.begin(self.groups[index].static),
        )
        scorer = self.problem.scorer
        if self.stream is None and scorer is not None:
            return dataclasses.replace(
                program,
                predict=self._predict(self.groups[index], program),
                is_ranked_on_host=self.score.metric in {f"valid_{name}" for name in scorer.metrics},
            )
        if self.stream is None:
            return program
        return self._streamed(program, self.groups[index], self.stream)

    def _predict(self, group: Group, program: LaneProgram) -> Callable[..., dict[str, Tree]]:
        problem, weights = self.problem, program.trial.weights

        def predict(state: Any, data: Tree, /, **traced: Any) -> dict[str, Tree]:
            hyperparameters = {**group.static, **traced}
            return problem.validation_predictions(
                weights(state), data, traced["fold"], hyperparameters
            )

        return predict

    def _streamed(self, program: LaneProgram, group: Group, stream: Stream) -> StreamedProgram:
        """Return the same program, for batches that are read while it runs."""
        problem, weights = self.problem, program.trial.weights

        def accumulate(
            state: Any, batch: EvaluationBatch, data: Tree, fold: jax.Array, /, **traced: Any
        ) -> tuple[dict[str, Sums], dict[str, Tree]]:
            hyperparameters = {**group.static, **traced}
            return problem.validation_batch(weights(state), batch, data, fold, hyperparameters)

        batch_size = group.static["batch_size"]
        whole = jax.ShapeDtypeStruct((), jnp.int32)
        examples = stream.source.batch(self.batches(batch_size), batch_size)
        validated = [x for x in self.measured if x.startswith("valid_") and stream.valid]
        scorer = problem.scorer
        scored = () if scorer is None else tuple(f"valid_{name}" for name in scorer.metrics)
        evaluation_batch = None
        if stream.valid:
            valid = stream.valid[0].source.batch(stream.evaluation_batch_size)
            evaluation_batch = EvaluationBatch(valid, whole)
        fields = [field.name for field in dataclasses.fields(program) if field.init]
        return StreamedProgram(
            **{name: getattr(program, name) for name in fields},
            accumulate=accumulate,
            accumulated=tuple(name for name in validated if name not in scored),
            scored=scored,
            chunk=PrefetchChunk(examples, whole, whole),
            evaluation_batch=evaluation_batch,
        )

    def batches(self, batch_size: int) -> int:
        """Return the number of batches in a prefetch chunk."""
        assert self.stream is not None
        return self.stream.batches_per_chunk(batch_size, self._longest, self._cohorts(1))

    @functools.cached_property
    def _longest(self) -> int:
        """Updates between two evaluations at most."""
        evaluations = [x for group in self.groups for x in group.distinct_evaluations]
        return max(int(np.diff(x, prepend=0).max()) for x in evaluations)

    def bytes_ahead(self, slots: int) -> int:
        """Return the bytes of all chunks in use on so many slots, and of those read ahead."""
        assert self.stream is not None
        sizes = {group.static["batch_size"] for group in self.groups}
        examples = max(self.batches(size) * size for size in sizes)
        return 2 * self._cohorts(slots) * examples * self.stream.source.example_bytes

    def _cohorts(self, slots: int) -> int:
        """Return how many cohorts train at the same time at most.

        All do where a pruner compares configurations, else as many as keep the slots busy.
        """
        sizes = {group.static["batch_size"] for group in self.groups}
        every = self.settings.seeds * self.problem.folds * len(sizes)
        return every if self.settings.stop is not None else min(slots, every)

    def state_like(self, config: int) -> Tree:
        """Return shapes and dtypes of the state of a configuration."""
        index, _ = self.find(config)
        trial = self.trials[index]
        numbers = self.groups[index].table()[0]
        return once(
            ("state", self.keys[index]),
            lambda: jax.eval_shape(lambda key: trial.init(key, **numbers, fold=0), self._key),
        )

    def weights_like(self, config: int) -> Tree:
        """Return shapes and dtypes of the weights of a configuration."""
        index, _ = self.find(config)
        return once(
            ("weights", self.keys[index]),
            lambda: jax.eval_shape(self.trials[index].weights, self.state_like(config)),
        )

    def check_kept(self) -> None:
        """Check that the evaluations exist whose states are kept; in parts they need not."""
        asked = self.settings.keep_states
        if isinstance(asked, tuple) and asked[-1] >= self.most_evaluations:
            raise ArgumentError(
                f"{WHERE}: keep_states must be among the {self.most_evaluations} evaluations of a "
                f"trial, numbered from 0, got keep_states={list(asked)}."
            )

    def _check_stop(self, starts: Starts) -> None:
        """Refuse a stopping rule where configurations start after different updates."""
        steps = {int(start.step) for start in starts.of.values()}
        is_whole = len(starts.of) == self.total_trials
        if self.settings.stop is not None and (len(steps) > 1 or (not is_whole and steps != {0})):
            raise ArgumentError(
                f"{WHERE}: under stop= all trials must start after as many updates, since it "
                f"compares them by their updates, got starts after {sorted(steps)}"
                f"{'' if is_whole else ' and trials that begin with init'}."
            )

    def check_states(self) -> None:
        """Check the states that trials start from."""
        if self.starts is None:
            return
        self._check_stop(self.starts)
        can_restart = self.problem.begin(self.groups[0].static).restart is not None
        program_of = {int(c): i for i, group in enumerate(self.groups) for c in group.configs}
        check_starts(
            self.starts,
            self.state_like,
            self.weights_like if can_restart else None,
            self.problem.steps_made,
            program_of,
        )

    def _lane_costs(self, trial: Trial, group: Group) -> "LaneCosts":
        def begin_and_step(key: jax.Array, data: Tree, numbers: dict[str, Any]) -> tuple[Any, Any]:
            state = trial.init(key, **numbers, fold=0)
            return state, trial.step(state, data, jnp.int32(0), key, **numbers, fold=jnp.int32(0))

        data = self.problem.step_data(group.static)
        jaxpr, (state, _) = traced_program(
            begin_and_step, self._key, data, group.static, group.table()[0]
        )
        text = str(jaxpr)
        return LaneCosts(
            state_bytes=sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)),
            has_convolution="conv_general_dilated" in text,
            has_clip=self.problem.has_clip(state),
            digest=digest(_ADDRESS.sub("", text).encode()),
        )

    @property
    def _key(self) -> jax.Array:
        """A key of the sweep's kind, to trace with."""
        return jax.random.key(0, impl=jax.random.key_impl(self.settings.key))


class LaneCosts(NamedTuple):
    """What is known of a lane without compiling it.

    `state_bytes`: bytes of its state; `has_convolution`, `has_clip`: what is in a step; `digest`:
    of the first step's program on this version of jax: dtypes and shapes count, numbers do not.
    """

    state_bytes: int
    has_convolution: bool
    has_clip: bool
    digest: str


def _largest_array(x: Any) -> int:
    """Return the bytes of the largest array that a program, or what it calls, makes.

    `x` is a program or a parameter of one of its equations, which may hold programs.
    """
    # Since jax 0.12 the two classes are one.
    if isinstance(x, core.ClosedJaxpr) and not isinstance(x, core.Jaxpr):
        x = x.jaxpr
    if isinstance(x, core.Jaxpr):
        made: list[Any] = [v.aval for e in x.eqns for v in e.outvars if hasattr(v.aval, "dtype")]
        inner = [_largest_array(list(e.params.values())) for e in x.eqns]
        return max([*(aval.size * aval.dtype.itemsize for aval in made), *inner], default=0)
    return max(map(_largest_array, x), default=0) if isinstance(x, tuple | list) else 0


def prepare(task: Any, optimizer: Any, space: Space, settings: Settings) -> SweepSpec:
    """Check all that can be checked before compilation, the numbers of configurations included."""
    _check_no_mesh()
    settings.check_with(space)
    problem = _problem(task, optimizer, settings)
    problem.check_names(space)
    counts = {"configurations": len(space), "seeds": settings.seeds, "folds": problem.folds}
    check_size(WHERE, "trials", **counts)
    if problem.test is not None and settings.keep is None:
        raise ArgumentError(
            f"{WHERE}: a task with a test set needs the weights of the best configuration, got "
            f"keep=None."
        )

    length = TrialLength(
        settings.steps, settings.epochs, settings.eval_every, problem.is_prequential
    )
    groups = groups_of(space, problem, length, settings.batch_size, settings.seeds)
    starts = starts_of(settings.start, space, settings.seeds, problem.folds)
    if starts is not None:
        groups = started_groups(groups, starts)
    _warn_of_many(groups)
    tables = [group.table() for group in groups]
    firsts = ((group.static, table[0]) for group, table in zip(groups, tables, strict=True))
    problem = problem.with_layers(settings.layers, firsts)
    trials = [problem.trial(group.static) for group in groups]
    keys = _reuse_keys(problem, groups, tables, settings.key)
    for group, table, trial, key in zip(groups, tables, trials, keys, strict=True):
        problem.check(trial, group.static, table, key)

    measured = _measured(problem, groups, tables, trials, keys)
    _check_measured(measured, space, settings)
    score = Score.checked(WHERE, settings.metric, settings.mode, settings.select, measured)
    spec = SweepSpec(problem, space, settings, score, measured, groups, trials, keys, starts)
    spec.check_states()
    return spec


def _reuse_keys(
    problem: Problem, groups: list[Group], tables: list[HyperparameterTable], key: jax.Array
) -> list[Hashable]:
    """Return what the traced functions of each group depend on, its numbers apart."""
    of_all = problem.reuse_key(), problem.folds, str(jax.random.key_impl(key))
    return [
        (
            of_all,
            same(group.static),
            same({name: (str(x.dtype), x.shape[1:]) for name, x in table.columns.items()}),
        )
        for group, table in zip(groups, tables, strict=True)
    ]


def _warn_of_many(groups: list[Group]) -> None:
    """Say before anything is compiled that it will be many programs, and for which values."""
    if len(groups) < MANY_PROGRAMS:
        return
    values: dict[str, set[str]] = {}
    for group in groups:
        for name, label in group.labels.items():
            values.setdefault(name, set()).add(str(label))
    counts = {name: len(found) for name, found in values.items() if len(found) > 1}
    warn(
        f"{WHERE}: {len(groups)} combinations of static values are as many programs, and each "
        f"takes seconds to compile: {', '.join(f'{n} of {name}' for name, n in counts.items())}. "
        f"Numbers that shape no array need no jf.static, and lists of them are traced as arrays: "
        f"np.array([…]). jf.plan of a few of them says how long "
        f"it takes."
    )


def _check_no_mesh() -> None:
    """Refuse a mesh: lanes are programs of single devices."""
    mesh = jax.sharding.get_abstract_mesh()
    if not mesh.empty:
        raise ArgumentError(
            f"{WHERE}: no mesh must be set, since each device trains lanes of its own, got {mesh}. "
            f"Call it outside of jax.set_mesh; data may be on a mesh."
        )


def _problem(task: Any, optimizer: Any, settings: Settings) -> Problem:
    if isinstance(task, Trial):
        _check_without(optimizer, settings)
        return TrialProblem.of(task)
    if not isinstance(task, Task):
        raise ArgumentTypeError(f"{WHERE}: task must be a jf.Task or jf.Trial, got {task!r}.")
    if optimizer is None:
        raise ArgumentTypeError(f"{WHERE}: optimizer must be given with a jf.Task, got None.")
    if task.data is None:
        names = ("folds", "epochs", "eval_batch_size")
        _check_absent("a jf.Task with data=None", {x: getattr(settings, x) for x in names})
        _check_counts_updates("a jf.Task with data=None", settings)
    if task.is_prequential:  # its score is the mean over the whole stream
        given = {x: getattr(settings, x) for x in ("select", "keep", "keep_states")}
        best = {name: x if x == "best" else None for name, x in given.items()}
        _check_absent("a jf.Task with evaluate='prequential'", best)
    if settings.diagnostics and (task.data is None or isinstance(task.data, Source)):
        raise ArgumentError(
            f"{WHERE}: diagnostics are computed on training examples in memory, got "
            f"diagnostics={settings.diagnostics} and "
            f"{'data=None' if task.data is None else 'data that are read while lanes train'}."
        )
    return TaskProblem.of(
        task,
        optimizer,
        settings.folds,
        settings.eval_batch_size,
        settings.key,
        settings.diagnostics,
    )


def _check_without(optimizer: Any, settings: Settings) -> None:
    """Check that a trial comes without what only a task has."""
    absent = {
        "optimizer": optimizer,
        "folds": settings.folds,
        "epochs": settings.epochs,
        "eval_batch_size": settings.eval_batch_size,
        "layers": settings.layers or None,
        "diagnostics": settings.diagnostics or None,
    }
    _check_absent("a jf.Trial", absent)
    _check_counts_updates("a jf.Trial", settings)


def _check_absent(what: str, absent: dict[str, Any]) -> None:
    for name, x in absent.items():
        if x is not None:
            raise ArgumentError(f"{WHERE}: {what} must come without {name}, got {name}={x!r}.")


def _check_counts_updates(what: str, settings: Settings) -> None:
    if settings.stop is not None and settings.stop.needs_epochs:
        raise ArgumentError(
            f"{WHERE}: {what} must come without a rule that counts in epochs, "
            f"got stop={settings.stop!r}. Take one that counts updates."
        )


def _measured(
    problem: Problem,
    groups: list[Group],
    tables: list[HyperparameterTable],
    trials: list[Trial],
    keys: list[Hashable],
) -> tuple[str, ...]:
    found = [
        once(("measured", key), partial(problem.metric_names, trial, group.static, table[0]))
        for group, table, trial, key in zip(groups, tables, trials, keys, strict=True)
    ]
    for group, names in zip(groups, found, strict=True):
        if set(names) != set(found[0]):
            raise ArgumentError(
                f"{WHERE}: all configurations must have the same metrics, got {list(found[0])} for "
                f"{groups[0].static} and {list(names)} for {group.static}."
            )
    return found[0]


def _check_measured(measured: tuple[str, ...], space: Space, settings: Settings) -> None:
    """Check that the names of metrics are free in the result, and that a bounded loss exists."""
    beside = [f"{settings.metric}_{what}" for what in ("std", "se")]
    for name in measured:
        if name in (*space.names, *DIMENSIONS, *VARIABLES, *COLUMNS, *beside):
            raise ArgumentError(
                f"{WHERE}: a metric must not have a name of the space or of the result, got "
                f"{name!r}."
            )
        if "/" in name:
            raise ArgumentError(
                f"{WHERE}: a metric must have no '/' in its name (a file cannot), got {name!r}."
            )
    if settings.diverged_above is not None and "train_loss" not in measured:
        raise ArgumentError(
            f"{WHERE}: diverged_above bounds the metric 'loss' of the trial's step, got "
            f"diverged_above={settings.diverged_above} and {list(measured)}."
        )
