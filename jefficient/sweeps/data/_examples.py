"""The examples of a task: its trees, checked against each other, in memory or as sources."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax

from ..._core import trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Examples, Tree
from ._arrays import arrays, nonfinite
from ._categories import Categories, plain_name
from ._readers import WHERE
from ._source import Source, is_source
from ._tables import plain


class CheckedExamples(NamedTuple):
    """`trees`: the trees by name, of arrays, or sources; `categories`: names of classes.

    `nonfinite`: how many NaN and inf there are, and where; empty where there are none, or `trees`
    are sources.
    """

    trees: dict[str, Examples]
    categories: Categories
    nonfinite: str


def examples_of(
    given: Mapping[str, Examples], categories: Mapping[str, Sequence], *, check_finite: bool
) -> CheckedExamples:
    """Read the trees `data`, `validation` and `test`, those that are given.

    They are arrays of one device, or sources where any leaf of them is read by index. The classes
    of all are those of `data`. Where `data` is None, the others are points of any lengths.
    """
    if given["data"] is None:
        points = {name: fixed_points(name, x) for name, x in given.items() if name != "data"}
        return CheckedExamples(points, {}, _nonfinite(points) if check_finite else "")

    known: Categories = {
        place: tuple(map(plain_name, names)) for place, names in categories.items()
    }
    found = {"data": plain("data", given["data"], known)}
    known |= found["data"].categories
    _check_places(known, found["data"].tree)
    for name, tree in given.items():
        if name != "data":
            found[name] = plain(name, tree, known)
            _check_named_alike(name, found[name].categories, found["data"].categories)

    are_read = any(is_source(x.tree) for x in found.values())
    arrange = Source.of if are_read else arrays
    made = {name: arrange(name, x.tree) for name, x in found.items()}
    for name, tree in made.items():
        _check_alike(example_of(made["data"]), name, example_of(tree))
    return CheckedExamples(made, known, _nonfinite(made) if check_finite and not are_read else "")


def fixed_points(name: str, points: Examples) -> Examples:
    """Return the arrays of a batch that is evaluated as it is, each of its own length; or None."""
    if points is None:
        return None
    found = plain(name, points, {})
    if is_source(found.tree) or found.categories:
        raise ArgumentTypeError(
            f"{WHERE}: with data=None, {name} must be points in memory, arrays of numbers, got "
            f"{points!r}."
        )
    return arrays(name, found.tree, has_one_length=False)


def _nonfinite(trees_by_name: Mapping[str, Examples]) -> str:
    texts = [text for name, tree in trees_by_name.items() for text in nonfinite(name, tree)]
    return "; ".join(texts)


def example_of(tree: Examples) -> Tree:
    """Return shapes and dtypes of one example."""
    if isinstance(tree, Source):
        return tree.example
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)


def _check_places(categories: Categories, data: Examples) -> None:
    """Check that categories are those of leaves."""
    if isinstance(data, Source):
        return
    leaves = jax.tree_util.tree_leaves_with_path(data)
    places = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    unknown = [place for place in categories if place not in places]
    if unknown:
        raise ArgumentError(
            f"{WHERE}: categories must name leaves of data, {places}, got {unknown[0]!r}."
        )


def _check_named_alike(name: str, own: Categories, of_data: Categories) -> None:
    """Refuse names of classes beside codes: nothing tells that they have the same order."""
    for place in own.keys() ^ of_data.keys():
        raise ArgumentTypeError(
            f"{WHERE}: {name} must name classes where data does, got names of {place!r} in "
            f"{name if place in own else 'data'} alone."
        )


def _check_alike(mine: Tree, name: str, others: Tree) -> None:
    if trees.kind_of(mine) != trees.kind_of(others):
        raise ArgumentError(
            f"{WHERE}: the examples of {name} must be like those of data, got "
            f"{trees.shown(others)} against {trees.shown(mine)}."
        )
