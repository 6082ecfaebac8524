"""An endless shuffled order of examples, computed where it is needed instead of stored.

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

_ROUNDS = 12  # fewer leave some orders of a handful of rows too rare
_AT_A_TIME = 8192
_U32 = jnp.uint32


def shuffled_batch(key: jax.Array, step: Scalar, size: Scalar, batch_size: int) -> jax.Array:
    """The rows of batch `step` of an endless order that is shuffled anew every epoch.

    Batches straddle epochs: batch t holds places t·batch_size … (t+1)·batch_size - 1 of the order,
    so every epoch has every row once and none is dropped. A pure function of its arguments in
    O(batch_size) time and memory.

    Args:
        key: a typed PRNG key, shape ().
        step: which batch, int32 of shape (), 0 or more; may be traced.
        size: number of rows, 1 or more, below 2³¹; may be traced (folds differ in size).
        batch_size: rows in a batch, 1 <= batch_size <= size. Static.

    Returns:
        Row numbers, int32 of shape (batch_size,), each in 0 … size-1.

    Raises:
        ArgumentError: where a concrete `size` is below `batch_size`, or `step` below 0.
        ArgumentTypeError: where `batch_size` is no whole number.

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
                f"A batch of one epoch cannot hold a row twice."
            )
    return _batch(key, jnp.asarray(step).astype(_U32), jnp.asarray(size).astype(_U32), batch_size)


@functools.partial(jax.jit, static_argnums=3, inline=True)
def _batch(key: jax.Array, step: jax.Array, size: jax.Array, batch_size: int) -> jax.Array:
    epoch, place = _place(step, size, batch_size)
    keys = jax.random.bits(key, (2 * _ROUNDS,), _U32)
    return _permute(place, size, epoch, keys).astype(jnp.int32)


def shuffled_rows(key: jax.Array, begin: int, count: int, size: int) -> np.ndarray:
    """Places begin … begin + count - 1 of the order that `shuffled_batch` cuts into batches, on the host.

    Worked out a fixed number at a time, so that one compilation serves every count, whatever the
    batches are.

    Args:
        key: as for `shuffled_batch`.
        begin: the first place, ``step * batch_size``; of any length.
        count: how many.
        size: number of rows, 1 or more, below 2³¹.

    Returns:
        Row numbers, int32 of shape (count,).
    """
    parts = []
    for first in range(begin, begin + count, _AT_A_TIME):
        epoch, place = divmod(first, size)
        parts.append(np.asarray(_places(key, np.uint32(epoch), np.uint32(place), np.uint32(size))))
    return np.concatenate(parts)[:count]


@jax.jit
def _places(key: jax.Array, epoch: jax.Array, place: jax.Array, size: jax.Array) -> jax.Array:
    keys = jax.random.bits(key, (2 * _ROUNDS,), _U32)
    places = place + jnp.arange(_AT_A_TIME, dtype=_U32)
    return _permute(places % size, size, epoch + places // size, keys).astype(jnp.int32)


def _place(step: jax.Array, size: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
    """Epoch and place in it of each row of the batch: divmod(step·batch_size + i, size) without overflow."""
    epoch, place = jnp.zeros_like(step), jnp.zeros_like(step)
    for bit in bin(batch_size)[2:]:  # step·batch_size by doubling, kept as epoch·size + place
        epoch, place = _carry(2 * epoch, 2 * place, size)
        if bit == "1":
            epoch, place = _carry(epoch + step // size, place + step % size, size)
    places = place + jnp.arange(batch_size, dtype=_U32)
    return epoch + places // size, places % size


def _carry(epoch: jax.Array, place: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    is_past = place >= size
    return epoch + is_past.astype(_U32), jnp.where(is_past, place - size, place)


def _permute(place: jax.Array, size: jax.Array, epoch: jax.Array, keys: jax.Array) -> jax.Array:
    """A bijection of 0 … size-1 for each epoch, elementwise."""
    columns_log2 = (32 - jax.lax.clz(jnp.maximum(size, 1) - 1)) // 2
    columns = _U32(1) << columns_log2
    rows = (size + columns - 1) >> columns_log2
    tweaks = [_mix(epoch ^ keys[2 * i]) ^ keys[2 * i + 1] for i in range(_ROUNDS)]

    def encrypt(x: jax.Array) -> jax.Array:
        column, row = x & (columns - 1), x >> columns_log2
        for i in range(0, _ROUNDS, 2):
            column = (column + _mix(row ^ tweaks[i])) & (columns - 1)
            row = row + _scaled(_mix(column ^ tweaks[i + 1]), rows)
            row = jnp.where(row >= rows, row - rows, row)
        return (row << columns_log2) | column

    return jax.lax.while_loop(
        lambda x: jnp.any(x >= size), lambda x: jnp.where(x >= size, encrypt(x), x), encrypt(place)
    )


def _mix(x: jax.Array) -> jax.Array:
    """A 32-bit hash: xor-shifts and odd multipliers, each step invertible."""
    x = (x ^ (x >> 16)) * _U32(0x7FEB352D)
    x = (x ^ (x >> 15)) * _U32(0x846CA68B)
    return x ^ (x >> 16)


def _scaled(x: jax.Array, n: jax.Array) -> jax.Array:
    """A hash brought to 0 … n-1 (n <= 2¹⁶) by its upper half."""
    return ((x >> 16) * n) >> 16
