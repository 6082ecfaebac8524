"""Many train steps side by side: the same pair of functions with a leading lane axis."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from .._core import numerics, signatures
from .._core.checks import is_traced
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Examples, Params, State
from ._train_step import Metrics, TrainState, TrainStep

WHERE = "jf.vectorize"


class LanesState(NamedTuple):
    """The state of all lanes.

    Attributes:
        hyperparameters: the grid, one array of shape (lanes,) per name.
        state: the state of the train step, its leaves with a leading lane axis.
    """

    hyperparameters: dict[str, jax.Array]
    state: State


class Lanes(NamedTuple):
    """The pair of functions that `jf.vectorize` returns.

    Attributes:
        init: ``(params, hyperparameters=None, **kwargs) -> lanes_state``.
        update: ``(lanes_state, batch) -> (lanes_state, metrics)``.
    """

    init: Callable[..., LanesState]
    update: Callable[[LanesState, Examples], tuple[LanesState, Metrics]]


def vectorize(
    factory: Callable[..., Any],
    hyperparameters: Mapping[str, ArrayLike],
    *,
    batch_axis: int | None = None,
    params_axis: int | None = None,
) -> Lanes:
    """Make one train step for every value of a grid, in one program.

    Args:
        factory: ``(**hyperparameters) -> train step``: a `TrainStep`, or anything else with
            ``init(params)`` and ``update(state, batch) -> (state, metrics)``.
        hyperparameters: an array of shape (lanes,) for each argument of `factory`; several are
            zipped. Floats become float32, integers int32.
        batch_axis: None if all lanes train on the same batch, 0 if each has its own along the first
            axis.
        params_axis: None if all lanes start from the same parameters (and key and model state), 0
            if each has its own along the first axis.

    Returns:
        `Lanes`. The grid is data, not program: ``lanes.init(params, other_grid)`` starts another
        one of the same length without a second compilation of a jitted ``lanes.update``. The
        parameters are ``lanes_state.state.params``, each leaf with the lane axis first.

    Raises:
        ArgumentError: if the grid is empty, has arrays of unequal length, has a name that `factory`
            does not take, or lacks one that it requires. Whatever `factory` raises for one of the
            values is raised here: it is called once for each lane with concrete numbers before
            anything is traced.

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> def loss(params, batch):
        ...     return jnp.mean((params - batch) ** 2)
        >>> lanes = jf.vectorize(
        ...     lambda learning_rate: jf.train_step(loss, jf.sgd(learning_rate)),
        ...     {"learning_rate": jnp.array([0.01, 0.1, 0.4])},
        ... )
        >>> state = lanes.init(jnp.zeros(2))
        >>> update = jax.jit(lanes.update, donate_argnums=0)
        >>> for _ in range(10):
        ...     state, metrics = update(state, jnp.ones(2))
        >>> metrics["loss"].shape, int(jnp.argmin(metrics["loss"]))
        ((3,), 2)
    """
    for name, axis in (("batch_axis", batch_axis), ("params_axis", params_axis)):
        if axis not in (None, 0):
            raise ArgumentError(
                f"{WHERE}: {name} must be None (shared) or 0 (one per lane), got {name}={axis!r}."
            )
    grid = _checked_grid(factory, hyperparameters)

    def init(
        params: Params, hyperparameters: Mapping[str, ArrayLike] | None = None, **kwargs: object
    ) -> LanesState:
        """Return one state per lane; `key` and `model_state` go to the train step's `init`."""
        own = grid if hyperparameters is None else _checked_grid(factory, hyperparameters)
        # Copies, so that donating the state takes nothing from the caller.
        values, params, kwargs = jax.tree.map(jnp.array, (own, params, kwargs))

        def lane(
            numbers: dict[str, jax.Array], params: Params, kwargs: dict[str, Any]
        ) -> TrainState:
            return factory(**numbers).init(params, **kwargs)

        states = jax.vmap(lane, in_axes=(0, params_axis, params_axis))(values, params, kwargs)
        return LanesState(values, states)

    def update(lanes: LanesState, batch: Examples) -> tuple[LanesState, Metrics]:
        """Make one step of every lane; metrics have the lane axis first."""
        if not isinstance(lanes, LanesState):
            raise ArgumentTypeError(
                f"{WHERE}: update must be given what init returns, got {type(lanes).__name__}."
            )

        def lane(
            numbers: dict[str, jax.Array], state: TrainState, batch: Examples
        ) -> tuple[TrainState, Metrics]:
            return factory(**numbers).update(state, batch)

        state, metrics = jax.vmap(lane, in_axes=(0, 0, batch_axis))(
            lanes.hyperparameters, lanes.state, batch
        )
        return LanesState(lanes.hyperparameters, state), metrics

    return Lanes(init, update)


def _checked_grid(
    factory: Callable[..., TrainStep], hyperparameters: Mapping[str, ArrayLike]
) -> dict[str, np.ndarray | jax.Array]:
    """Return the grid as arrays, after `factory` accepted the numbers of every lane."""
    _check_names(factory, hyperparameters)
    grid = {name: _column(name, values) for name, values in hyperparameters.items()}
    lengths = {name: len(column) for name, column in grid.items()}
    if len(set(lengths.values())) > 1:
        raise ArgumentError(
            f"{WHERE}: all hyperparameters must have the same length, got {lengths}."
        )
    if any(is_traced(column) for column in grid.values()):
        return grid
    for lane in range(next(iter(lengths.values()))):
        step = factory(**{name: column[lane] for name, column in grid.items()})
        if isinstance(step, optax.GradientTransformation) or not hasattr(step, "update"):
            raise ArgumentTypeError(
                f"{WHERE}: factory must return a train step (jf.train_step), got {step!r}."
            )
    return grid


def _check_names(
    factory: Callable[..., TrainStep], hyperparameters: Mapping[str, ArrayLike]
) -> None:
    if not isinstance(hyperparameters, Mapping) or not hyperparameters:
        raise ArgumentError(
            f"{WHERE}: hyperparameters must map a name to its values, got {hyperparameters!r}."
        )
    taken = signatures.names_asked(WHERE, factory)
    unknown = [name for name in hyperparameters if name not in taken]
    if unknown:
        raise ArgumentError(
            f"{WHERE}: factory must take every hyperparameter, got {unknown}; it takes "
            f"{list(taken)}."
        )
    required = signatures.names_required(WHERE, factory)
    missing = [name for name in required if name not in hyperparameters]
    if missing:
        raise ArgumentError(
            f"{WHERE}: values must be given for {missing}, got {list(hyperparameters)}."
        )


def _column(name: str, values: ArrayLike) -> np.ndarray | jax.Array:
    """Return the values as an int32 or float32 array, on the host unless they are traced."""
    if not is_traced(values):
        values = np.asarray(values)
        if values.dtype.kind not in "iuf" and not jnp.issubdtype(values.dtype, jnp.floating):
            raise ArgumentTypeError(f"{WHERE}: {name} must hold numbers, got dtype {values.dtype}.")
    if values.ndim != 1 or len(values) == 0:
        raise ArgumentError(
            f"{WHERE}: {name} must have shape (lanes,) with lanes >= 1, got shape {values.shape}."
        )
    if is_traced(values):
        return values.astype(np.int32 if jnp.issubdtype(values.dtype, jnp.integer) else np.float32)
    return numerics.device_numbers(WHERE, name, values)
