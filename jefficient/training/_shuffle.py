"""An endless shuffled order of examples, computed when it is needed instead of stored.

The order of an epoch is a keyed bijection of 0 … size-1: a Feistel network over a rectangle of 2ᵏ
columns and ⌈size / 2ᵏ⌉ rows, walked until it lands below `size` (fewer than one column of the
rectangle lies above it).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from .._core import checks
from .._core.checks import is_traced
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Scalar

_ROUNDS = 12  # with fewer some orders of a handful of examples are too rare
_AT_A_TIME = 8192
_U32 = jnp.uint32


def shuffled_batch(key: jax.Array, step: Scalar, size: Scalar, batch_size: int) -> jax.Array:
    """Return the indices of batch `step` of an endless order that is shuffled anew every epoch.

    Batches straddle epochs: batch t holds positions t·batch_size … (t+1)·batch_size - 1 of the
    order, so every epoch has every example once and none is dropped. A pure function of its
    arguments in O(batch_size) time and memory.

    Args:
        key: a typed PRNG key, shape ().
        step: which batch, int32 of shape (), 0 or more; may be traced.
        size: number of examples, 1 or more, below 2³¹; may be traced (folds differ in size).
        batch_size: examples in a batch, 1 <= batch_size <= size. Static.

    Returns:
        Indices of examples, int32 of shape (batch_size,), each in 0 … size-1.

    Raises:
        ArgumentError: if a concrete `size` is below `batch_size`, or `step` below 0.
        ArgumentTypeError: if `batch_size`, `size` or `step` is not a whole number.

    References:
        Luby and Rackoff 1988, https://doi.org/10.1137/0217022 (Feistel networks); Black and Rogaway
        2002, https://doi.org/10.1007/3-540-45760-7_9 (cycle walking, rectangles).

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> batches = [jf.shuffled_batch(jax.random.key(0), step, 6, 4) for step in range(3)]
        >>> order = jnp.concatenate(batches)
        >>> sorted(order[:6].tolist()), sorted(order[6:].tolist())
        ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])
    """
    where = "jf.shuffled_batch"
    checks.check_count(where, batch_size=batch_size)
    checks.check_not_negative(where, step=step)
    if not jnp.issubdtype(jnp.result_type(step), jnp.integer):
        raise ArgumentTypeError(
            f"{where}: step must be a whole number, got dtype {jnp.result_type(step)}."
        )
    if not is_traced(size):
        checks.check_count(
            where, size=int(size) if jnp.issubdtype(jnp.result_type(size), jnp.integer) else size
        )
        if int(size) < batch_size:
            raise ArgumentError(
                f"{where}: batch_size <= size must hold, got batch_size={batch_size}, size={size}. "
                f"A batch of one epoch cannot hold an example twice."
            )
    return _batch(key, jnp.asarray(step).astype(_U32), jnp.asarray(size).astype(_U32), batch_size)


def sequential_batch(step: jax.Array, size: jax.Array | int, batch_size: int) -> jax.Array:
    """Return the indices of batch `step` in the order of the examples, over and over.

    As `shuffled_batch` without a shuffle: int32 of shape (batch_size,).
    """
    _, position = _positions(step.astype(_U32), jnp.asarray(size).astype(_U32), batch_size)
    return position.astype(jnp.int32)


@functools.partial(jax.jit, static_argnums=3, inline=True)
def _batch(key: jax.Array, step: jax.Array, size: jax.Array, batch_size: int) -> jax.Array:
    epoch, position = _positions(step, size, batch_size)
    keys = jax.random.bits(key, (2 * _ROUNDS,), _U32)
    return _permute(position, size, epoch, keys).astype(jnp.int32)


def shuffled_indices(key: jax.Array, begin: int, count: int, size: int) -> np.ndarray:
    """Return positions begin … begin + count - 1 of the order of `shuffled_batch`, on the host.

    They are computed a fixed number at a time, so one compilation serves every count and batch
    size.

    Args:
        key: as in `shuffled_batch`.
        begin: the first position, ``step * batch_size``, of any size.
        count: number of positions.
        size: number of examples, 1 or more, below 2³¹.

    Returns:
        Indices of examples, int32 of shape (count,).
    """
    found = []
    for first in range(begin, begin + count, _AT_A_TIME):
        epoch, position = divmod(first, size)  # Python integers, which do not overflow
        given = (np.uint32(epoch), np.uint32(position), np.uint32(size))
        found.append(np.asarray(_indices_from(key, *given)))
    return np.concatenate(found)[:count]


@jax.jit
def _indices_from(
    key: jax.Array, epoch: jax.Array, position: jax.Array, size: jax.Array
) -> jax.Array:
    keys = jax.random.bits(key, (2 * _ROUNDS,), _U32)
    positions = position + jnp.arange(_AT_A_TIME, dtype=_U32)
    indices = _permute(positions % size, size, epoch + positions // size, keys)
    return indices.astype(jnp.int32)


def _positions(step: jax.Array, size: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
    """Return the epoch of each example of the batch, and its position in it.

    That is divmod(step·batch_size + i, size) without overflow.
    """
    epochs, rest = step // size, step % size
    epoch, position = epochs, rest
    for bit in bin(batch_size)[3:]:  # step·batch_size by doubling, as epoch·size + position
        epoch, position = _carry(2 * epoch, 2 * position, size)
        if bit == "1":
            epoch, position = _carry(epoch + epochs, position + rest, size)
    positions = position + jnp.arange(batch_size, dtype=_U32)
    return epoch + positions // size, positions % size


def _carry(epoch: jax.Array, position: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    is_past = position >= size
    return epoch + is_past.astype(_U32), jnp.where(is_past, position - size, position)


def _permute(position: jax.Array, size: jax.Array, epoch: jax.Array, keys: jax.Array) -> jax.Array:
    """Apply the epoch's bijection of 0 … size-1, elementwise."""
    columns_log2 = (32 - jax.lax.clz(jnp.maximum(size, 1) - 1)) // 2
    columns = _U32(1) << columns_log2
    rows = (size + columns - 1) >> columns_log2
    tweaks = _mix(epoch[None] ^ keys[::2, None]) ^ keys[1::2, None]

    def encrypt(x: jax.Array) -> jax.Array:
        column = x & (columns - 1)
        row = x >> columns_log2
        for even, odd in zip(tweaks[::2], tweaks[1::2], strict=True):
            column, row = _two_rounds(column, row, even, odd, columns, rows)
        return (row << columns_log2) | column

    def is_outside(x: jax.Array) -> jax.Array:
        return x >= size

    # Cycle walking: encrypt again whatever lies in the rectangle but not below `size`.
    return jax.lax.while_loop(
        lambda x: jnp.any(is_outside(x)),
        lambda x: jnp.where(is_outside(x), encrypt(x), x),
        encrypt(position),
    )


@jax.jit  # traced and lowered once
def _two_rounds(
    column: jax.Array,
    row: jax.Array,
    even: jax.Array,
    odd: jax.Array,
    columns: jax.Array,
    rows: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Move the columns by a hash of the rows, then the rows by a hash of the columns."""
    column = (column + _mix(row ^ even)) & (columns - 1)
    row = row + _scaled(_mix(column ^ odd), rows)
    return column, jnp.where(row >= rows, row - rows, row)


def _mix(x: jax.Array) -> jax.Array:
    """Hash to 32 bits by xor-shifts and odd multipliers, each step invertible."""
    x = (x ^ (x >> 16)) * _U32(0x7FEB352D)
    x = (x ^ (x >> 15)) * _U32(0x846CA68B)
    return x ^ (x >> 16)


def _scaled(x: jax.Array, n: jax.Array) -> jax.Array:
    """Scale the upper half of a hash to 0 … n-1, n <= 2¹⁶."""
    return ((x >> 16) * n) >> 16
