"""The supervised learning task: initial parameters, loss, data, and what is evaluated."""

import copy
import dataclasses
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import jax
import numpy as np

from ..._core import signatures
from ..._core.checks import check_flag
from ..._core.debugging import tools_off
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import same
from ..._core.typing import PAIR, Examples, Params, State, Tree
from ..._core.warn import warn
from ...transforms import evaluation_params
from ..data import Source, Split, example_of, examples_of
from ._batchless import with_batch
from ._keys import SPLIT, permutation
from ._metric import Metric

WHERE = "jf.Task"

_EXAMPLES = ("data", "validation", "test", "examples", "categories", "check_finite", "nonfinite")
"""What no function sees but as arrays, whose shapes count by themselves."""

_FEW = 256
"""Examples from which the shapes of what `prepare` makes are seen."""


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A supervised learning task.

    After the arguments shown, `init`, `loss`, `augment` and the metrics get, by keyword, the
    hyperparameters that they name in their signature; and, where they name them, `seed` and `fold`
    (int32, the number of the repetition and of the fold). Loss and metrics may also name `step`
    (int32, the updates made).

    Args:
        init: ``(key, …) -> params``, the initial parameters.
        loss: ``(params, batch, …) -> scalar``, the mean over the batch. It may be a
            `jf.regularized` one: its penalty is trained with, and left out of evaluation. A loss
            that names `key` gets a new key at every step, and None in evaluation.
        data: the examples: any tree of arrays (NumPy, jax) with a shared leading axis, or of pandas
            frames, each a dict of its columns. A batch is the same tree with `batch_size` examples.
            Categoricals, and texts that name classes, are int32 codes: see `categories`. Or
            examples on a disk, which are read when they are needed: leaves that are `numpy.memmap`
            or arrays of h5py or zarr, or anything with ``len(source)`` and ``source[indices]`` (the
            examples of an array of indices, as a tree of arrays; or ``source[index]``, one example:
            grain's sources, torch's map-style Dataset). The same index must give the same example
            every time. `validation` and `test` may then be such sources, too, and are read batch by
            batch. So are the rows of SciPy's sparse matrices, which are dense in a batch. None for
            a loss that draws its own batches from `key`, ``(params, batch, key, …)`` with batch
            None in training, or ``(params, key, …)``; then there are no folds, epochs or batches.
        metrics: name to ``(params, batch, …) -> (n,)``, one value for each example, or ``->
            scalar``, the mean over the batch, or a pair of scalars ``(sum, weight)``. Their mean
            over the validation set is recorded as ``valid_<name>``. A metric that is not a mean
            over examples (its root, an F-score, an area under a curve) is a `jf.Metric` or a
            `jf.host_metric`.
        validation: the validation set, a tree like `data`; or the fraction of `data` to hold out,
            between 0 and 1, drawn once for the whole sweep (the last ones, if `order` is
            ``"sequential"``); or None. With ``data=None`` points, a tree of arrays of any lengths,
            which is the batch of every evaluation; or ``key -> points``, called once for the whole
            sweep, which may return None.
        test: the test set, a tree like `data` (with ``data=None`` points or a function). It is
            evaluated once, at the end, with the weights of the best configuration: `result.test`.
        prepare: a pair ``(fit, apply)``, for example a standardisation. ``fit(data) -> fitted`` is
            called with the training examples, once for each fold and outside of jax's tracing, and
            returns a tree of numbers, of the same shapes for every fold. ``apply(fitted, batch) ->
            batch`` is applied to every batch, in training and in evaluation. So nothing is learned
            from validation examples. Of examples on a disk, `fit` gets a view that reads what is
            indexed: ``len(view)``, ``view[a:b]``.
        model_state: whether the model carries a state, such as batch norm's averages. Then ``init
            -> (params, model_state)``, ``loss(params, model_state, batch, …) -> (scalar,
            model_state)``, metrics are called with ``(params, model_state, batch, …)``, and weights
            are pairs ``(params, model_state)``. The state that the loss returns in evaluation is
            dropped; the loss can tell evaluation by its `key`, which is None there.
        order: ``"shuffled"``, anew in every epoch; or ``"sequential"``, as `data` has them, over
            and over, for streams and time series. Then `folds` must be a splitter or pairs, such as
            scikit-learn's `TimeSeriesSplit`: a number of folds is drawn at random.
        evaluate: ``"held_out"``, on the validation set; or ``"prequential"``, on the stream itself:
            every batch is tested, by the loss and all metrics, before it is trained on. Then
            ``valid_<name>`` is the mean over all examples of the stream so far, and
            ``window_<name>`` that over those since the last evaluation. It goes with
            ``order="sequential"`` and one pass over `data`, without `validation`, `prepare` and
            `jf.Metric`.
        evaluation_params: ``(opt_state, params) -> params``, the parameters that are evaluated,
            ranked, kept and tested, shaped as those that are trained; by default
            `jf.evaluation_params`, which finds the averages of `jf.average_weights` and the
            parameters of optax's schedule-free optimizers.
        augment: ``(key, batch, …) -> batch``, applied to training batches alone, after `prepare`,
            with a new key at every update. In evaluation it is off.
        categories: the names of classes that codes stand for, leaf (``"y"``, ``"x.city"``) to
            names: code 0 is the first. By default those of a categorical, or the texts in
            alphabetical order; `validation` and `test` have the same. See `Result.categories`.
        check_finite: warn (`JefficientWarning`) where data in memory hold NaN or inf. Missing
            values are fine where the loss or `prepare` handles them: then False.
        examples: the share of the training examples (of each fold) that is trained on, above 0 and
            at most 1, rounded up: a cheap look. Drawn once for the whole sweep, classes (whole
            numbers in ``data["y"]`` or the second of a pair) having their share of it; with the
            same `key` a larger share contains a smaller one. Validation and test set stay whole,
            and `Result.refit` trains on all.

    Raises:
        ArgumentError: where `data` is empty, its leading axes differ, a whole number or the name of
            a class is missing, or `validation` or `test` does not match `data`.
        ArgumentTypeError: where an argument is not a function, or an array holds no numbers: dates,
            texts that name no classes, masked values.

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

    init: Callable[..., Any]
    loss: Callable[..., Any]
    data: Examples
    metrics: Mapping[str, Callable[..., Any] | Metric] = dataclasses.field(default_factory=dict)
    validation: Examples | float | None = None
    test: Examples | None = None
    prepare: tuple[Callable[[Examples], Tree], Callable[[Tree, Examples], Examples]] | None = None
    model_state: bool = False
    order: Literal["shuffled", "sequential"] = "shuffled"
    augment: Callable[..., Examples] | None = None
    evaluation_params: Callable[[State, Params], Params] = evaluation_params
    categories: Mapping[str, Sequence] = dataclasses.field(default_factory=dict)
    check_finite: bool = True
    examples: float = 1.0
    evaluate: Literal["held_out", "prequential"] = "held_out"
    nonfinite: str = dataclasses.field(init=False, repr=False, default="")

    @tools_off()
    def __post_init__(self):
        check_flag(WHERE, model_state=self.model_state, check_finite=self.check_finite)
        self._check_functions()
        self._arrange_examples()
        if self.is_prequential:
            self._check_prequential()
        if self.validation is not None and not self.has_validation_examples:
            self._check_fraction(self.validation)
        self._check_share()

    def _check_functions(self) -> None:
        signatures.names_asked(f"{WHERE}: init", self.init, 1)
        signatures.names_asked(f"{WHERE}: loss", self.loss, self.positional)
        signatures.names_asked(f"{WHERE}: evaluation_params", self.evaluation_params)
        if self.augment is not None:
            signatures.names_asked(f"{WHERE}: augment", self.augment, 2)
        if self.order not in ("shuffled", "sequential"):
            raise ArgumentError(
                f"{WHERE}: order must be 'shuffled' or 'sequential', got order={self.order!r}."
            )
        if self.evaluate not in ("held_out", "prequential"):
            raise ArgumentError(
                f"{WHERE}: evaluate must be 'held_out' or 'prequential', got "
                f"evaluate={self.evaluate!r}."
            )
        if self.prepare is not None:
            _check_prepare(self.prepare)
        if not isinstance(self.metrics, Mapping):
            raise ArgumentTypeError(
                f"{WHERE}: metrics must map a name to a function, got {self.metrics!r}."
            )
        for name, metric in self.metrics.items():
            function = metric.predict if isinstance(metric, Metric) else metric
            signatures.names_asked(f"{WHERE}: metrics[{name!r}]", function, self.positional)
            if name == "loss":
                raise ArgumentError(
                    f"{WHERE}: a metric must not be named 'loss': valid_loss is the loss itself."
                )

    def _arrange_examples(self) -> None:
        """Convert the examples to device arrays, or to sources where any of them is on a disk."""
        names = ["data"]
        if self.has_validation_examples:
            names.append("validation")
        if self.test is not None:
            names.append("test")
        if self.data is None:
            self._check_without_data()
            names = [x for x in names if not callable(getattr(self, x))]
        given = {name: getattr(self, name) for name in names}
        found = examples_of(given, self.categories, check_finite=self.check_finite)
        for name, tree in found.trees.items():
            object.__setattr__(self, name, tree)
        object.__setattr__(self, "categories", found.categories)
        object.__setattr__(self, "nonfinite", found.nonfinite)
        if found.nonfinite:
            warn(
                f"{WHERE}: all numbers of the data must be finite, got {found.nonfinite}. Drop or "
                f"replace these examples. Where the loss or prepare handles missing values, say so "
                f"with check_finite=False."
            )

    def _check_without_data(self) -> None:
        """Check what goes with data=None; a loss without a batch gets the argument."""
        with_data: dict[str, Any] = {
            "prepare": self.prepare,
            "categories": self.categories or None,
            "augment": self.augment,
            "order": self.order if self.is_sequential else None,
            "examples": None if self.examples == 1 else self.examples,
            "evaluate": self.evaluate if self.is_prequential else None,
        }
        if isinstance(self.validation, Real | np.floating):
            with_data["validation"] = self.validation
        for name, x in with_data.items():
            if x is not None:
                raise ArgumentError(
                    f"{WHERE}: with data=None there must be no {name}={x!r}, which needs examples. "
                    f"The loss draws its own batches from its key; validation and test are fixed "
                    f"points, or a function that draws them from a key."
                )
        loss = with_batch(self.loss, self.positional - 1)
        is_on_points = any(x is not None and not callable(x) for x in (self.validation, self.test))
        if loss is not self.loss and is_on_points:
            raise ArgumentError(
                f"{WHERE}: a loss that is evaluated on points must take them as its batch, got one "
                f"without: write loss(params, batch, key), where batch is None in training and key "
                f"is None in evaluation."
            )
        object.__setattr__(self, "loss", loss)

    def _check_prequential(self) -> None:
        """Check that every example can be tested before anything is learned from it."""
        if not self.is_sequential:
            raise ArgumentError(
                f"{WHERE}: evaluate='prequential' must come with order='sequential', got "
                f"order={self.order!r}."
            )
        scored = list(self.scored) or None
        for name, given, why in (
            ("validation", self.validation, "the stream itself is what is tested on"),
            ("prepare", self.prepare, "its fit would see examples before they are tested on"),
            ("jf.Metric", scored, "it sees all predictions at once, and a stream has means alone"),
        ):
            if given is not None:
                shown = type(given).__name__ if name == "validation" else given
                raise ArgumentError(
                    f"{WHERE}: evaluate='prequential' must come without {name}, since {why}; got "
                    f"{shown}."
                )

    def _reuse_key(self) -> Hashable:
        """Return what traced functions depend on, shapes of the examples apart."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in _EXAMPLES]
        return same([getattr(self, name) for name in names])

    @property
    def positional(self) -> int:
        """Number of arguments of `loss` and metrics before the hyperparameters."""
        return 3 if self.model_state else 2

    @property
    def is_sequential(self) -> bool:
        """Whether training takes the examples in their order."""
        return self.order == "sequential"

    @property
    def is_prequential(self) -> bool:
        """Whether every batch is tested before it is trained on."""
        return self.evaluate == "prequential"

    @property
    def scored(self) -> dict[str, Metric]:
        """The metrics that are not means over examples, by name."""
        return {name: x for name, x in self.metrics.items() if isinstance(x, Metric)}

    @property
    def size(self) -> int:
        """Number of examples of `data`."""
        return 0 if self.data is None else count_examples(self.data)

    @property
    def example(self) -> Tree:
        """Shapes and dtypes of one example of `data`."""
        return example_of(self.data)

    @property
    def about_data(self) -> dict[str, str]:
        """What the dataset of a sweep says of the data, name to text."""
        about = {"categories": json.dumps(self.categories)} if self.categories else {}
        if self.is_prequential:
            about["evaluate"] = self.evaluate
        if self.model_state:
            about["weights"] = PAIR
        return {**about, "nonfinite": self.nonfinite} if self.nonfinite else about

    @property
    def has_validation_examples(self) -> bool:
        """Whether `validation` is a tree of examples, not a fraction or None."""
        return self.validation is not None and not isinstance(self.validation, Real | np.floating)

    def _check_fraction(self, fraction: float) -> None:
        is_fraction = not isinstance(fraction, bool) and 0 < fraction < 1
        if not is_fraction or not 0 < round(fraction * self.size) < self.size:
            raise ArgumentError(
                f"{WHERE}: as a fraction, validation must leave examples for training and for "
                f"validation (0 < validation < 1), got validation={fraction} of {self.size} "
                f"examples."
            )

    def _check_share(self) -> None:
        share = self.examples
        if isinstance(share, bool) or not isinstance(share, Real | np.number):
            raise ArgumentTypeError(f"{WHERE}: examples must be a share, got examples={share!r}.")
        if not 0 < share <= 1:
            raise ArgumentError(f"{WHERE}: 0 < examples <= 1 must hold, got examples={share}.")
        if share < 1 and self.is_sequential:
            raise ArgumentError(
                f"{WHERE}: examples must be 1 with order='sequential', got examples={share}: gaps "
                f"would break the sequence. Pass its beginning as data."
            )

    @property
    def sample(self) -> Examples:
        """Examples that `prepare` can be tried on: all in memory, or a view of the first few."""
        if isinstance(self.data, Source):
            return Split(self.data, np.arange(min(self.size, _FEW)))
        return self.data

    def without_test(self) -> "Task":
        """Return the task without its test set; nothing is checked again."""
        task = copy.copy(self)
        object.__setattr__(task, "test", None)
        return task

    def with_examples(self, share: float) -> "Task":
        """Return the task with another share of its training examples; see `examples`."""
        task = copy.copy(self)
        object.__setattr__(task, "examples", share)
        task._check_share()
        return task

    def split(self, key: jax.Array) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Draw the indices of training and validation examples, sorted; None where all train.

        `key` is that of the sweep.
        """
        if self.validation is None or self.has_validation_examples:
            return None, None
        count = round(float(self.validation) * self.size)
        if self.is_sequential:  # nothing is trained on that comes after what is validated on
            rows = np.arange(self.size)
            return rows[: self.size - count], rows[self.size - count :]
        order = permutation(key, self.size, SPLIT)
        return np.sort(order[count:]), np.sort(order[:count])


def count_examples(tree: Examples) -> int:
    """Return the length of the leading axis, or of a source; 1 where a loss draws its batch."""
    if isinstance(tree, Source):
        return tree.size
    leaves = jax.tree.leaves(tree)
    return leaves[0].shape[0] if leaves else 1


def prepared(task: Task, fitted: Tree, fold: jax.Array, batch: Examples) -> Examples:
    """Apply what `prepare` fitted on a fold to a batch."""
    if task.prepare is None:
        return batch
    return task.prepare[1](jax.tree.map(lambda x: x[fold], fitted), batch)


def _check_prepare(prepare: Any) -> None:
    is_pair = isinstance(prepare, tuple | list) and len(prepare) == 2
    if not is_pair or not all(callable(function) for function in prepare):
        raise ArgumentTypeError(
            f"{WHERE}: prepare must be a pair of functions (fit, apply), got {prepare!r}."
        )
