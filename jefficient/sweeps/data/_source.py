"""Examples that stay where they are, on a disk above all, and are read when they are needed."""

import dataclasses
from typing import Any

import jax
import numpy as np

from ..._core import trees
from ..._core.errors import ArgumentError
from ..._core.serialization import digest_of
from ..._core.typing import Examples, Tree
from ._readers import (
    WHERE,
    FileReference,
    ItemReader,
    as_dtype,
    is_array,
    is_stored,
    length_of,
    name_at,
    read_examples,
    reader_of,
    spec_of_example,
)

_MOST = 2**31 - 1
"""Examples at most: indices are int32."""

_SAMPLE = 256
"""Examples that a digest reads."""


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A tree whose leaves are read by index.

    Attributes:
        name: what messages call it.
        tree: the leaves: arrays (in memory, `numpy.memmap`, of h5py or zarr), or anything with
            `__len__` and `__getitem__` that returns a tree of arrays.
        size: number of examples.
        example: shapes and dtypes of one example as lanes see it.
    """

    name: str
    tree: Tree
    size: int
    example: Tree

    @classmethod
    def of(cls, name: str, tree: Examples) -> "Source":
        """Make a source of a tree; of each leaf the first and the last example are read.

        Raises:
            ArgumentError: where there is no example or 2³¹, lengths differ or examples are unlike.
            ArgumentTypeError: where an example holds no numbers.
        """
        if isinstance(tree, Source):
            return tree

        readers = jax.tree_util.tree_map_with_path(
            lambda path, x: reader_of(name_at(name, path), x), tree
        )
        sizes = {
            name_at(name, path): length_of(x)
            for path, x in jax.tree_util.tree_leaves_with_path(readers)
        }
        if len(set(sizes.values())) > 1:
            raise ArgumentError(
                f"{WHERE}: all leaves of {name} must have the same number of examples, got {sizes}."
            )
        size = next(iter(sizes.values()))
        if size == 0:
            raise ArgumentError(f"{WHERE}: {name} must have at least one example, got none.")
        if size > _MOST:
            raise ArgumentError(
                f"{WHERE}: {name} must have fewer than 2**31 examples, got {size:,}."
            )

        first = read_examples(readers, np.array([0]))
        example = jax.tree_util.tree_map_with_path(
            lambda path, x: spec_of_example(name_at(name, path), x), first
        )
        return cls(name, readers, size, example)

    def read(self, indices: np.ndarray) -> Examples:
        """Read examples, in this order: NumPy arrays (n, …), not shared with the source.

        Args:
            indices: shape (n,), in any order, repeated or not.

        Raises:
            ArgumentError: where examples are unlike the first one, or whole numbers do not fit.
            ArgumentTypeError: where a dtype holds more than that of the first example.
        """
        try:
            found = read_examples(self.tree, indices)
        except Exception as error:
            error.add_note(
                f"{WHERE}: raised while {len(indices)} examples of {self.name} were read: {indices}"
            )
            raise
        if jax.tree.structure(found) != jax.tree.structure(self.example):
            raise ArgumentError(
                f"{WHERE}: all examples of {self.name} must be alike, got {trees.shown(found)} for "
                f"the examples {indices}, {trees.shown(self.example)} for the first one."
            )
        return jax.tree.map(
            lambda x, like: self._checked(x, like, len(indices)), found, self.example
        )

    def _checked(self, x: np.ndarray, like: jax.ShapeDtypeStruct, count: int) -> np.ndarray:
        if x.shape != (count, *like.shape):
            raise ArgumentError(
                f"{WHERE}: every example of {self.name} must have the shape of the first one, "
                f"{like.shape}, got arrays of shape {x.shape} for {count} examples."
            )
        return as_dtype(self.name, x, like.dtype)

    def batch(self, *leading: int) -> Examples:
        """Return shapes and dtypes of examples with these axes before their own."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((*leading, *x.shape), x.dtype), self.example
        )

    @property
    def labels(self) -> Examples:
        """The leaves with one number for each example, as labels are; None for the others."""
        return jax.tree.map(
            lambda x: None if isinstance(x, ItemReader) or len(x.shape) > 1 else x, self.tree
        )

    @property
    def example_bytes(self) -> int:
        """Bytes of one example as lanes see it."""
        return max(1, sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.example)))

    def digest(self) -> str:
        """Digest the length and a sample spread over it: reading all would take an epoch's time."""
        count = min(self.size, _SAMPLE)
        indices = np.unique(np.linspace(0, self.size - 1, count).astype(np.int64))
        sample = self.read(indices)
        return digest_of({"indices": indices, "size": np.int64(self.size), "sample": sample})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle files by name: another process opens them itself."""
        leaves = jax.tree.map(FileReference.of, self.tree)
        return _reopened, (self.name, leaves, self.size, self.example)


def is_source(tree: Examples) -> bool:
    """Return whether a leaf is read where it is instead of being copied into memory."""
    return isinstance(tree, Source) or any(
        is_stored(x) or not is_array(x) for x in jax.tree.leaves(tree)
    )


def _reopened(name: str, tree: Tree, size: int, example: Tree) -> Source:
    def opened(leaf: object) -> object:
        return leaf.open(*leaf.arguments) if isinstance(leaf, FileReference) else leaf

    return Source(name, jax.tree.map(opened, tree), size, example)
