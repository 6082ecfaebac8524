"""A table of configurations: one row each, one column for each hyperparameter."""

import dataclasses
import functools
import keyword
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._core import numerics
from .._core.checks import is_number
from .._core.errors import ArgumentError, JefficientWarning
from ._axis import Axis
from ._content import digests

WHERE = "jf.Space"


@dataclasses.dataclass(frozen=True, repr=False)
class Space:
    """The configurations of a sweep, in order; `jf.grid`, `jf.sobol` and `jf.random` make them.

    ``a + b`` has the configurations of `a` and then those of `b`, which have the same names. ``a *
    b`` has each configuration of `a` with each of `b`, which have no name in common; `b` varies
    fastest. No configuration is in a space twice: ``a + b`` keeps the first and says so
    (`JefficientWarning`).

    Attributes:
        columns: for each hyperparameter its value in every configuration, all of one length.
        static: for each column that is not traced, what tables and files show in every
            configuration: numbers where all are numbers, else strings. Columns with anything but
            numbers are added by themselves.

    Raises:
        ArgumentError: where a name cannot be one of a function's arguments, columns differ in
            length, are empty or need labels, or a configuration comes twice; where + joins other
            names, values of one name that are static and traced, or one label for two things; where
            * crosses spaces with a common name.

    Examples:
        >>> import jefficient as jf
        >>> coarse = jf.grid(learning_rate=[1e-3, 1e-1], l2=[0.0])
        >>> coarse + jf.grid(l2=[1e-4], learning_rate=[1e-2])
        Space(3 configurations; learning_rate: 0.001, 0.1, 0.01; l2: 0, 0.0001)
        >>> coarse * jf.grid(momentum=[None, 0.9])
        Space(4 configurations; learning_rate: 0.001, 0.1; l2: 0; momentum (static): None, 0.9)
    """

    columns: Mapping[str, tuple]
    static: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    _floats: frozenset[str] = dataclasses.field(default=frozenset(), kw_only=True, compare=False)
    _hashes: dataclasses.InitVar[tuple[str, ...] | None] = dataclasses.field(
        default=None, kw_only=True
    )

    def __post_init__(self, _hashes: tuple[str, ...] | None):  # known to differ
        for name in self.columns:
            if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
                raise ArgumentError(
                    f"{WHERE}: a name must be one that a function can ask for, got {name!r}."
                )
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ArgumentError(
                f"{WHERE}: columns must have one length of at least 1, got {lengths}."
            )
        for name, labels in self.static.items():
            if len(labels) != lengths.get(name):
                raise ArgumentError(
                    f"{WHERE}: labels must be of a column, as many as it is long, got {name}={labels}."
                )
        object.__setattr__(self, "static", self._checked_labels())
        if _hashes is not None:
            self.__dict__["hashes"] = _hashes
            return
        first = _first_places(self.hashes)
        if len(first) < len(self):
            twice = next(i for i, x in enumerate(self.hashes) if first[x] != i)
            raise ArgumentError(f"{WHERE}: configurations must differ, got {self[twice]} twice.")

    def _checked_labels(self) -> dict[str, tuple]:
        static = {}
        for name, column in self.columns.items():
            if name in self.static:
                axis = Axis(column, self.static[name])
                axis.check_labels(WHERE, name)
                static[name] = axis.labels
            elif not all(map(is_number, column)):
                static[name] = Axis.static(WHERE, name, column).labels
        return static

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return self._text

    @functools.cached_property
    def _text(self) -> str:  # every snapshot has it
        count = f"{len(self)} configuration{'s' if len(self) > 1 else ''}"
        return f"Space({'; '.join([count, *(_summary(name, axis) for name, axis in self._axes.items())])})"

    def __add__(self, other: "Space") -> "Space":
        if not isinstance(other, Space):
            return NotImplemented
        if set(self.names) != set(other.names):
            raise ArgumentError(
                f"{WHERE}: spaces joined by + must have the same names, got {list(self.names)} and "
                f"{list(other.names)}. To combine different names use *."
            )
        mine, others = self._axes, other._axes
        axes = {name: axis.then(WHERE, name, others[name]) for name, axis in mine.items()}
        return merged(WHERE, axes, self._floats | other._floats)

    def __mul__(self, other: "Space") -> "Space":
        if not isinstance(other, Space):
            return NotImplemented
        common = [name for name in self.names if name in other.names]
        if common:
            raise ArgumentError(
                f"{WHERE}: spaces crossed by * must have no common name, got {list(self.names)} and "
                f"{list(other.names)}. To append configurations use +."
            )
        mine, others = (
            x.tolist() for x in np.divmod(np.arange(len(self) * len(other)), len(other))
        )
        return from_axes(
            {name: axis.take(mine) for name, axis in self._axes.items()}
            | {name: axis.take(others) for name, axis in other._axes.items()}
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters."""
        return tuple(self.columns)

    @functools.cached_property
    def hashes(self) -> tuple[str, ...]:
        """For each configuration a hash of what it is, 32 hexadecimal digits.

        The same in every process and on every version of Python, whatever the order of the names,
        the place in the space and the other configurations. It is BLAKE2b with 16 bytes of a JSON
        object without spaces, its names sorted, its values these texts: ``int:3``,
        ``float:0x1.8000000000000p+0`` (`float.hex`), ``bool:True``, ``None:``, ``str:relu``, and
        ``object:<label>`` for functions and all else.
        """
        return hashes_of(self._axes)

    def is_number(self, name: str) -> bool:
        """Whether the column is traced: it holds numbers alone, and `jf.static` did not mark it."""
        return name not in self.static

    def labels(self, name: str) -> tuple:
        """For each configuration what tables and files show: numbers where all are numbers, else strings."""
        return self.static.get(name, self.columns[name])

    @property
    def shown(self) -> dict[str, tuple]:
        """The labels of every column."""
        return {name: self.labels(name) for name in self.names}

    def contents(self, name: str) -> tuple[str, ...]:
        """For each configuration the text that stands for this hyperparameter in its hash: equal for equal values."""
        return self._axes[name].contents

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers as the program gets it: int32 where all are whole numbers, float32 otherwise."""
        if name not in self._numbers:
            column = self.columns[name]
            host = np.asarray(column, float) if name in self._floats else column
            self._numbers[name] = numerics.device_numbers(WHERE, name, host)
        return self._numbers[name].copy()

    @functools.cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        """The columns that `numbers` has made."""
        return {}

    def part(self, configs: Iterable[int]) -> "Space":
        """These configurations.

        Their numbers have the dtypes that they have here, where others are no whole ones.
        """
        places = list(configs)
        traced = [name for name in self.names if self.is_number(name)]
        floats = frozenset(
            name for name in traced if np.issubdtype(self.numbers(name).dtype, np.floating)
        )
        hashes = tuple(self.hashes[i] for i in places)
        return from_axes(
            {name: axis.take(places) for name, axis in self._axes.items()}, hashes, floats
        )

    @property
    def _axes(self) -> dict[str, Axis]:
        return {name: Axis(column, self.static.get(name)) for name, column in self.columns.items()}


def from_axes(
    axes: Mapping[str, Axis],
    hashes: tuple[str, ...] | None = None,
    floats: frozenset[str] = frozenset(),
) -> Space:
    """The space with these columns; `hashes` where they are known, and known to differ."""
    static = {name: axis.labels for name, axis in axes.items() if axis.labels is not None}
    return Space(
        {name: axis.values for name, axis in axes.items()}, static, _floats=floats, _hashes=hashes
    )


def numbered(axes: Mapping[str, Axis], floats: frozenset[str]) -> tuple[Space, np.ndarray]:
    """The space with these columns, each configuration once, and for each row which one it is, int array (rows,).

    Columns named in `floats` are float32, even where all their numbers happen to be whole.
    """
    hashes = hashes_of(axes)
    first = _first_places(hashes)
    space = from_axes(
        {name: axis.take(first.values()) for name, axis in axes.items()}, tuple(first), floats
    )
    places = {x: i for i, x in enumerate(first)}
    return space, np.array([places[x] for x in hashes])


def merged(where: str, axes: Mapping[str, Axis], floats: frozenset[str] = frozenset()) -> Space:
    """The space with these columns, without those configurations that came before; a warning says so."""
    hashes = hashes_of(axes)
    first = _first_places(hashes)
    if len(first) < len(hashes):
        again = next(first[x] for i, x in enumerate(hashes) if first[x] < i)
        shown = {name: (axis.labels or axis.values)[again] for name, axis in axes.items()}
        warnings.warn(
            f"{where}: every configuration comes once, got {len(hashes) - len(first)} of {len(hashes)} again, first "
            f"{shown}. They are merged: {len(first)} are left.",
            JefficientWarning,
            stacklevel=3,
        )
    columns = {name: axis.take(first.values()) for name, axis in axes.items()}
    return from_axes(columns, tuple(first), floats)


def hashes_of(axes: Mapping[str, Axis]) -> tuple[str, ...]:
    """Of every row of these columns; see `Space.hashes`."""
    return digests({name: axis.contents for name, axis in axes.items()})


def _first_places(hashes: tuple[str, ...]) -> dict[str, int]:
    first: dict[str, int] = {}
    for i, x in enumerate(hashes):
        first.setdefault(x, i)
    return first


def _summary(name: str, axis: Axis, most: int = 5) -> str:
    """A column in a few words."""
    values = list(dict.fromkeys(axis.labels or axis.values))
    if axis.labels is None and len(values) > 3:
        return f"{name}: {len(values)} numbers, {_short(min(values))} to {_short(max(values))}"
    shown = ", ".join(map(_short, values[:most])) + (
        f", … {len(values)} in all" if len(values) > most else ""
    )
    return f"{name}{'' if axis.labels is None else ' (static)'}: {shown}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
