"""Proximal steps: penalties that set parameters to exactly zero.

A proximal step must use the optimizer's own metric. After plain `sgd` that is one number, the rate,
so `proximal_l1` and `proximal_elastic_net` follow it, last in a chain. Behind Adam a
threshold that is the same for all coordinates solves another problem than the penalised one;
`proximal_adam` scales it as Adam scales the step.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from .._core import checks, numerics, trees
from .._core.typing import DType, Params, Scalar, ScalarOrSchedule, Updates
from . import _base
from ._scale_by_adam import Factors, factors_at, init_moments, moments


class ProximalAdamState(NamedTuple):
    """Updates made so far (int32) and Adam's moments, as in `ScaleByAdamState`."""

    count: jax.Array
    mu: Updates
    nu: Updates
    hyperparameters: _base.Report


def proximal_l1(strength: ScalarOrSchedule) -> optax.GradientTransformationExtraArgs:
    """Step to soft(θ + u, strength), soft(x, s) = sign(x)·max(|x| - s, 0): exact zeros.

    Put it last in a chain.

    ``chain(sgd(η), proximal_l1(η·λ))`` minimises J(θ) + λ‖θ‖₁: its fixed point is the lasso
    solution, with its support. Behind Adam use `proximal_adam` instead. Some leaves alone:
    ``masked(proximal_l1(…), mask)``.

    Args:
        strength: the threshold η·λ, 0 <= strength < inf: a number, traced or not, or a schedule (so
            that it follows a scheduled η).

    Returns:
        The transform; it reports `strength`. Its `update` needs the parameters, and its updates
        have their dtypes, so that θ + u is exactly zero where it should be. Complex numbers shrink
        towards zero by their modulus.

    Raises:
        ArgumentError: where `strength` is negative, not finite or not a scalar.

    References:
        Beck and Teboulle 2009, https://doi.org/10.1137/080716542, equation 1.4 (iterative
        shrinkage-thresholding); Parikh and Boyd 2014, https://doi.org/10.1561/2400000003, section
        6.5.2.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.chain(jf.sgd(0.5), jf.proximal_l1(0.5 * 0.5))
        >>> params = jnp.array([1.0, -0.05])
        >>> updates, state = tx.update(jnp.zeros(2), tx.init(params), params)
        >>> jf.apply_updates(params, updates).tolist()
        [0.75, 0.0]
    """
    return _proximal("jf.proximal_l1", _proximal_l1, strength=strength)


