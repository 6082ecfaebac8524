"""What proposes configurations while a sweep runs, round after round; integrations implement it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import xarray as xr

from ..spaces import Space


class Goal(NamedTuple):
    """What a search is for: the score's mode, "min" or "max", and all that decides what its numbers mean."""

    mode: str
    about: Mapping[str, Any]


@runtime_checkable
class Search(Protocol):
    """Asked for configurations, told what became of them.

    Attributes:
        batch: configurations in a round, at most.
        combinations: static combinations that there may be.
        left: configurations that may still come, those just asked for included.
    """

    batch: int
    combinations: int
    left: int

    def example(self) -> Space:
        """A configuration such as those to come, to check the sweep with."""
        ...

    def begin(self, goal: Goal) -> None:
        """Before the first question."""
        ...

    def ask(self) -> Space | None:
        """Configurations that have not come before; None at the end."""
        ...

    def tell(self, dataset: xr.Dataset) -> None:
        """The results of what was asked for last, in its order."""
        ...

    def whole(self) -> Space:
        """All that was told, in order."""
        ...

    def labelled(self, dataset: xr.Dataset) -> xr.Dataset:
        """The results of `whole`, with what the search knows of each."""
        ...

    def close(self) -> None:
        """At the end, however it comes: what was asked for and not told is given up."""
        ...
