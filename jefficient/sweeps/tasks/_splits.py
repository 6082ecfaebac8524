"""The training and validation examples of a task, and what is fitted on them."""

import dataclasses
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import trees
from ..._core.checks import is_number
from ..._core.errors import ArgumentError
from ..._core.serialization import digest_of
from ..._core.typing import Examples, Tree
from ..data import Concatenated, Source, Split, Stream
from ._drawn_data import drawn_data, point_count
from ._folds import CrossValidation, Folds, folds_of, labels_of
from ._keys import SPLIT
from ._lane_data import LaneData, ResidentData, StreamedData
from ._notes import WHERE
from ._subsets import share_of
from ._task import Task, count_examples

_FITTED: weakref.WeakKeyDictionary[Task, dict[str, Tree]] = weakref.WeakKeyDictionary()
"""Of each task with a source, what was fitted, by a digest of the indices: a fit reads them all."""


class SplitSizes(NamedTuple):
    """Number of examples in each fold, of one fold without cross-validation; 0 where none are."""

    training: list[int]
    validation: list[int]


class Splits(NamedTuple):
    """The examples as lanes read them; `stream` is None where they are in memory."""

    data: LaneData
    sizes: SplitSizes
    stream: Stream | None = None


def split_examples(
    task: Task, folds: CrossValidation | None, eval_batch_size: int | None, key: jax.Array
) -> Splits:
    """Split the examples; `key` is that of the sweep."""
    if folds is not None and task.validation is not None:
        raise ArgumentError(
            f"{WHERE}: folds and Task(validation=…) must not both be given: each fold has a "
            f"validation set of its own."
        )
    if folds is not None and task.is_prequential:
        raise ArgumentError(
            f"{WHERE}: folds must not be given with Task(evaluate='prequential'), which tests "
            f"every example of the stream, got folds={folds!r}."
        )
    if task.data is None:
        points = drawn_data("validation", task.validation, jax.random.fold_in(key, SPLIT))
        return Splits(points, SplitSizes([0], [point_count(points)]))
    if task.is_sequential and is_number(folds):
        raise ArgumentError(
            f"{WHERE}: folds must be a splitter or pairs with Task(order='sequential'), got "
            f"folds={folds!r}, which is drawn at random. Take scikit-learn's "
            f"TimeSeriesSplit({folds!r}), whose folds come after what they are trained on."
        )
    if isinstance(task.data, Source):
        return _on_disk(task, folds, eval_batch_size, key)
    if folds is not None:
        return _in_folds(task, _folds(task, folds, task.data, key))

    train, valid = _split(task, task.data, key)
    trained = _take(task.data, train)
    validation = task.validation if valid is None else _take(task.data, valid)
    sizes = SplitSizes(
        [count_examples(trained)], [0 if validation is None else count_examples(validation)]
    )
    return Splits(ResidentData(None, _fit(task, [trained]), trained, validation), sizes)


def _folds(task: Task, folds: CrossValidation, data: Examples, key: jax.Array) -> Folds:
    """Return the folds with the share of their training examples that the task asks for."""
    found = folds_of(folds, data, task.size, key)
    return dataclasses.replace(found, train=_shares(task, found.train, data, key))


def _split(
    task: Task, data: Examples, key: jax.Array
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the share of the training examples that the task asks for, and the validation set."""
    train, valid = task.split(key)
    if task.examples == 1:
        return train, valid
    (share,) = _shares(task, (np.arange(task.size) if train is None else train,), data, key)
    return share, valid


def _shares(
    task: Task, training: tuple[np.ndarray, ...], data: Examples, key: jax.Array
) -> tuple[np.ndarray, ...]:
    """Return the share of each fold's training examples; labels on a disk are read once."""
    if task.examples == 1:
        return training
    labels, _ = labels_of(data)
    return tuple(share_of(indices, task.examples, labels, key) for indices in training)


def _in_folds(task: Task, folds: Folds) -> Splits:
    fitted = _fit(task, (_take(task.data, indices) for indices in folds.train))
    data = ResidentData(folds.arrays(), fitted, task.data, None)
    return Splits(data, SplitSizes(folds.train_sizes, folds.valid_sizes))


def _on_disk(
    task: Task, folds: CrossValidation | None, eval_batch_size: int | None, key: jax.Array
) -> Splits:
    source = task.data
    if folds is not None:
        found = _folds(task, folds, source.labels, key)
        training = [Split(source, indices) for indices in found.train]
        validation = [Split(source, indices) for indices in found.valid]
    else:
        train, valid = _split(task, source.labels, key)
        training = [Split(source, train)]
        validation = [] if valid is None else [Split(source, valid)]
        if isinstance(task.validation, Source):
            validation = [Split(task.validation, None)]

    stream = Stream(tuple(training), tuple(validation), eval_batch_size)
    sizes = SplitSizes([*map(len, training)], [*map(len, validation)] or [0])
    return Splits(StreamedData(fitted=_fit(task, training)), sizes, stream)


def _fit(task: Task, splits: Iterable[Any]) -> Tree:
    """Fit `prepare` on the training examples of each fold; the results get an axis of folds."""
    if task.prepare is None:
        return None
    fitted = [jax.tree.map(jnp.asarray, _fit_one(task, split)) for split in splits]
    for other in fitted:
        if trees.kind_of(other) != trees.kind_of(fitted[0]):
            raise ArgumentError(
                f"{WHERE}: prepare's fit must return alike in every fold, got "
                f"{trees.shown(fitted[0])} and {trees.shown(other)}."
            )
    return jax.tree.map(lambda *xs: jnp.stack(xs), *fitted)


def _fit_one(task: Task, split: Examples) -> Tree:
    assert task.prepare is not None
    fit = task.prepare[0]
    if not isinstance(split, Split):
        return fit(split)

    known = _FITTED.setdefault(task, {})
    name = digest_of(np.zeros(0) if split.indices is None else split.indices)
    if name not in known:
        try:
            known[name] = fit(split)
        except Exception as error:
            error.add_note(
                f"{WHERE}: raised by prepare's fit, which gets a view of examples that are not in "
                f"memory: len(view), and view[a:b] for examples as the data have them."
            )
            raise
    return known[name]


def _take(tree: Examples, indices: np.ndarray | None) -> Examples:
    """Take examples; on a CPU with NumPy, which compiles nothing."""
    if indices is None:
        return tree

    def take(x: jax.Array) -> jax.Array:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        if is_key or jax.default_backend() != "cpu":
            return x[indices]
        return jax.device_put(np.asarray(x)[indices])

    return jax.tree.map(take, tree)


def with_all_examples(task: Task) -> Task:
    """Return the task without validation and test set, with all examples of its data.

    A validation tree joins them.
    """
    data, validation = task.data, task.validation
    if isinstance(data, Source) and isinstance(validation, Source):
        data = Source.of("data", Concatenated(data, validation))
    elif data is not None and task.has_validation_examples:
        data = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), data, validation)
    # what is not finite has been warned of
    return dataclasses.replace(
        task, data=data, validation=None, test=None, examples=1, check_finite=False
    )
