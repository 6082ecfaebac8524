"""The values of one hyperparameter, and what they are called."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._core.checks import is_number
from .._core.errors import ArgumentError, ArgumentTypeError
from ._content import content, label, python_values

OBJECT = content(object(), label="")
ADVICE = "Give labels: jf.static({'label': value, …})."


@dataclasses.dataclass(frozen=True)
class Axis:
    """Values of one hyperparameter.

    Attributes:
        values: Python objects.
        labels: of a static axis, for each value what tables and files show: numbers where all are
            numbers, else strings. None for an axis of numbers that are traced.
    """

    values: tuple
    labels: tuple | None = None

    def __post_init__(self):
        if self.labels is not None and not all(map(is_number, self.labels)):
            object.__setattr__(self, "labels", tuple(map(str, self.labels)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    @classmethod
    def of(cls, where: str, name: str, given: Any) -> "Axis":
        """The axis of a list, a one-dimensional array, or what `jf.static` returns; its values all differ."""
        if isinstance(given, Axis):
            return given
        values = listed(where, name, given)
        axis = cls(values) if all(map(is_number, values)) else cls.static(where, name, values)
        axis.check_differ(where, name)
        return axis

    @classmethod
    def static(cls, where: str, name: str, values: tuple) -> "Axis":
        """The axis that is not traced, labelled by the values themselves."""
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
    def contents(self) -> tuple[str, ...]:
        """For each value what tells it apart."""
        return tuple(map(content, self.values, self.labels or self.values))

    def check_labels(self, where: str, name: str) -> None:
        """A label stands for one value, and a value has one label."""
        values: dict[str, Any] = {}
        labels: dict[str | int, str] = {}
        for value, text in zip(self.values, map(str, self.labels or ()), strict=True):
            key = content(value, label="")
            key = id(value) if key == OBJECT else key
            if not _is_same(values.setdefault(text, value), value):
                raise ArgumentError(
                    f"{where}: {name} must have one value for each label, got {text!r} for {values[text]!r} and "
                    f"{value!r}. {ADVICE}"
                )
            if labels.setdefault(key, text) != text:
                raise ArgumentError(
                    f"{where}: {name} must have one label for each value, got {labels[key]!r} and {text!r} for "
                    f"{value!r}."
                )

    def check_differ(self, where: str, name: str) -> None:
        """No value comes twice."""
        seen: set[str] = set()
        for value, key in zip(self.values, self.contents, strict=True):
            if key in seen:
                raise ArgumentError(
                    f"{where}: {name} must not have a value twice, got {value!r} twice."
                )
            seen.add(key)

    def take(self, places: Iterable[int]) -> "Axis":
        """The values at these places."""
        places = list(places)
        labels = None if self.labels is None else tuple(self.labels[i] for i in places)
        return Axis(tuple(self.values[i] for i in places), labels)

    def then(self, where: str, name: str, other: "Axis") -> "Axis":
        """The values of both, one after another."""
        if (self.labels is None) != (other.labels is None):
            static, traced = (other, self) if self.labels is None else (self, other)
            raise ArgumentError(
                f"{where}: {name} must be static in both spaces or traced in both, got static values such as "
                f"{static.values[0]!r} and traced ones such as {traced.values[0]!r}. Mark the numbers: "
                f"{name}=jf.static([{traced.values[0]!r}, …])."
            )
        joined = Axis(
            self.values + other.values,
            None if self.labels is None else self.labels + (other.labels or ()),
        )
        if joined.labels is not None:
            joined.check_labels(where, name)
        return joined


def listed(where: str, name: str, given: Any) -> tuple:
    """The values of a list or a one-dimensional array, at least one."""
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
            f"{where}: {name} must be a list or a one-dimensional array of values, got {name}={given!r}. "
            f"For a single value write {name}=[{given!r}]."
        )
    if len(shape) > 1:
        raise ArgumentError(f"{where}: {name} must be one-dimensional, got shape {shape}.")
    values = python_values(given)
    if not values:
        raise ArgumentError(f"{where}: {name} must have at least one value, got {name}={given!r}.")
    return values


def _is_same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    key = content(a, label="")
    return key == content(b, label="") and (key != OBJECT or (a == b) is True)
