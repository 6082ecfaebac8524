"""Tasks without data: the loss draws its own batches, and is evaluated on fixed points."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from ..._core.typing import Examples, Tree
from ..data import fixed_points
from ._evaluation import EvaluationSet
from ._task import Task, count_examples


class DrawnData(NamedTuple):
    """What lanes read of a task without data.

    `points`: the batch that is evaluated, as a tuple of one, since it may be None; () without one;
    `fitted`: None, since there is nothing to fit.
    """

    points: tuple[Examples, ...] = ()
    fitted: Tree = None

    def training_batch(
        self, task: Task, t: jax.Array, key: jax.Array, fold: jax.Array, static: Mapping[str, Any]
    ) -> Examples:
        """Return None: the loss draws a batch from its key."""
        del task, t, key, fold, static
        return None

    def validation_set(self, task: Task, fold: jax.Array) -> EvaluationSet | None:
        """Return the points, evaluated all at once; None without validation."""
        del task, fold
        return points_as_examples(self.points[0]) if self.points else None

    def measured(
        self, measure: Callable[[EvaluationSet], dict[str, jax.Array]], task: Task, fold: jax.Array
    ) -> dict[str, jax.Array]:
        """Measure on the points; {} without validation."""
        examples = self.validation_set(task, fold)
        return {} if examples is None else measure(examples)


def drawn_data(name: str, given: object, key: jax.Array) -> DrawnData:
    """Return fixed points, or those that a function draws from a key, once for the whole sweep."""
    if given is None:
        return DrawnData()
    points = given(key) if callable(given) else given
    return DrawnData((fixed_points(name, points),))


def points_as_examples(points: Examples) -> EvaluationSet:
    """Return points as a set that is evaluated all at once, whatever the lengths of its leaves."""

    def batch_of(begin: jax.Array | int, count: int) -> Examples:
        del begin, count
        return points

    return EvaluationSet(batch_of, count_examples(points))


def point_count(data: DrawnData) -> int:
    """Return how many points there are: the length of the longest leaf, 0 without validation."""
    if not data.points:
        return 0
    return max((x.shape[0] for x in jax.tree.leaves(data.points)), default=1)
