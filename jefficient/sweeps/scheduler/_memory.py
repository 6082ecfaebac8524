"""How running out of memory is told."""

import jax

from ..._core.errors import JefficientError


class TooLargeError(JefficientError):
    """A block is predicted not to fit its device."""


MEMORY_ERRORS = (jax.errors.JaxRuntimeError, TooLargeError)
"""What may say that a block does not fit; `is_out_of_memory` tells whether it does."""

_SIGNS = ("RESOURCE_EXHAUSTED", "Out of memory", "YNNPACK operation failed")


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a device had no memory left, or would have none."""
    return isinstance(error, TooLargeError) or any(sign in str(error) for sign in _SIGNS)
