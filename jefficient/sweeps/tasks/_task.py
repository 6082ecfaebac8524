"""What is to be learned: how parameters start, what is minimised, on which data."""

import dataclasses
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import signatures, trees
from ..._core.checks import check_flag
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.trees import name_of
from ..._core.typing import Tree
from ..data import Source, Split, fits, is_source, native

WHERE = "jf.Task"

_FEW = 256
"""Rows from which the shapes of what `prepare` makes are seen."""


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A supervised learning task.

    Args:
        init: ``(key, …) -> params``, the initial parameters.
        loss: ``(params, batch, …) -> scalar``, the mean over the batch; in training it may be a
            `jf.regularized` one (evaluation uses the inner loss). Where it names `key` it gets a
            fresh one every step, and None when evaluating.
        data: the training rows: any tree of arrays (NumPy, jax, pandas) with a shared leading axis.
            A batch is the same tree with `batch_size` rows. Or rows that stay where they are and
            are read as they are needed: leaves that are `numpy.memmap`, of h5py or zarr, or
            anything with ``len(source)`` and ``source[rows]`` (rows of an array of numbers, as a
            tree of arrays; or ``source[row]``, one row: grain's sources, torch's map-style
            Dataset). The same number must give the same row. Then `validation` and `test` may be
            such rows, too, and are read in pieces.
        metrics: name to ``(params, batch, …) -> (n,)``, a number for each row, or ``-> scalar``,
            their mean over the batch; averaged over the validation rows, and shown as
            ``valid_<name>``. What is not a mean over rows (a root of one, an F-score) is exact only
            where all rows are one batch and folds have equal length.
        validation: held-out rows (a tree like `data`); or a fraction between 0 and 1 of `data` to
            hold out, drawn once for the whole sweep; or None.
        test: rows (a tree like `data`) that are evaluated once, at the end, with the winner's
            weights: `result.test`.
        prepare: a pair ``(fit, apply)``: ``fit(data) -> fitted`` sees the training rows alone, of
            each fold its own, and ``apply(fitted, batch) -> batch`` is done to every batch, trained
            on or evaluated. So standardisation learns nothing from rows that are held out. `fit` is
            called once for each fold, outside of jax's tracing; `fitted` is a tree of numbers whose
            shapes are the same in every fold. Of rows that are not in memory `fit` gets a view,
            whose rows are read as they are asked for: ``len(view)``, ``view[a:b]``.
        model_state: whether the model carries state of its own (batch-norm's averages). Then ``init
            -> (params, model_state)``, ``loss(params, model_state, batch, …) -> (scalar,
            model_state)``, metrics are called with ``(params, model_state, batch, …)``, and weights
            are pairs ``(params, model_state)``. In evaluation the state that the loss returns is
            dropped; a loss tells evaluation by its `key`, which is None there.

    After the arguments shown, `init`, `loss` and metrics get the hyperparameters that they name.

    Raises:
        ArgumentError: where data are empty, their leading axes differ, or `validation` or `test` do
            not match them.
        ArgumentTypeError: where a function is none, or an array holds no numbers.

    Examples:
        >>> import jefficient as jf
        >>> import jax, numpy as np
        >>> task = jf.Task(
        ...     init=lambda key: jax.random.normal(key, (3,)),
        ...     loss=lambda params, batch: ((batch["x"] @ params - batch["y"]) ** 2).mean(),
        ...     data={"x": np.ones((10, 3), np.float32), "y": np.ones(10, np.float32)},
        ...     validation=0.2,
        ... )
        >>> task.size
        10
    """

    init: Callable
    loss: Callable
    data: Tree
    metrics: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    validation: Tree | float | None = None
    test: Tree | None = None
    prepare: tuple[Callable, Callable] | None = None
    model_state: bool = False

    def __post_init__(self):
        check_flag(WHERE, model_state=self.model_state)
        for name, function, positional in (
            ("init", self.init, 1),
            ("loss", self.loss, self.positional),
        ):
            signatures.names_asked(f"{WHERE}: {name}", function, positional)
        if self.prepare is not None:
            _check_prepare(self.prepare)
        if not isinstance(self.metrics, Mapping):
            raise ArgumentTypeError(
                f"{WHERE}: metrics must map a name to a function, got {self.metrics!r}."
            )
        for name, function in self.metrics.items():
            signatures.names_asked(f"{WHERE}: metrics[{name!r}]", function, self.positional)
            if name == "loss":
                raise ArgumentError(
                    f"{WHERE}: a metric must not be named 'loss': valid_loss is the loss itself."
                )
        has_rows = self.validation is not None and not isinstance(
            self.validation, Real | np.floating
        )
        names = (
            "data",
            *(("validation",) if has_rows else ()),
            *(("test",) if self.test is not None else ()),
        )
        arranged = Source.of if any(is_source(getattr(self, name)) for name in names) else _arrays
        for name in names:
            object.__setattr__(self, name, arranged(name, getattr(self, name)))
            _check_alike(self.row, name, _row(getattr(self, name)))
        if self.validation is not None and not has_rows:
            self._check_fraction(float(self.validation))

    @property
    def positional(self) -> int:
        """Arguments of `loss` and metrics before the hyperparameters."""
        return 3 if self.model_state else 2

    @property
    def size(self) -> int:
        """Number of rows of `data`."""
        return rows_in(self.data)

    @property
    def row(self) -> Tree:
        """One row of `data` as shapes and dtypes."""
        return _row(self.data)

    def _check_fraction(self, fraction: float) -> None:
        held_out = round(fraction * self.size)
        if not 0 < fraction < 1 or not 0 < held_out < self.size:
            raise ArgumentError(
                f"{WHERE}: as a fraction, validation must leave rows on both sides (0 < validation < 1), got "
                f"validation={fraction} of {self.size} rows."
            )

    @property
    def sample(self) -> Any:
        """Rows enough to see shapes by, as `prepare` gets them: all where they are in memory, else the first few."""
        return (
            Split(self.data, np.arange(min(self.size, _FEW)))
            if isinstance(self.data, Source)
            else self.data
        )

    def cut(self, key: jax.Array) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Rows of `data` that are trained on and held out; None for all, and for none.

        `key` draws a fraction.
        """
        if self.validation is None or not isinstance(self.validation, Real | np.floating):
            return None, None
        order = np.asarray(jax.random.permutation(key, self.size))
        held_out = round(float(self.validation) * self.size)
        return np.sort(order[held_out:]), np.sort(order[:held_out])


def rows_in(tree: Tree) -> int:
    """How many rows there are."""
    return tree.size if isinstance(tree, Source) else jax.tree.leaves(tree)[0].shape[0]


def _row(tree: Tree) -> Tree:
    if isinstance(tree, Source):
        return tree.row
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)


