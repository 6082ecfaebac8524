"""A table of configurations, one column for each hyperparameter."""

import dataclasses
import functools
import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._core import html, numerics
from .._core.checks import check_size
from .._core.errors import ArgumentError
from .._core.warn import warn
from ._axis import Axis
from ._identity import hashes_of, python_values

WHERE = "jf.Space"


@dataclasses.dataclass(frozen=True, repr=False)
class Space:
    """The configurations of a sweep, in order, as made by `jf.grid`, `jf.sobol` and `jf.random`.

    ``a + b`` appends the configurations of `b` to those of `a`; both must have the same names. If
    one has names of its own, give them to the other with a value that it does not use: None for a
    static hyperparameter, any number for a traced one.
    ``a * b`` combines each configuration of `a` with each of `b`, `b` varying fastest; they must
    have no name in common. All configurations of a space differ: ``a + b`` keeps the first of equal
    ones and warns (`JefficientWarning`).

    Attributes:
        columns: for each hyperparameter its value in every configuration; NumPy's numbers become
            Python's. Arrays are NumPy's, of float64 or int64 as Python's numbers, all of a
            hyperparameter of one shape.
        static: for each static hyperparameter its label in every configuration: numbers if all
            are numbers, else strings. Columns that hold anything but numbers or arrays are added
            here.

    Raises:
        ArgumentError: if a name cannot be an argument of a function; if columns are empty, differ
            in length or need labels; if arrays of a hyperparameter differ in shape or are empty; if
            two configurations are equal; by +, if names or shapes differ, or if a hyperparameter
            is static in one space and traced in the other or has one label for two values; by *,
            if a name is in both spaces.
        ArgumentTypeError: if arrays hold anything but real numbers.

    Examples:
        >>> import jefficient as jf
        >>> coarse = jf.grid(learning_rate=[1e-3, 1e-1], l2=[0.0])
        >>> coarse + jf.grid(l2=[1e-4], learning_rate=[1e-2])
        Space(3 configurations; learning_rate: 0.001, 0.1, 0.01; l2: 0, 0.0001)
        >>> coarse * jf.grid(momentum=[None, 0.9])
        Space(4 configurations; learning_rate: 0.001, 0.1; l2: 0; momentum (static): None, 0.9)
        >>> sgd = jf.grid(kind=["sgd"], momentum=[0.0, 0.9])
        >>> sgd * jf.grid(b2=[0.9]) + jf.grid(kind=["adam"], b2=[0.9, 0.99], momentum=[0.0])
        Space(4 configurations; kind (static): sgd, adam; momentum: 0, 0.9; b2: 0.9, 0.99)
    """

    columns: Mapping[str, Sequence[Any]]
    static: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    _floats: frozenset[str] = dataclasses.field(default=frozenset(), kw_only=True, compare=False)
    _hashes: dataclasses.InitVar[tuple[str, ...] | None] = dataclasses.field(
        default=None, kw_only=True
    )

    def __post_init__(self, _hashes: tuple[str, ...] | None):
        for name in self.columns:
            if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
                raise ArgumentError(
                    f"{WHERE}: a name must be an identifier and no keyword, got {name!r}."
                )
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ArgumentError(
                f"{WHERE}: columns must have one length of at least 1, got {lengths}."
            )
        for name, labels in self.static.items():
            if len(labels) != lengths.get(name):
                raise ArgumentError(
                    f"{WHERE}: static must have a label for each value of a column, got "
                    f"{name}={labels}."
                )
        columns = {name: python_values(column) for name, column in self.columns.items()}
        object.__setattr__(self, "columns", columns)
        self._check_columns(columns)

        if _hashes is not None:  # given if they are known to differ
            self.__dict__["hashes"] = _hashes
            return
        first = _first_indices(self.hashes)
        if len(first) < len(self):
            twice = next(i for i, x in enumerate(self.hashes) if first[x] != i)
            raise ArgumentError(f"{WHERE}: configurations must differ, got {self[twice]} twice.")

    def _check_columns(self, given: Mapping[str, tuple]) -> None:
        """Check values and labels; label what is static without a label."""
        columns = {}
        static = {}
        for name, column in given.items():
            if name in self.static:
                axis = Axis(column, python_values(self.static[name]))
                axis.check_labels(WHERE, name)
            else:
                traced = Axis.traced(WHERE, name, column)
                axis = Axis.static(WHERE, name, column) if traced is None else traced
            columns[name] = axis.values
            if axis.labels is not None:
                static[name] = axis.labels
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "static", static)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return self._comparable == other._comparable and self.static == other.static

    @property
    def _comparable(self) -> dict[str, list]:
        """The columns with lists for arrays, which == compares entry by entry."""
        return {
            name: [x.tolist() if isinstance(x, np.ndarray) else x for x in column]
            for name, column in self.columns.items()
        }

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        columns = [axis.labels or axis.values for axis in self._axes.values()]
        shown = min(len(self), html.MOST_ROWS)
        rows = [[i, *(column[i] for column in columns)] for i in range(shown)]
        return html.paragraph(repr(self)) + html.table(["config", *self._axes], rows, len(self))

    @functools.cached_property
    def _text(self) -> str:  # cached, since every snapshot contains it
        count = f"{len(self)} configuration{'s' if len(self) > 1 else ''}"
        summaries = (axis.summary(name) for name, axis in self._axes.items())
        return f"Space({'; '.join([count, *summaries])})"

    def __add__(self, other: "Space") -> "Space":
        if not isinstance(other, Space):
            return NotImplemented
        if set(self.names) != set(other.names):
            raise ArgumentError(
                f"{WHERE}: spaces joined by + must have the same names, got {list(self.names)} and "
                f"{list(other.names)}. Give each the names that it lacks, with a value that it "
                f"does not use: {self._with_names_of(other, 'first')} + "
                f"{other._with_names_of(self, 'second')}."
            )
        others = other._axes
        axes = {name: a.concatenate(WHERE, name, others[name]) for name, a in self._axes.items()}
        return merged(WHERE, axes, self._floats | other._floats)

    def __mul__(self, other: "Space") -> "Space":
        if not isinstance(other, Space):
            return NotImplemented
        if not set(self.names).isdisjoint(other.names):
            raise ArgumentError(
                f"{WHERE}: spaces crossed by * must have no common name, got {list(self.names)} "
                f"and {list(other.names)}. To append configurations use +."
            )
        check_size(WHERE, "configurations", first=len(self), second=len(other))
        mine, others = np.divmod(np.arange(len(self) * len(other)), len(other))
        return from_axes(
            {name: axis.take(mine.tolist()) for name, axis in self._axes.items()}
            | {name: axis.take(others.tolist()) for name, axis in other._axes.items()}
        )

    def _with_names_of(self, other: "Space", called: str) -> str:
        """Return the code that gives this space, `called` so, the names that only `other` has."""
        axes = [
            f"{name}=[{column[0] if other.is_number(name) else None!r}]"
            for name, column in other.columns.items()
            if name not in self.columns
        ]
        return f"{called} * jf.grid({', '.join(axes)})" if axes else called

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the hyperparameters."""
        return tuple(self.columns)

    @functools.cached_property
    def hashes(self) -> tuple[str, ...]:
        """A hash of each configuration, 32 hexadecimal digits.

        It depends on the configuration alone: not on the process, the version of Python, the order
        of the names, or the other configurations. It is BLAKE2b with 16 bytes of a JSON object
        without spaces, its names sorted, its values these texts: ``int:3``,
        ``float:0x1.8000000000000p+0`` (`float.hex`), ``bool:True``, ``None:``, ``str:relu``,
        ``object:<label>`` for functions and other objects, and for traced arrays their shape and
        their numbers in the order of C: ``int[2, 2]:1,2,3,4``, ``float[1]:0x1.8000000000000p+0``.
        """
        return hashes_of({name: self.identities(name) for name in self.names})

    def is_number(self, name: str) -> bool:
        """Return whether the hyperparameter is traced: it has numbers or arrays, not static."""
        return name not in self.static

    def labels(self, name: str) -> tuple:
        """Return what tables and files show in every configuration.

        Numbers if all are numbers, else strings.
        """
        return tuple(self.static.get(name, self.columns[name]))

    def identities(self, name: str) -> tuple[str, ...]:
        """Return the text of every configuration's value in its hash, equal for equal values."""
        return self._axes[name].identities

    def numbers(self, name: str) -> np.ndarray:
        """Return a traced column as programs get it: int32 if all are whole, else float32.

        Its shape is (configurations,), followed by that of an array.
        """
        if name not in self._numbers:
            column = self.columns[name]
            host = np.asarray(column, float) if name in self._floats else column
            self._numbers[name] = numerics.device_numbers(WHERE, name, host)
        return self._numbers[name].copy()

    @functools.cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        """The columns that `numbers` has made so far."""
        return {}

    def subset(self, indices: Iterable[int]) -> "Space":
        """Return the configurations at these indices.

        Their numbers keep the dtypes of this space, also if those that remain are all whole.
        """
        indices = list(indices)
        floats = frozenset(
            name
            for name in self.names
            if self.is_number(name) and np.issubdtype(self.numbers(name).dtype, np.floating)
        )
        hashes = tuple(self.hashes[i] for i in indices)
        return from_axes(
            {name: axis.take(indices) for name, axis in self._axes.items()}, hashes, floats
        )

    @property
    def _axes(self) -> dict[str, Axis]:
        labels = {name: tuple(column) for name, column in self.static.items()}
        return {name: Axis(tuple(x), labels.get(name)) for name, x in self.columns.items()}


