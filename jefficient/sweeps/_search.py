"""What a search is: it proposes configurations while a sweep runs, and is told their results."""

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..spaces import Space

if TYPE_CHECKING:
    import xarray as xr

    from ..results import TrialState


class Goal(NamedTuple):
    """What a search is for.

    Attributes:
        mode: "min" or "max": which scores are better.
        about: all that decides what the scores mean (metric, data, steps, seeds, …), as JSON can
            hold it. A search that keeps scores beyond its process compares it with what it kept.
    """

    mode: str
    about: Mapping[str, Any]


class Search(abc.ABC):
    """Propose the configurations of a sweep, a batch at a time: the base class of every search.

    ``jf.sweep(task, optimizer, search)`` calls `begin`, then `ask` and `tell` in turn until `ask`
    returns None, then `close`. A subclass must set `batch` and define `example`, `ask` and `tell`;
    the rest has defaults. `jf.testing.verify_search` checks what `jf.sweep` relies on.

    Attributes:
        batch: configurations in a proposal at most, 1 or more. The width of the programs is chosen
            for it.
        static_combinations: how many combinations of static values proposals may have; by default
            1. Each has a program of its own, which gets an even share of a batch.
        remaining: configurations still to come, those of the last proposal included, or None (the
            default) if that is unknown. Only the progress display uses it.

    Examples:
        >>> import jefficient as jf
        >>> class Tens(jf.Search):
        ...     batch = 1
        ...
        ...     def __init__(self):
        ...         self.exponents = [-1, -2, -3]
        ...
        ...     def example(self):
        ...         return jf.grid(learning_rate=[0.1])
        ...
        ...     def ask(self):
        ...         if not self.exponents:
        ...             return None
        ...         return jf.grid(learning_rate=[10.0 ** self.exponents.pop(0)])
        ...
        ...     def tell(self, dataset):
        ...         pass
        >>> Tens().ask()
        Space(1 configuration; learning_rate: 0.1)
    """

    batch: int
    static_combinations: int = 1
    remaining: int | None = None

    @abc.abstractmethod
    def example(self) -> Space:
        """Return one configuration such as those to come, by which the sweep is checked at first.

        It has the names of all proposals, and numbers of the same kind (whole or not).
        """

    @abc.abstractmethod
    def ask(self) -> Space | None:
        """Return at most `batch` configurations that were not proposed before; None at the end."""

    @abc.abstractmethod
    def tell(self, dataset: "xr.Dataset") -> None:
        """Take in the results of the last proposal.

        Args:
            dataset: what ``jf.sweep`` returns as ``result.dataset``, of these configurations alone
                and in their order. Its ``attrs["metric"]`` names the variable of the score, of
                shape (config, seed, fold, evaluation), NaN where nothing was evaluated; `status`
                says how each trial ended.
        """

    def start(self, state: Callable[[int, int, int], "TrialState | None"]) -> object:
        """Return what the trials of the last proposal start from, as `start` of `jf.sweep`.

        It is called after every proposal but the first. By default all trials begin with `init`,
        and no states are kept.

        Args:
            state: ``(config, seed, fold) -> TrialState``: how a trial of the proposal before ended;
                None for a configuration with a trial that diverged: it begins with `init`. Its
                updates count towards `steps`, so proposals that go on
                have the hyperparameter `steps`.
        """
        del state

    def begin(self, goal: Goal) -> None:
        """Prepare for the first `ask` of a sweep; by default do nothing."""
        del goal

    def annotate(self, dataset: "xr.Dataset") -> "xr.Dataset":
        """Return the dataset of the whole sweep with labels of the search; by default as it is.

        Args:
            dataset: all configurations that were told, in the order of the proposals.
        """
        return dataset

    def close(self) -> None:  # noqa: B027 - most searches open nothing
        """Release what `begin` opened; by default do nothing.

        It is called after errors and Ctrl-C too: then the last proposal was not told.
        """


def kinds(space: Space) -> dict[str, str]:
    """Return for each hyperparameter "static", or dtype and shape that programs get it in."""
    return {
        name: _kind(space.numbers(name)) if space.is_number(name) else "static"
        for name in space.names
    }


def _kind(column: np.ndarray) -> str:
    """Return "float32", or of arrays "float32 of shape (8,)"."""
    shape = column.shape[1:]
    return f"{column.dtype} of shape {shape}" if shape else str(column.dtype)
