"""Adam: moments of the gradient, and the optimizers made of them."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import Scalar, ScalarOrSchedule, Tree
from . import _base
from ._chain import chain
from ._decay import decay_by
from ._scale import scale_by_learning_rate


class ScaleByAdamState(NamedTuple):
    """Updates made so far (int32) and the moments, one leaf per parameter leaf.

    `mu` has the parameter's dtype (or `mu_dtype`). `nu` has the parameter's, but float32 where that is float16,
    whose range cannot hold squares, and the real one where it is complex.
    """

    count: jax.Array
    mu: Tree
    nu: Tree
    hyperparameters: dict[str, jax.Array]


def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """u = m̂ / (√(v̂ + eps_root) + eps), the gradient over the root of its mean square.

    m ← b1·m + (1-b1)·g and v ← b2·v + (1-b2)·g², m̂ = m / (1-b1ᵗ) and v̂ = v / (1-b2ᵗ) at update t = 1, 2, …
    With Nesterov m̂ = b1·m / (1-b1ᵗ⁺¹) + (1-b1)·g / (1-b1ᵗ).

    Args:
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to look one step ahead. Static.

    Returns:
        The transform; updates keep shapes and dtypes of the gradients. It reports its numbers.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; Dozat 2016,
        https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ, for Nesterov (without the extra b2 on v̂, as in optax).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.scale_by_adam()
        >>> state = tx.init(jnp.zeros(2))
        >>> updates, state = tx.update(jnp.array([0.01, -100.0]), state)
        >>> print(updates.round(3))
        [ 1. -1.]
    """
    return _scale_by_adam("jf.scale_by_adam", b1, b2, eps, eps_root, mu_dtype, nesterov)


def _scale_by_adam(
    where: str, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar, mu_dtype: Any, nesterov: bool
) -> optax.GradientTransformationExtraArgs:
    checks.check_decay(where, b1=b1, b2=b2)
    checks.check_not_negative(where, eps=eps, eps_root=eps_root)
    checks.check_flag(where, nesterov=nesterov)
    numbers = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}

    def init(params: Tree) -> ScaleByAdamState:
        mu = trees.zeros_like(where, params, lambda dtype: dtype if mu_dtype is None else mu_dtype)
        nu = trees.zeros_like(where, params, _nu_dtype)
        count = _base.first_count()
        return ScaleByAdamState(count, mu, nu, _base.report(**numbers))

    def update(updates: Tree, state: ScaleByAdamState, _: Tree) -> tuple[Tree, ScaleByAdamState]:
        count = _base.next_count(state.count)
        factors = functools.cache(lambda dtype: _Factors.at(b1, b2, count, dtype))

        def leaf(g: jax.Array, m: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            dtype, real = numerics.compute_dtype(g.dtype), numerics.real_dtype(g.dtype)
            f, g32 = factors(real), g.astype(dtype)
            m32 = f.b1.astype(dtype) * m.astype(dtype) + f.rest1.astype(dtype) * g32
            v32 = f.b2 * v.astype(real) + f.rest2 * numerics.squared(g32)
            m_hat = m32 * f.correct1.astype(dtype)
            if nesterov:
                m_hat = (f.b1 * f.correct1_next).astype(dtype) * m32 + (f.rest1 * f.correct1).astype(dtype) * g32
            root = numerics.safe_sqrt(v32 * f.correct2 + numerics.scalar(eps_root, real))
            u = m_hat / (root + numerics.scalar(eps, real)).astype(dtype)
            return u.astype(g.dtype), m32.astype(m.dtype), v32.astype(v.dtype)

        u, mu, nu = trees.map_leaves(where, leaf, updates, states=(state.mu, state.nu))
        return u, ScaleByAdamState(count, mu, nu, _base.report(**numbers))

    return _base.transformation(where, ScaleByAdamState, init, update)


class _Factors(NamedTuple):
    """The scalars of one update, in one real dtype."""

    b1: jax.Array
    b2: jax.Array
    rest1: jax.Array  # 1 - b1
    rest2: jax.Array
    correct1: jax.Array  # 1 / (1 - b1ᵗ)
    correct1_next: jax.Array  # 1 / (1 - b1ᵗ⁺¹)
    correct2: jax.Array

    @classmethod
    def at(cls, b1: Scalar, b2: Scalar, count: jax.Array, dtype: Any) -> "_Factors":
        return cls(
            b1=numerics.scalar(b1, dtype),
            b2=numerics.scalar(b2, dtype),
            rest1=numerics.scalar(numerics.complement(b1), dtype),
            rest2=numerics.scalar(numerics.complement(b2), dtype),
            correct1=1 / numerics.bias_correction(b1, count, dtype),
            correct1_next=1 / numerics.bias_correction(b1, _base.next_count(count), dtype),
            correct2=1 / numerics.bias_correction(b2, count, dtype),
        )


def _nu_dtype(dtype: Any) -> Any:
    real = jnp.finfo(dtype).dtype
    return jnp.float32 if real == jnp.float16 else real


def adam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam: θ ← θ - η_t · m̂ / (√(v̂ + eps_root) + eps).

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to look one step ahead. Static.

    Returns:
        The transform ``chain(scale_by_adam(…), scale_by_learning_rate(learning_rate))``.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1.

    Examples:
        The rate is an argument of the program, so one trace serves every value:

        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> def first_update(learning_rate):
        ...     tx = jf.adam(learning_rate)
        ...     return tx.update(jnp.ones(3), tx.init(jnp.ones(3)))[0]
        >>> jax.vmap(first_update)(jnp.array([0.1, 0.01])).shape
        (2, 3)
    """
    where = "jf.adam"
    _base.check_unless_schedule(checks.check_not_negative, where, learning_rate=learning_rate)
    return chain(
        _scale_by_adam(where, b1, b2, eps, eps_root, mu_dtype, nesterov),
        scale_by_learning_rate(learning_rate),
    )


def adamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam with decoupled weight decay: θ ← θ - η_t · (m̂ / (√(v̂ + eps_root) + eps) + λ_t·θ).

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        weight_decay: λ, 0 <= λ < inf: a number, traced or not, or a schedule. Multiplied by η, as in optax.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves decay. Static.
        nesterov: whether to look one step ahead. Static.

    Returns:
        The transform ``chain(scale_by_adam(…), l2_decay(weight_decay, mask), scale_by_learning_rate(…))``.
        Its `update` needs the parameters.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101, algorithm 2.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.adamw(0.1, weight_decay=0.5)
        >>> params = jnp.array([2.0, -2.0])
        >>> updates, state = tx.update(jnp.zeros(2), tx.init(params), params)
        >>> print(updates.round(3))
        [-0.1  0.1]
    """
    where = "jf.adamw"
    _base.check_unless_schedule(checks.check_not_negative, where, learning_rate=learning_rate)
    return chain(
        _scale_by_adam(where, b1, b2, eps, eps_root, mu_dtype, nesterov),
        decay_by(where, "weight_decay", weight_decay, mask, lambda p: p),
        scale_by_learning_rate(learning_rate),
    )
