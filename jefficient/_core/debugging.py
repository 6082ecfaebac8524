"""JAX's settings for debugging: read in one place, and off where the engine computes.

Lanes that idle or have diverged compute NaN, programs are compiled ahead, and the host and the
devices hand each other numbers, so these settings would raise in the middle of a healthy sweep.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import jax

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class DebugTools:
    """Which of JAX's debugging tools the user has switched on.

    Attributes:
        nans: ``jax_debug_nans``.
        infs: ``jax_debug_infs``.
        no_jit: ``jax_disable_jit``.
    """

    nans: bool = False
    infs: bool = False
    no_jit: bool = False

    @classmethod
    def here(cls) -> "DebugTools":
        """Read the settings of this thread."""
        names = ("jax_debug_nans", "jax_debug_infs", "jax_disable_jit")
        return cls(*(bool(getattr(jax.config, name)) for name in names))

    @contextmanager
    def op_by_op(self) -> Iterator[None]:
        """Compute each operation inside by itself, checked as the user asked."""
        with jax.debug_nans(self.nans), jax.debug_infs(self.infs), jax.disable_jit(True):
            yield


@contextmanager
def tools_off() -> Iterator[None]:
    """Switch JAX's debugging tools off, and let numbers be transferred, in this thread."""
    with (
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.disable_jit(False),
        jax.transfer_guard("allow"),
    ):
        yield


class Workers(ThreadPoolExecutor):
    """Threads in which the tools are off, too: settings of a thread do not reach its workers."""

    def submit(self, fn: Callable[..., T], /, *args: object, **kwargs: object) -> Future[T]:
        """Call a function in one of the threads."""
        return super().submit(tools_off()(fn), *args, **kwargs)