def proximal_elastic_net(
    l1: ScalarOrSchedule, l2: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """Step to soft(θ + u, l1) / (1 + l2), the proximal step of l1·‖θ‖₁ + (l2/2)·‖θ‖².

    Put it last in a chain.

    ``chain(sgd(η), proximal_elastic_net(η·λ₁, η·λ₂))`` minimises J(θ) + λ₁‖θ‖₁ + (λ₂/2)‖θ‖².

    Args:
        l1: the threshold η·λ₁, 0 <= l1 < inf: a number, traced or not, or a schedule.
        l2: the shrinkage η·λ₂, 0 <= l2 < inf: a number, traced or not, or a schedule.

    Returns:
        The transform; it reports `l1` and `l2`. Its `update` needs the parameters, and its updates
        have their dtypes.

    Raises:
        ArgumentError: where a strength is negative, not finite or not a scalar.

    References:
        Zou and Hastie 2005, https://doi.org/10.1111/j.1467-9868.2005.00503.x (the penalty); Parikh
        and Boyd 2014, https://doi.org/10.1561/2400000003, section 6.5.3.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.proximal_elastic_net(0.1, 0.5)
        >>> params = jnp.array([1.6, -0.05])
        >>> updates, state = tx.update(jnp.zeros(2), tx.init(params), params)
        >>> print(jf.apply_updates(params, updates).round(3))
        [1. 0.]
    """
    return _proximal("jf.proximal_elastic_net", _proximal_elastic_net, l1=l1, l2=l2)


def proximal_adam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    l1: ScalarOrSchedule = 0,
    l2: ScalarOrSchedule = 0,
) -> optax.GradientTransformationExtraArgs:
    """Step by Adam on J(θ) + l1·‖θ‖₁ + (l2/2)·‖θ‖², with exact zeros.

    The penalty is a proximal step in Adam's own metric.

    s = η_t / (√(v̂ + eps_root) + eps) and θ ← soft(θ - s·m̂, s·l1) / (1 + s·l2), coordinate by
    coordinate. Its fixed point is that of the proximal gradient method: the lasso (or elastic net)
    solution. Parameters without penalty: ``partition({"sparse": proximal_adam(η, l1=λ), "free":
    adam(η)}, labels)``.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced. With eps = 0 a coordinate whose
            gradient has always been zero has no metric; a penalty makes it zero at once.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to use Nesterov momentum. Static.
        l1: strength of ‖θ‖₁, 0 <= l1 < inf: a number, traced or not, or a schedule. Not multiplied
            by η.
        l2: strength of ½‖θ‖², 0 <= l2 < inf: a number, traced or not, or a schedule. Not multiplied
            by η.

    Returns:
        The transform. It reports its numbers. Its `update` needs the parameters, and its updates
        have their dtypes.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; Yun, Lozano and Yang 2021,
        https://arxiv.org/abs/2006.07065, algorithm 1 (proximal steps in the preconditioner's
        metric).

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> target = jnp.array([0.85, 0.05])  # minimise (θ - target)² / 2 + 0.1·‖θ‖₁
        >>> tx, params = jf.proximal_adam(0.05, l1=0.1), jnp.zeros(2)
        >>> state = tx.init(params)
        >>> for _ in range(300):
        ...     updates, state = tx.update(params - target, state, params)
        ...     params = jf.apply_updates(params, updates)
        >>> [round(float(p), 3) for p in params]
        [0.75, 0.0]
    """
    where = "jf.proximal_adam"
    fixed = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    scheduled = {"learning_rate": learning_rate, "l1": l1, "l2": l2}
    checks.check_decay(where, b1=b1, b2=b2)
    checks.check_not_negative(where, eps=eps, eps_root=eps_root)
    checks.check_dtype(where, mu_dtype=mu_dtype)
    checks.check_flag(where, nesterov=nesterov)
    _base.check_not_negative(where, scheduled)

    def init(params: Params) -> ProximalAdamState:
        count = _base.first_count()
        now = _base.values_at(where, scheduled, count)
        mu, nu = init_moments(where, params, mu_dtype)
        return ProximalAdamState(count, mu, nu, _base.report(where, **now, **fixed))

    def update(
        updates: Updates, state: ProximalAdamState, params: Params
    ) -> tuple[Updates, ProximalAdamState]:
        _base.check_params(where, params)
        now = _base.values_at(where, scheduled, state.count)
        count = _base.next_count(state.count)

        def numbers(real: DType) -> tuple[Factors | jax.Array, ...]:
            factors = factors_at(real, count, nesterov, **fixed)
            return (factors, *(numerics.scalar(x, real) for x in now.values()))

        u, mu, nu = trees.map_leaves(
            where,
            _proximal_adam,
            updates,
            reads=(params,),
            states=(state.mu, state.nu),
            numbers=numbers,
            like_params=True,
        )
        return u, ProximalAdamState(count, mu, nu, _base.report(where, **now, **fixed))

    return _base.transformation(where, ProximalAdamState, init, update)


def _proximal_adam(
    g: jax.Array,
    p: jax.Array,
    m: jax.Array,
    v: jax.Array,
    f: Factors,
    learning_rate: jax.Array,
    l1: jax.Array,
    l2: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    m_hat, scale, m, v = moments(g, m, v, f)
    s = learning_rate / scale
    return _elastic_net(p - s * m_hat, s * l1, s * l2) - p, m, v


def _proximal(
    where: str, equation: Callable[..., tuple[jax.Array]], **strengths: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    def apply(updates: Updates, params: Params, *now: Scalar) -> Updates:
        _base.check_params(where, params)
        (u,) = trees.map_leaves(
            where, equation, updates, reads=(params,), numbers=now, like_params=True
        )
        return u

    return _base.scheduled(where, strengths, apply)


def _proximal_l1(u: jax.Array, p: jax.Array, strength: jax.Array) -> tuple[jax.Array]:
    return (soft(p + u, strength) - p,)


def _proximal_elastic_net(
    u: jax.Array, p: jax.Array, l1: jax.Array, l2: jax.Array
) -> tuple[jax.Array]:
    return (_elastic_net(p + u, l1, l2) - p,)


def _elastic_net(x: jax.Array, l1: jax.Array, l2: jax.Array) -> jax.Array:
    return soft(x, l1) / (1 + l2)


def soft(x: jax.Array, strength: jax.Array) -> jax.Array:
    """Move x towards zero by `strength`, to exactly zero where it is no further away."""
    # A negative strength must not move x away; at zero `maximum` would halve the gradient in it.
    strength = jnp.where(strength < 0, 0, strength)
    size = jnp.abs(x)
    is_left = size > strength
    direction = x / jnp.where(is_left, size, 1) if jnp.iscomplexobj(x) else jnp.sign(x)
    return jnp.where(is_left, x - strength * direction, 0)
