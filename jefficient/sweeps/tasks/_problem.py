"""What is swept, as the rest of a sweep uses it: a task with its optimizer, or a trial."""

import abc
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from ..._core.typing import Examples, Params, State, Tree
from ...spaces import Space
from ..data import EvaluationBatch, Stream
from ._evaluation import Sums
from ._hyperparameters import HyperparameterTable
from ._injection import Requester
from ._probe import NO_PROBE, Probe
from ._scoring import HostScorer
from ._splits import SplitSizes
from ._task import Task
from ._trial import Trial


class Begin(NamedTuple):
    """How a trial begins from elsewhere than `init`.

    Attributes:
        restart: ``(key, weights, **hyperparameters) -> state``; None where weights are no start.
        resume: ``(key, state) -> state``: a state that was kept, with the trial's own keys.
    """

    restart: Callable[..., State] | None = None
    resume: Callable[[jax.Array, State], State] = lambda _, state: state


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Problem(abc.ABC):
    """A task with its optimizer, or a trial.

    Static hyperparameters (`static`) are those that a program is compiled for.

    Attributes:
        data: what all lanes read.
        sizes: number of training and validation examples in each fold.
        stream: training and validation examples that are read while lanes train; None where they
            are in memory.
        test: the test set, or None.
        scorer: the metrics ``valid_<name>`` that are scored on the host; None where none are.
        layers: names of the layers whose norms are recorded.
        probe: what evaluations measure of the training loss.
        about_data: attributes of the dataset that describe the data, name to text.
        has_finite_weights: whether weights that are not finite mean that a trial has diverged (the
            state of a `Trial` may hold inf).
    """

    data: Tree
    sizes: SplitSizes
    stream: Stream | None = None
    test: Examples | None = None
    scorer: HostScorer | None = None
    layers: tuple[str, ...] = ()
    probe: Probe = NO_PROBE
    about_data: Mapping[str, str] = dataclasses.field(default_factory=dict)

    has_finite_weights: ClassVar[bool] = False

    @abc.abstractmethod
    def reuse_key(self) -> Hashable:
        """Return what traced functions depend on, beside the static hyperparameters.

        Equal for functions that are the same objects, and data of the same shapes.
        """

    @property
    def folds(self) -> int:
        """Number of folds, 1 without cross-validation."""
        return len(self.sizes.training)

    @property
    def is_sequential(self) -> bool:
        """Whether training takes the examples in their order."""
        return False

    @property
    def is_prequential(self) -> bool:
        """Whether every batch is tested before it is trained on."""
        return False

    @property
    def requests_seed(self) -> bool:
        """Whether a function requests the number of the repetition."""
        return False

    @property
    @abc.abstractmethod
    def requesters(self) -> tuple[Requester, ...]:
        """The functions that may request hyperparameters."""

    def requesters_of(self, name: str) -> list[str]:
        """Return what messages call the functions that request a hyperparameter."""
        return [x.name for x in self.requesters if name in x.requested]

    @property
    @abc.abstractmethod
    def optimizer_name(self) -> str:
        """What the result calls the optimizer."""

    def gradient_descent(self, space: Space) -> str:
        """Return the hyperparameter η where an update is θ ← θ - η·g and no more, else ""."""
        del space
        return ""

    @abc.abstractmethod
    def check_names(self, space: Space) -> None:
        """Check that every name of the space is requested, and every required name is in it."""

    @abc.abstractmethod
    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        """Check the static hyperparameters, and add those that the engine injects."""

    @abc.abstractmethod
    def steps_per_epoch(self, static: Mapping[str, Any]) -> np.ndarray:
        """Return the updates in a pass over the training set of each fold, or NaN: float array."""

    def fold_numbers(self, static: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the numbers that functions get traced since folds differ, int32 (folds,)."""
        del static
        return {}

    @abc.abstractmethod
    def trial(self, static: Mapping[str, Any]) -> Trial:
        """Return what a lane runs; its functions take all hyperparameters by keyword."""

    def begin(self, static: Mapping[str, Any]) -> Begin:
        """Return how a trial begins from elsewhere than `init`."""
        del static
        return Begin()

    def steps_made(self, state: State) -> int | None:
        """Return the updates that a state says were made, None if it does not say."""
        del state
        return None

    @abc.abstractmethod
    def step_data(self, static: Mapping[str, Any]) -> Tree:
        """Return what a step reads, as arrays or as shapes and dtypes."""

    @abc.abstractmethod
    def check(
        self, trial: Trial, static: dict[str, Any], table: HyperparameterTable, key: Hashable
    ) -> None:
        """Raise what the functions raise for one of the configurations, before any compilation.

        `key` is what they depend on, numbers apart.
        """

    @abc.abstractmethod
    def metric_names(
        self, trial: Trial, static: dict[str, Any], hyperparameters: dict[str, Any]
    ) -> tuple[str, ...]:
        """Return the names of what every evaluation records, diagnostics aside."""

    @property
    def window_names(self) -> tuple[str, ...]:
        """The names of means over the examples tested since the last evaluation."""
        return ()

    @abc.abstractmethod
    def with_all_examples(self) -> tuple[Task, Any]:
        """Return the task without validation and the optimizer, for `Result.refit`."""

    def with_layers(
        self,
        layers: bool | tuple[str, ...],
        groups: Iterable[tuple[dict[str, Any], dict[str, Any]]],
    ) -> "Problem":
        """Record the norms of these layers; for True those of all layers of the groups.

        Of each group, `groups` has the static and the traced hyperparameters of a configuration.
        """
        del layers, groups
        return self

    def has_clip(self, state: State) -> bool:
        """Return whether this state of a lane, shapes and dtypes at least, counts clipped steps."""
        del state
        return False

    def step_diagnostics(self, has_clip: bool) -> tuple[str, ...]:
        """Return the names of diagnostics that a step measures."""
        del has_clip
        return ()

    def diagnostics(self, has_clip: bool) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of all diagnostics; `has_clip` where any group has one."""
        del has_clip
        return {}

    def validation_predictions(
        self, weights: Params, data: Tree, fold: jax.Array, hyperparameters: dict[str, Any]
    ) -> dict[str, Tree]:
        """Predict the validation set in memory for the `scorer`, padding at the end."""
        del weights, data, fold, hyperparameters
        return {}

    def validation_batch(
        self,
        weights: Params,
        batch: EvaluationBatch,
        data: Tree,
        fold: jax.Array,
        hyperparameters: dict[str, Any],
    ) -> tuple[dict[str, Sums], dict[str, Tree]]:
        """Return the sums of ``valid_<name>`` over a batch that was read, and its predictions."""
        del weights, batch, data, fold, hyperparameters
        return {}, {}

    def test_batches(self) -> Iterator[Examples]:
        """Read the test set, batch by batch; one batch where it is in memory."""
        return iter(())

    def test_batch(
        self,
        weights: Params,
        batch: Examples,
        data: Tree,
        fold: jax.Array,
        hyperparameters: dict[str, Any],
    ) -> tuple[dict[str, Sums], dict[str, Tree]]:
        """Return the sums of ``test_<name>`` over a batch of the test set, and its predictions."""
        del weights, batch, data, fold, hyperparameters
        return {}, {}

    def test_scores(self, fold: int, predictions: dict[str, Tree]) -> dict[str, float]:
        """Return ``test_<name>`` of predictions for the whole test set, by name."""
        del fold, predictions
        return {}


def function_name(function: Callable[..., Any]) -> str:
    """Return the name of a function, or that of its class."""
    return str(getattr(function, "__name__", type(function).__name__))
