"""Diagnostics that cost gradients: what they are computed on at an evaluation, and by which."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Tree
from ...training import TrainState, noise_scale, sharpness
from ._lane_data import ResidentData
from ._notes import WHERE
from ._task import Task

PROBES = ("sharpness", "noise_scale")

EXAMPLES = 1024
"""Training examples at most, but for one batch."""

_MICROBATCHES = 128
"""Microbatches at least, where there are as many examples."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """What is measured of the training loss at evaluations, the same examples for all of them.

    Attributes:
        names: what is measured, among `PROBES`.
        size: training examples of the smallest fold.
    """

    names: tuple[str, ...] = ()
    size: int = 0

    def measure(
        self,
        task: Task,
        loss: Callable[..., Any],
        state: TrainState,
        data: ResidentData,
        static: Mapping[str, Any],
        fold: jax.Array,
    ) -> dict[str, jax.Array]:
        """Return each value of a state, by name, float32."""
        key = jax.random.key(0, impl="threefry2x32")  # one order, for all trials of a fold
        batch_size = static["batch_size"]
        examples = min(self.size, max(EXAMPLES, batch_size))

        # found once for all products with the Hessian
        indices = data.training_indices(task, jnp.int32(0), key, fold, examples)

        def batches(count: int, size: int) -> Callable[[jax.Array], Tree]:
            each = indices[: count * size].reshape(count, size)
            return lambda i: data.training_examples(task, fold, each[i])

        values = {}
        has_state = task.model_state
        if "sharpness" in self.names:
            count = examples // batch_size
            read = batches(count, batch_size)
            values["sharpness"] = sharpness(loss, state, read, count, model_state=has_state)
        if "noise_scale" in self.names:
            size = max(1, min(batch_size, examples // _MICROBATCHES))
            count = examples // size
            read = batches(count, size)
            values["noise_scale"] = noise_scale(
                loss, state, read, count, size, model_state=has_state
            )
        return {name: x.astype(jnp.float32) for name, x in values.items()}


NO_PROBE = Probe()


def checked_probes(names: object) -> tuple[str, ...]:
    """Check the argument `diagnostics`."""
    if not isinstance(names, tuple):
        raise ArgumentTypeError(
            f"{WHERE}: diagnostics must be a tuple of names among {list(PROBES)}, got {names!r}."
        )
    if not set(names) <= set(PROBES) or len(set(names)) < len(names):
        raise ArgumentError(
            f"{WHERE}: diagnostics must be different names among {list(PROBES)}, got {names!r}."
        )
    return names
