"""What one lane does, as three pure functions: the engine's own contract, on which `Task` is built."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from ..._core import signatures
from ..._core.errors import ArgumentTypeError
from ..._core.typing import Tree

WHERE = "jf.Trial"


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A training loop of your own: reinforcement learning, a GAN, whatever is not a mean over rows of data.

    All functions are pure. After the arguments shown they get, by keyword, the hyperparameters that
    they name (all of them where they take ``**hyperparameters``), and `steps` (the trial's total,
    int32) and `fold` where they name them.

    Args:
        init: ``(key, …) -> state``, any tree of arrays.
        step: ``(state, data, t, key, …) -> (state, metrics)``: update t (int32, from 0) and a dict
            of scalars, whose means since the last evaluation are shown as ``train_<name>``. `key`
            is the trial's own and the same at every step: fold t into it. A metric `loss` that is
            not finite, or beyond the bound, ends the trial as diverged.
        evaluate: ``(state, data, …) -> dict`` of scalars, made at every evaluation. A `valid_loss`
            among them that is not finite ends the trial as diverged, too.
        data: what `step` and `evaluate` read, a tree of arrays that all trials share.
        weights: ``state -> tree``, what is kept of a trained state; by default all of it.

    Raises:
        ArgumentTypeError: where a function is none.

    Examples:
        >>> import jefficient as jf
        >>> import jax
        >>> trial = jf.Trial(  # a random walk towards the lowest place
        ...     init=lambda key: jax.random.normal(key),
        ...     step=lambda x, data, t, key, rate: (x - rate * 2 * x, {"loss": x**2}),
        ...     evaluate=lambda x, data: {"distance": abs(x)},
        ... )
        >>> result = jf.sweep(trial, space=jf.grid(rate=[0.01, 0.1]), steps=50, metric="distance", mode="min",
        ...                   progress=False)
        >>> result.best().hyperparameters
        {'rate': 0.1}
    """

    init: Callable[..., Any]
    step: Callable[..., tuple[Any, dict[str, jax.Array]]]
    evaluate: Callable[..., dict[str, jax.Array]]
    data: Tree = None
    weights: Callable[[Any], Tree] = lambda state: state

    def __post_init__(self):
        for name, positional in (("init", 1), ("step", 4), ("evaluate", 2), ("weights", 1)):
            function = getattr(self, name)
            if not callable(function):
                raise ArgumentTypeError(f"{WHERE}: {name} must be a function, got {function!r}.")
            signatures.names_asked(f"{WHERE}: {name}", function, positional)
