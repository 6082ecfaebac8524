"""What passes between the host and the lanes of a block, as trees of arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Device, Params, State, Tree
from ..tasks import Begin, Sums


class Commands(NamedTuple):
    """What the host tells the lanes of a block before a segment; the lane axis comes first.

    NumPy arrays on the host, jax arrays in the program.
    """

    fresh: Any  # bool: begin the trial that the next four describe, instead of going on
    hyperparameters: dict[str, Any]  # int32 or float32
    seed: Any  # uint32
    fold: Any  # int32
    steps: Any  # int32: the trial's total
    until: Any  # int32: updates made at the next evaluation; 0 for idle lanes
    has_improved: Any = None  # bool: the last evaluation was the best; None if lanes know it


class Shared(NamedTuple):
    """What all lanes of a sweep read: the data, and the key that trials derive theirs from."""

    data: Tree
    key: jax.Array


class Checkpointed(NamedTuple):
    """The best weights of a trial so far, and their score (smaller is better)."""

    score: Any  # float32
    weights: Params


class Lane(NamedTuple):
    """The state of one lane; in a block every leaf has the lane axis first."""

    hyperparameters: dict[str, jax.Array]
    fold: jax.Array  # int32
    key: jax.Array  # the trial's own, never changed
    steps: jax.Array  # int32: the trial's total
    step: jax.Array  # int32: updates made
    status: jax.Array  # int32, a `Status`
    diverged_at: jax.Array  # int32, -1 for never
    accumulators: dict[
        str, jax.Array | Sums
    ]  # float32: training metrics since the last evaluation, summed
    state: State
    checkpoint: Checkpointed | None


class Start(NamedTuple):
    """What a trial begins with instead of what `init` returns: a state, or weights to begin with.

    NumPy arrays on the host, jax arrays in the program; what is not given is None. Where neither
    is, the trial started from something that is not held any more.
    """

    step: Any  # int32: updates made
    state: State = None
    weights: Params = None
    best: Checkpointed | None = None  # the best weights so far

    @property
    def is_held(self) -> bool:
        """Whether a trial can begin with it."""
        return self.state is not None or self.weights is not None

    def begun(self, begin: Begin, key: jax.Array, hyperparameters: dict[str, Any]) -> State:
        """Return the state that a trial with this key begins with."""
        if self.weights is None:
            return begin.resume(key, self.state)
        assert begin.restart is not None
        return begin.restart(key, self.weights, **hyperparameters)


class Evaluation(NamedTuple):
    """What the host reads after a segment; the lane axis comes first."""

    values: dict[str, jax.Array]  # float32; NaN where the trial has diverged
    status: jax.Array  # int32, a `Status`
    step: jax.Array  # int32: updates made
    diverged_at: jax.Array  # int32, -1 for never
    predictions: dict[str, Tree] | None = None  # for the validation set, to be scored on the host
    seconds: Any = None  # float64: wall time since the sweep began, which the host adds


def zeros(lanes: Lane, device: Device) -> Lane:
    """Make lanes of these shapes on a device, all of them without a trial."""

    def leaf(x: jax.Array | jax.ShapeDtypeStruct) -> jax.Array | np.ndarray:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return (jnp if is_key else np).zeros(x.shape, x.dtype)  # NumPy's compile nothing

    return jax.device_put(jax.tree.map(leaf, lanes), device)
