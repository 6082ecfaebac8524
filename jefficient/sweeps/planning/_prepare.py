"""Checks of all that can be checked before compilation; what passes is a `SweepSpec`."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import jax

from ..._core.checks import check_size
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import once, same
from ..._core.warn import warn
from ...results import Score
from ...spaces import Space
from ..data import Source
from ..programs import Group, TrialLength, groups_of
from ..tasks import (
    COLUMNS,
    DIMENSIONS,
    VARIABLES,
    WHERE,
    HyperparameterTable,
    Optimizer,
    Problem,
    Task,
    TaskProblem,
    Trial,
    TrialProblem,
)
from ._settings import Settings
from ._spec import SweepSpec
from ._starting import started_groups, starts_of

MANY_PROGRAMS = 32
"""Programs from which on a warning is given before they are compiled."""


def prepare(
    task: Task | Trial, optimizer: Optimizer | None, space: Space, settings: Settings
) -> SweepSpec:
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


def _problem(task: Task | Trial, optimizer: Optimizer | None, settings: Settings) -> Problem:
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


def _check_without(optimizer: Optimizer | None, settings: Settings) -> None:
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
