"""A task's rows, cut into those that are trained on and those that are held out, in each fold."""

import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import trees
from ..._core.errors import ArgumentError
from ..._core.serialization import digest_of
from ..._core.typing import Tree
from ..data import Source, Split, Stream
from ._folds import Folds, folds_of
from ._notes import WHERE
from ._task import Task, rows_in

_KNOWN: weakref.WeakKeyDictionary[Task, dict[str, Tree]] = weakref.WeakKeyDictionary()
"""What was fitted on which rows."""


class Splits(NamedTuple):
    """Rows as lanes get them; `data`, `sizes` and `stream` are those of `Supervised`."""

    data: dict[str, Any]
    sizes: tuple[list[int], list[int]]
    stream: Stream | None = None


def rows_of(task: Task, folds: Any, eval_batch_size: int | None, key: jax.Array) -> Splits:
    """Cut the rows; `key` draws which are held out."""
    if folds is not None and task.validation is not None:
        raise ArgumentError(
            f"{WHERE}: folds and Task(validation=…) must not both be given: folds hold out rows themselves."
        )
    cut = None if folds is None else folds_of(folds, _arrays_of(task.data), task.size, key)
    train, valid = task.cut(key) if cut is None else (None, None)
    if isinstance(task.data, Source):
        stream = _stream(task, cut, train, valid, eval_batch_size)
        sizes = (
            [len(split) for split in stream.train],
            [len(split) for split in stream.valid] or [0],
        )
        return Splits({"prepared": _spec(task, stream.train)}, sizes, stream)
    if cut is None:
        held_out = task.validation if valid is None else _taken(task.data, valid)
        trained = _taken(task.data, train)
        sizes = [rows_in(trained)], [0 if held_out is None else rows_in(held_out)]
        return Splits(
            {
                "train": trained,
                "valid": held_out,
                "folds": None,
                "prepared": _spec(task, [trained]),
            },
            sizes,
        )
    spec = _spec(task, (_taken(task.data, rows) for rows in cut.train))
    data = {"train": task.data, "valid": None, "folds": cut.arrays(), "prepared": spec}
    return Splits(data, (cut.train_sizes, cut.valid_sizes))


def _stream(
    task: Task,
    cut: Folds | None,
    train: np.ndarray | None,
    valid: np.ndarray | None,
    eval_batch_size: int | None,
) -> Stream:
    """Which rows of the task's sources are trained on and held out, in each fold."""
    if cut is not None:
        splits = ([Split(task.data, rows) for rows in side] for side in (cut.train, cut.valid))
    elif isinstance(task.validation, Source):
        splits = [Split(task.data, None)], [Split(task.validation, None)]
    else:
        splits = [Split(task.data, train)], [] if valid is None else [Split(task.data, valid)]
    return Stream(*map(tuple, splits), eval_batch_size=eval_batch_size)


def _arrays_of(data: Tree) -> Tree:
    """Where a splitter's y and groups are looked for."""
    return data.arrays if isinstance(data, Source) else data


def _spec(task: Task, trained_on: Iterable[Any]) -> Tree:
    """What `prepare`'s first function finds in the training rows of each fold, with a leading axis of folds."""
    if task.prepare is None:
        return None
    fitted = [jax.tree.map(jnp.asarray, _fitted(task, split)) for split in trained_on]
    for other in fitted:
        if trees.kind_of(other) != trees.kind_of(fitted[0]):
            raise ArgumentError(
                f"{WHERE}: prepare's fit must return alike in every fold, got {trees.shown(fitted[0])} and "
                f"{trees.shown(other)}."
            )
    return jax.tree.map(lambda *xs: jnp.stack(xs), *fitted)


def _fitted(task: Task, split: Any) -> Tree:
    """What `fit` finds. Of rows that are not in memory it is kept for the next sweep: finding it reads them all."""
    assert task.prepare is not None
    fit = task.prepare[0]
    if not isinstance(split, Split):
        return fit(split)
    known, name = (
        _KNOWN.setdefault(task, {}),
        digest_of(np.zeros(0) if split.rows is None else split.rows),
    )
    if name not in known:
        try:
            known[name] = fit(split)
        except Exception as error:
            error.add_note(
                f"{WHERE}: raised by prepare's fit, which gets a view of rows that are not in memory: len(view), and "
                f"view[a:b] for rows as the data have them."
            )
            raise
    return known[name]


def _taken(tree: Tree, rows: np.ndarray | None) -> Tree:
    """Some rows; all for None."""
    return tree if rows is None else jax.tree.map(lambda x: x[rows], tree)
