"""Names in messages: which hyperparameters raised an error, what a function is called."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from ._watched import is_read

WHERE = "jf.sweep"


class Numbers(Protocol):
    """The traced numbers of configurations; see `Rows`."""

    def __getitem__(self, row: Any) -> Any:
        """Those of one."""
        ...

    def distinct(self, names: Iterable[str]) -> np.ndarray:
        """The first row of each distinct set."""
        ...

    def extremes(self, names: Iterable[str]) -> np.ndarray:
        """Rows with the smallest and the largest of each."""
        ...


def note_hyperparameters(
    check: Callable[[dict[str, Any]], Any], hp: dict[str, Any], static: Mapping[str, Any]
) -> None:
    """``check(hp)``; what it raises gets a note with the hyperparameters."""
    try:
        check(hp)
    except Exception as error:
        shown = {
            name: x.item() if isinstance(x, np.generic) else x
            for name, x in {**static, **hp}.items()
        }
        error.add_note(f"{WHERE}: raised for the hyperparameters {shown}.")
        raise


def check_each(
    check: Callable[[dict[str, Any]], Any],
    names: Iterable[str],
    rows: Numbers,
    static: Mapping[str, Any],
    *,
    is_traced: bool = False,
) -> None:
    """`check`, which asks for these names, for all rows: what it raises for one of them is raised, as by `named`.

    It is called for each distinct set of what it asks for; or, where all of it is traced
    (`is_traced`) and it reads no number but hands them on to jax, whose traces are the same for
    all, for the extreme ones alone. Outside of a trace jax has values, and what it makes of a
    number could be read unnoticed.
    """
    names = tuple(names)
    chosen, few = rows.distinct(names), rows.extremes(names)
    if is_traced and len(few) < len(chosen) and not _may_read(check, rows[chosen[0]]):
        chosen = few
    for row in chosen:
        note_hyperparameters(check, rows[row], static)


def _may_read(check: Callable[[dict[str, Any]], Any], hp: dict[str, Any]) -> bool:
    try:
        return is_read(check, hp)
    except (
        Exception
    ):  # of the check, which says so again, or of something that takes no number that is watched
        return True


@contextmanager
def note_traced(static: Mapping[str, Any], numbers: Iterable[str]) -> Iterator[None]:
    """What tracing raises inside gets a note with the static hyperparameters and the traced ones."""
    try:
        yield
    except Exception as error:
        shown, traced = (
            {name: x for name, x in static.items() if name != "steps_per_epoch"},
            [*numbers, "steps"],
        )
        error.add_note(f"{WHERE}: raised while compiling for {shown}, with {traced} traced.")
        if isinstance(
            error, TypeError
        ):  # jax's errors about numbers that must be known while tracing are such
            error.add_note(
                f"{WHERE}: the numbers {traced} are traced. Whoever decides on one in Python, or makes a shape "
                f"of one, cannot have it traced (jf's schedules and transforms can)."
            )
        raise


def function_name(function: Any) -> str:
    """What a function is called, where it has a name."""
    return str(getattr(function, "__name__", type(function).__name__))
