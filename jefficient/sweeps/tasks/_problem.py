"""What is swept, as the rest of a sweep sees it."""

from typing import Any, Protocol

from ..._core.typing import Tree
from ...spaces import Space
from ._numbers import HyperparameterTable
from ._trial import Trial


class Problem(Protocol):
    """What is swept: a task with its optimizer, or a trial of the user's own."""

    @property
    def data(self) -> Tree:
        """What lanes read."""
        ...

    @property
    def folds(self) -> int:
        """How many there are."""
        ...

    def trial(self, static: dict[str, Any]) -> Trial:
        """What a lane does."""
        ...

    def example(self, static: dict[str, Any]) -> Tree:
        """What its step reads, shapes and dtypes at least."""
        ...

    def check(self, trial: Trial, static: dict[str, Any], rows: "HyperparameterTable") -> None:
        """Raise what the functions raise for one of the configurations."""
        ...

    def check_names(self, space: Space) -> None:
        """Every name of the space goes somewhere."""
        ...

    def steps_per_epoch(self, static: dict[str, Any]) -> float:
        """Updates in a pass over the training rows, NaN where there are none."""
        ...

    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        """The static hyperparameters and what comes with them."""
        ...
