"""The values of one hyperparameter, and their labels."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._core.checks import is_number
from .._core.errors import ArgumentError, ArgumentTypeError
from ._arrays import is_array, traced_values
from ._identity import identity, label, python_values

UNLABELLED = identity(object(), label="")
ADVICE = "Give labels: jf.static({'label': value, …})."


@dataclasses.dataclass(frozen=True)
class Axis:
    """The values of one hyperparameter.

    Attributes:
        values: Python objects; arrays of one shape where the axis is one of traced arrays.
        labels: what tables and files show for each value of a static axis: numbers if all are
            numbers, else strings. None for an axis of traced numbers or arrays.
    """

    values: tuple
    labels: tuple | None = None

    def __post_init__(self):
        if self.labels is not None and not all(map(is_number, self.labels)):
            object.__setattr__(self, "labels", tuple(map(str, self.labels)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    @classmethod
    def of(cls, where: str, name: str, given: object) -> "Axis":
        """Make an axis of a list, an array, or what `jf.static` returns."""
        if isinstance(given, Axis):
            return given
        values = listed(where, name, given)
        traced = cls.traced(where, name, values)
        axis = cls.static(where, name, values) if traced is None else traced
        axis.check_distinct(where, name)
        return axis

    @classmethod
    def traced(cls, where: str, name: str, values: tuple) -> "Axis | None":
        """Make an axis of numbers, or of arrays of one shape; None if the values are neither."""
        if all(map(is_number, values)):
            return cls(values)
        if all(is_number(x) or is_array(x) for x in values):
            return cls(traced_values(where, name, values))
        return None

    @classmethod
    def static(cls, where: str, name: str, values: tuple) -> "Axis":
        """Make a static axis whose values are their own labels."""
        labels = tuple(map(label, values))
        for value, text in zip(values, labels, strict=True):
            if text == "" and not isinstance(value, str):
                raise ArgumentError(
                    f"{where}: {name} must have a label for each value, got {value!r}. {ADVICE}"
                )
        axis = cls(values, labels)
        axis.check_labels(where, name)
        return axis

    @property
    def identities(self) -> tuple[str, ...]:
        """A text for each value, equal for equal values."""
        return tuple(map(identity, self.values, self.labels or self.values))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a traced value, () for numbers."""
        return np.shape(self.values[0])

    def check_labels(self, where: str, name: str) -> None:
        """Check that a label stands for one value, and that a value has one label."""
        values: dict[str, object] = {}
        labels: dict[str | int, str] = {}
        for value, text in zip(self.values, map(str, self.labels or ()), strict=True):
            if not _is_same(values.setdefault(text, value), value):
                raise ArgumentError(
                    f"{where}: {name} must have one value for each label, got {text!r} for "
                    f"{values[text]!r} and {value!r}. {ADVICE}"
                )
            key = identity(value, label="")
            first = labels.setdefault(id(value) if key == UNLABELLED else key, text)
            if first != text:
                raise ArgumentError(
                    f"{where}: {name} must have one label for each value, got {first!r} and "
                    f"{text!r} for {value!r}."
                )

    def check_distinct(self, where: str, name: str) -> None:
        """Check that no two values are equal."""
        seen: set[str] = set()
        for value, key in zip(self.values, self.identities, strict=True):
            if key in seen:
                raise ArgumentError(
                    f"{where}: {name} must not have a value twice, got {value!r} twice."
                )
            seen.add(key)

    def shaped(self, shape: tuple[int, ...]) -> "Axis":
        """Return an axis whose values are arrays of this shape, filled with the numbers in turn."""
        if not shape:
            return self
        values = np.array(self.values).reshape(-1, *shape)
        values.flags.writeable = False
        return Axis(tuple(values))

    def take(self, indices: Iterable[int]) -> "Axis":
        """Return the values at these indices."""
        indices = list(indices)
        labels = None if self.labels is None else tuple(self.labels[i] for i in indices)
        return Axis(tuple(self.values[i] for i in indices), labels)

    def concatenate(self, where: str, name: str, other: "Axis") -> "Axis":
        """Return the values of this axis followed by those of another."""
        if self.labels is None and other.labels is None:
            if self.shape != other.shape:
                raise ArgumentError(
                    f"{where}: {name} must have one shape in both spaces, got {self.shape} and "
                    f"{other.shape}."
                )
            return Axis(self.values + other.values)
        if self.labels is None or other.labels is None:
            static, traced = (other, self) if self.labels is None else (self, other)
            number = traced.values[0]
            raise ArgumentError(
                f"{where}: {name} must be static in both spaces or traced in both, got static "
                f"values such as {static.values[0]!r} and traced ones such as {number!r}. Mark the "
                f"numbers: {name}=jf.static([{number!r}, …])."
            )
        joined = Axis(self.values + other.values, self.labels + other.labels)
        joined.check_labels(where, name)
        return joined

    def summary(self, name: str, most: int = 5) -> str:
        """Return the axis in a few words, as the repr of a space shows it."""
        if self.labels is None and self.shape:
            count = len(set(self.identities))
            low = min(x.min() for x in self.values)
            high = max(x.max() for x in self.values)
            return (
                f"{name}: {count} array{'s' * (count > 1)} of shape {self.shape}, "
                f"{_short(low.item())} to {_short(high.item())}"
            )
        values = list(dict.fromkeys(self.labels or self.values))
        if self.labels is None and len(values) > 3:
            return f"{name}: {len(values)} numbers, {_short(min(values))} to {_short(max(values))}"
        mark = "" if self.labels is None else " (static)"
        more = f", … {len(values)} in all" if len(values) > most else ""
        return f"{name}{mark}: {', '.join(map(_short, values[:most]))}{more}"


def listed(where: str, name: str, given: object) -> tuple:
    """Return the values of a list, or those along the first axis of an array, at least one."""
    shape = getattr(given, "shape", (0,))
    if isinstance(given, Mapping):
        raise ArgumentTypeError(
            f"{where}: {name} must be a list of values, got {name}={given!r}. {ADVICE}"
        )
    if isinstance(given, set | frozenset):
        raise ArgumentTypeError(
            f"{where}: {name} must have an order, got the set {name}={given!r}. Write a list."
        )
    if isinstance(given, str | bytes) or not isinstance(given, Iterable) or shape == ():
        raise ArgumentTypeError(
            f"{where}: {name} must be a list or an array of values, got "
            f"{name}={given!r}. For a single value write {name}=[{given!r}]."
        )
    values = python_values(given)
    if not values:
        raise ArgumentError(f"{where}: {name} must have at least one value, got {name}={given!r}.")
    return values


def _is_same(a: object, b: object) -> bool:
    if a is b:
        return True
    key = identity(a, label="")
    return key == identity(b, label="") and (key != UNLABELLED or (a == b) is True)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