def _arrays(name: str, tree: Tree) -> Tree:
    """The tree with device arrays as leaves, checked."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    if not leaves:
        raise ArgumentError(f"{WHERE}: {name} must hold at least one array, got {tree!r}.")
    arrays = [_array(f"{name}{jax.tree_util.keystr(path)}", leaf) for path, leaf in leaves]
    sizes = {name_of(path): a.shape[0] for (path, _), a in zip(leaves, arrays, strict=True)}
    if len(set(sizes.values())) > 1:
        raise ArgumentError(
            f"{WHERE}: all arrays of {name} must have the same leading axis, got {sizes}."
        )
    if 0 in sizes.values():
        raise ArgumentError(f"{WHERE}: {name} must have at least one row, got none.")
    return jax.tree.unflatten(jax.tree.structure(tree), arrays)


def _array(name: str, leaf: Any) -> jax.Array:
    if isinstance(leaf, jax.Array):
        array = leaf
    else:
        host = np.asarray(leaf)
        if host.dtype.kind not in "biufc" and not jnp.issubdtype(host.dtype, jnp.floating):
            raise ArgumentTypeError(f"{WHERE}: {name} must hold numbers, got dtype {host.dtype}.")
        dtype = native(host.dtype)
        if host.dtype.kind in "iu" and host.size and not fits(host, dtype):
            raise ArgumentError(
                f"{WHERE}: {name} must fit {dtype}, got values from {host.min()} to {host.max()}."
            )
        array = jnp.asarray(host.astype(dtype))
    if array.ndim == 0:
        raise ArgumentError(
            f"{WHERE}: {name} must have a leading axis of rows, got a scalar. "
            f"A list is a tree of its elements: make it an array."
        )
    return array


def _check_prepare(prepare: Any) -> None:
    is_pair = isinstance(prepare, tuple | list) and len(prepare) == 2
    if not is_pair or not all(callable(function) for function in prepare):
        raise ArgumentTypeError(
            f"{WHERE}: prepare must be a pair of functions (fit, apply), got {prepare!r}."
        )


def _check_alike(mine: Tree, name: str, others: Tree) -> None:
    if trees.kind_of(mine) != trees.kind_of(others):
        raise ArgumentError(
            f"{WHERE}: the rows of {name} must be like those of data, got {trees.shown(others)} against "
            f"{trees.shown(mine)}."
        )