def from_axes(
    axes: Mapping[str, Axis],
    hashes: tuple[str, ...] | None = None,
    floats: frozenset[str] = frozenset(),
) -> Space:
    """Return the space with these columns.

    Args:
        axes: the columns.
        hashes: the configurations' hashes, if they are known to differ.
        floats: the columns that are float32 even if all their numbers are whole.
    """
    static = {name: axis.labels for name, axis in axes.items() if axis.labels is not None}
    return Space(
        {name: axis.values for name, axis in axes.items()}, static, _floats=floats, _hashes=hashes
    )


def deduplicated(
    axes: Mapping[str, Axis], floats: frozenset[str] = frozenset()
) -> tuple[Space, np.ndarray]:
    """Return the space without repeated configurations, and where each of the given ones is in it.

    Args:
        axes: columns of n values.
        floats: the columns that are float32 even if all their numbers are whole.

    Returns:
        The space and its indices, int array (n,).
    """
    hashes = hashes_of({name: axis.identities for name, axis in axes.items()})
    first = _first_indices(hashes)
    distinct = {name: axis.take(first.values()) for name, axis in axes.items()}
    index = {x: i for i, x in enumerate(first)}
    return from_axes(distinct, tuple(first), floats), np.array([index[x] for x in hashes])


def merged(where: str, axes: Mapping[str, Axis], floats: frozenset[str] = frozenset()) -> Space:
    """Return the space without repeated configurations; warn if there are some."""
    space, indices = deduplicated(axes, floats)
    _, first = np.unique(indices, return_index=True)
    repeated = np.delete(indices, first)
    if len(repeated) > 0:
        example = {name: space.labels(name)[repeated[0]] for name in space.names}
        warn(
            f"{where}: every configuration comes once, got {len(repeated)} of {len(indices)} again"
            f", first {example}. They are merged: {len(space)} are left."
        )
    return space


def _first_indices(hashes: tuple[str, ...]) -> dict[str, int]:
    first: dict[str, int] = {}
    for i, x in enumerate(hashes):
        first.setdefault(x, i)
    return first
