"""A learning rate that follows its own gradient, online."""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import DType, Params, Scalar, State, Updates
from . import _base
from ._extra_args import accepting

Rule = Literal["additive", "multiplicative"]


class HypergradientDescentState(NamedTuple):
    """The learning rate in force, the last direction, and the state of the inner transform.

    `learning_rate`: shape (), the widest dtype of the parameters, float32 at least; `direction`:
    the last update of the inner transform, one leaf per parameter leaf, in its dtype.
    """

    learning_rate: jax.Array
    direction: Updates
    inner_state: State
    hyperparameters: _base.Report


def hypergradient_descent(
    tx: optax.GradientTransformation,
    learning_rate: Scalar,
    hyper_learning_rate: Scalar,
    *,
    rule: Rule = "additive",
) -> optax.GradientTransformationExtraArgs:
    """Step by η_t times the update of `tx`, and let η follow its own gradient during the training.

    With g_t the gradient, d_t the update of `tx` and d₀ = 0, h_t = ⟨g_t, d_{t-1}⟩ is the derivative
    of the loss in the learning rate of the step before:

        η_t = η_{t-1} - β·h_t                                 (additive)
        η_t = η_{t-1} · (1 - β·h_t / (‖g_t‖·‖d_{t-1}‖))       (multiplicative)
        u_t = η_t·d_t

    ``hypergradient_descent(jf.sgd(1.0), η, β)`` is the paper's SGD-HD, with ``jf.sgd(1.0, 0.9,
    nesterov=True)`` SGDN-HD, and with ``jf.adam(1.0)`` Adam-HD. It looks one step ahead; the
    derivative through a whole training is `jf.hypergradient`, which is another thing.

    Args:
        tx: a transform of jefficient or optax, that is, a whole optimizer, with learning rate 1.
        learning_rate: η before the first update, 0 <= learning_rate < inf; may be traced.
        hyper_learning_rate: β, 0 <= hyper_learning_rate < inf; may be traced. For the additive rule
            it has the unit of η² divided by that of the loss, so it is tiny (1e-7 with Adam) and
            depends on the loss; for the multiplicative rule it has none (0.02 to 0.1).
        rule: how η follows. Static. The additive rule may turn η negative; the multiplicative one
            keeps its sign where β < 1.

    Returns:
        The transform; updates have the dtypes of those of `tx`. Its state has one more tree of
        parameters. It reports `learning_rate`, η in force, and `hyper_learning_rate`.

    Raises:
        ArgumentTypeError: where `tx` is not a transform.
        ArgumentError: where a number is out of range or not a scalar, or `rule` is none of these.

    References:
        Baydin et al. 2018, https://arxiv.org/abs/1703.04782, equations 5 to 8 and algorithms 4 to
        6; the additive rule was found by Almeida et al. 1998, Parameter adaptation in stochastic
        optimization.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.hypergradient_descent(jf.sgd(1.0), 0.125, 0.0625)
        >>> params = jnp.array([2.0])
        >>> state = tx.init(params)
        >>> for _ in range(3):  # minimise θ²/2
        ...     updates, state = tx.update(params, state, params)
        ...     params = jf.apply_updates(params, updates)
        ...     print(round(float(state.learning_rate), 4))
        0.125
        0.3438
        0.4694
    """
    where = "jf.hypergradient_descent"
    _base.check_transform(where, tx, "tx")
    checks.check_not_negative(
        where, learning_rate=learning_rate, hyper_learning_rate=hyper_learning_rate
    )
    checks.one_of(where, "rule", rule, get_args(Rule))
    tx = accepting(tx)
    followed = _added if rule == "additive" else _multiplied

    def report(rate: jax.Array) -> _base.Report:
        return _base.report(where, learning_rate=rate, hyper_learning_rate=hyper_learning_rate)

    def init(params: Params) -> HypergradientDescentState:
        direction = trees.zeros_like(where, params)
        dtypes = [numerics.real_dtype(trees.dtype_of(p)) for p in jax.tree.leaves(params)]
        rate = numerics.scalar(learning_rate, numerics.compute_dtype(*dtypes))
        rate = jnp.array(rate)  # a copy: a state may be donated
        return HypergradientDescentState(rate, direction, tx.init(params), report(rate))

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, HypergradientDescentState]:
        _base.check_state(where, HypergradientDescentState, state)
        _base.check_gradients(where, updates, params)
        beta = numerics.scalar(hyper_learning_rate, state.learning_rate.dtype)
        rate = followed(state.learning_rate, beta, updates, state.direction)
        d, inner_state = tx.update(updates, state.inner_state, params, **extra_args)

        def numbers(real: DType) -> tuple[jax.Array]:
            return (rate.astype(real),)

        u, direction = trees.map_leaves(
            where, _scaled, d, states=(state.direction,), numbers=numbers
        )
        return u, HypergradientDescentState(rate, direction, inner_state, report(rate))

    return optax.GradientTransformationExtraArgs(init, update)


def _scaled(d: jax.Array, _: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
    return rate * d, d


def _added(rate: jax.Array, beta: jax.Array, g: Updates, d: Updates) -> jax.Array:
    return rate - beta * _product(g, d, rate.dtype)


def _multiplied(rate: jax.Array, beta: jax.Array, g: Updates, d: Updates) -> jax.Array:
    norms = (trees.global_norm(g) * trees.global_norm(d)).astype(rate.dtype)
    is_positive = norms > 0
    cosine = _product(g, d, rate.dtype) / jnp.where(is_positive, norms, 1)
    return rate * (1 - beta * jnp.where(is_positive, cosine, 0))


def _product(g: Updates, d: Updates, dtype: DType) -> jax.Array:
    """Return the inner product ⟨g, d⟩ over all leaves that have a gradient, real, shape ()."""

    def leaf(g: jax.Array | None, d: jax.Array) -> jax.Array:
        if g is None:
            return jnp.zeros((), dtype)
        product = jnp.conj(numerics.upcast(numerics.array(g))) * numerics.upcast(d)
        return jnp.sum(product.real).astype(dtype)

    products = jax.tree.leaves(jax.tree.map(leaf, g, d, is_leaf=trees.is_none))
    return sum(products, start=jnp.zeros((), dtype))
