"""The programs of a block whose trials are differentiated: called in order, in threads, timed."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np

from ..._core.debugging import Workers
from ..._core.typing import Device
from ..programs import Carry, Ending, GradientProgram, Place, Shared

_LONG_ENOUGH = 0.1
"""Seconds of a call that is timed, at least."""

T = TypeVar("T")

Given: TypeAlias = tuple[dict[str, jax.Array], Place, Shared]
"""What a block's trials are given: numbers that are differentiated, places, what all read."""

Found: TypeAlias = tuple[Ending, dict[str, jax.Array], jax.Array]
"""Of a block's trials the end, the derivatives, and the first loss."""

REST = "back through the rest"
"""The function `back` of the program of a shorter segment."""


class Calls:
    """The functions of a block, compiled for a device when they are first called.

    `shorter` is the program of a last segment that has fewer updates, None where all are alike.
    """

    def __init__(
        self,
        program: GradientProgram,
        shorter: GradientProgram | None,
        device: Device,
        shared: Shared,
    ):
        self.program = program
        self.shorter = shorter
        self.device = device
        self.shared = shared
        self.compiled: dict[str, jax.stages.Compiled] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str, *arguments: object) -> Any:
        with self._lock:  # blocks side by side share what is compiled
            if name not in self.compiled:
                program, function = self.program, name
                if name == REST:
                    assert self.shorter is not None
                    program, function = self.shorter, "back"
                self.compiled[name] = program.compiled(function, self.device, *arguments)
        return self.compiled[name](*arguments)


def forward(call: Calls, given: Given, steps: int) -> Found:
    """Carry tangents along."""
    numbers, places, shared = given
    carry, first = call("first", *given)
    tangents = call("first_tangents", *given)
    ends = np.int32(0), np.int32(steps)
    carry, tangents = call("advance_tangents", numbers, carry, tangents, places, shared, *ends)
    ending, gradients = call("finish_tangents", numbers, carry, tangents, places, shared)
    return ending, gradients, first


def reverse(call: Calls, given: Given, steps: int) -> Found:
    """Keep the carry of every segment; pull the adjoint back through them."""
    numbers, places, shared = given
    begins = [np.int32(t) for t in range(0, steps, call.program.length)]
    ends = [*begins[1:], np.int32(steps)]
    carry, first = call("first", *given)
    checkpoints = []
    for begin, end in zip(begins, ends, strict=True):
        checkpoints.append(carry)
        carry = call("advance", numbers, carry, places, shared, begin, end)
    ending, gradients, adjoints = call("adjoint", numbers, carry, places, shared)
    names = ["back"] * len(begins)
    if call.shorter is not None:  # padded updates past the end might have no derivative
        names[-1] = REST
    for name, begin in zip(reversed(names), reversed(begins), strict=True):
        carry = checkpoints.pop()
        gradients, adjoints = call(name, numbers, carry, places, shared, begin, gradients, adjoints)
    gradients = call("back_to_init", *given, gradients, adjoints)
    return ending, gradients, first


def timed(call: Calls, given: Given, mode: str, steps: int) -> tuple[float, float]:
    """Time a block of one mode, by short calls: seconds of training alone, and of derivatives."""
    numbers, places, shared = given
    start = np.int32(0)
    carry, _ = call("first", *given)

    def trained(count: int) -> Carry:
        return call("advance", numbers, carry, places, shared, start, np.int32(count))

    update = _seconds_of_update(trained)
    if mode == "forward":
        tangents = call("first_tangents", *given)

        def pushed(count: int) -> tuple[Carry, Carry]:
            ends = start, np.int32(count)
            return call("advance_tangents", numbers, carry, tangents, places, shared, *ends)

        ending = _seconds(lambda: call("finish_tangents", numbers, carry, tangents, places, shared))
        return steps * update, steps * _seconds_of_update(pushed) + ending

    _, gradients, adjoints = call("adjoint", numbers, carry, places, shared)
    ending = _seconds(lambda: call("adjoint", numbers, carry, places, shared))
    ending += _seconds(lambda: call("back_to_init", *given, gradients, adjoints))
    segment = _seconds(
        lambda: call("back", numbers, carry, places, shared, start, gradients, adjoints)
    )
    segments = math.ceil(steps / call.program.length)
    return steps * update, steps * update + segments * segment + ending


def _seconds_of_update(advance: Callable[[int], object]) -> float:
    """Time calls of so many updates until one takes long enough."""
    count = 2
    none = _seconds(partial(advance, 0))
    while (took := _seconds(partial(advance, count))) < _LONG_ENOUGH and count < 2**20:
        count *= 4
    return max(took - none, 0.0) / count


def _seconds(call: Callable[[], object]) -> float:
    """Return the seconds of a call, the shortest of two after a first that loads the program."""
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        jax.block_until_ready(call())
        took.append(time.perf_counter() - begun)
    return min(took[1:])


def side_by_side(
    run: Callable[[Calls, np.ndarray], T], slots: list[Calls], blocks: Sequence[np.ndarray]
) -> list[T]:
    """Run blocks on slots, in order."""
    if len(slots) == 1:
        return [run(slots[0], block) for block in blocks]
    is_x64 = jax.dtypes.canonicalize_dtype(float) == np.float64

    def in_thread(slot: Calls, block: np.ndarray) -> T:
        with jax.enable_x64(is_x64):  # a context of the caller's does not reach its threads
            return run(slot, block)

    with Workers(len(slots)) as pool:
        return list(pool.map(in_thread, itertools.cycle(slots), blocks))
