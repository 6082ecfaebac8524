"""A trial as three pure functions, which is what lanes run; a `Task` is turned into one."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from ..._core import signatures
from ..._core.errors import ArgumentTypeError
from ..._core.typing import Params, State, Tree

WHERE = "jf.Trial"

POSITIONAL = {"init": 1, "step": 4, "evaluate": 2, "weights": 1}
"""Arguments of each function before the hyperparameters."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A training loop of your own, such as reinforcement learning or a GAN.

    All functions are pure. After the arguments shown they get, by keyword, the hyperparameters that
    they name (all of them where they take ``**hyperparameters``), and `steps` (the trial's total,
    int32) and `fold` where they name them.

    Args:
        init: ``(key, …) -> state``, any tree of arrays.
        step: ``(state, data, t, key, …) -> (state, metrics)``: update t (int32, from 0), and a dict
            of scalars whose means since the last evaluation are recorded as ``train_<name>``. `key`
            belongs to the trial and is the same at every step: fold t into it. Where the metric
            `loss` is not finite, or above `diverged_above`, the trial ends as diverged.
        evaluate: ``(state, data, …) -> dict`` of scalars, called at every evaluation. Where a
            `valid_loss` among them is not finite, the trial ends as diverged, too.
        data: what `step` and `evaluate` read, a tree of arrays that all trials share.
        weights: ``state -> tree``, what is kept of a trained state; by default all of it.

    Raises:
        ArgumentTypeError: where an argument is not a function.

    Examples:
        >>> import jefficient as jf
        >>> import jax
        >>> trial = jf.Trial(  # gradient descent on x²
        ...     init=lambda key: jax.random.normal(key),
        ...     step=lambda x, data, t, key, rate: (x - rate * 2 * x, {"loss": x**2}),
        ...     evaluate=lambda x, data: {"distance": abs(x)},
        ... )
        >>> rates = jf.grid(rate=[0.01, 0.1])
        >>> result = jf.sweep(
        ...     trial, space=rates, steps=50, metric="distance", mode="min", progress=False
        ... )
        >>> result.best().hyperparameters
        {'rate': 0.1}
    """

    init: Callable[..., State]
    step: Callable[..., tuple[State, dict[str, Any]]]
    evaluate: Callable[..., dict[str, jax.Array]]
    data: Tree = None
    weights: Callable[[State], Params] = lambda state: state

    def __post_init__(self):
        for name, positional in POSITIONAL.items():
            function = getattr(self, name)
            if not callable(function):
                raise ArgumentTypeError(f"{WHERE}: {name} must be a function, got {function!r}.")
            signatures.names_asked(f"{WHERE}: {name}", function, positional)
