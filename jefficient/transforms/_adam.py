"""Adam: moments of the gradient, and the optimizers made of them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from .._core import checks, numerics, trees
from .._core.typing import Scalar, ScalarOrSchedule, Tree
from . import _base
from ._chain import chain
from ._decay import decay_by, itself
from ._scale import step_downhill


class ScaleByAdamState(NamedTuple):
    """Updates made so far (int32) and the moments, one leaf per parameter leaf.

    `mu` has the parameter's dtype (or `mu_dtype`). `nu` is real, in float32 at least: float16
    cannot hold squares, and in bfloat16 the average would stop growing, since (1 - b2)·g² is soon
    less than half a unit of its last place.
    """

    count: jax.Array
    mu: Tree
    nu: Tree
    hyperparameters: _base.Report


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

    m ← b1·m + (1-b1)·g and v ← b2·v + (1-b2)·g², m̂ = m / (1-b1ᵗ) and v̂ = v / (1-b2ᵗ) at update t
    = 1, 2, … With Nesterov m̂ = b1·m / (1-b1ᵗ⁺¹) + (1-b1)·g / (1-b1ᵗ).

    Args:
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to evaluation one step ahead. Static.

    Returns:
        The transform; updates keep shapes and dtypes of the gradients. It reports its numbers.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; Dozat 2016,
        https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ, for Nesterov (without the extra b2 on
        v̂, as in optax).

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
    check_moments(where, b1, b2, eps, eps_root, mu_dtype, nesterov)
    numbers = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}

    def init(params: Tree) -> ScaleByAdamState:
        mu, nu = init_moments(where, params, mu_dtype)
        return ScaleByAdamState(_base.first_count(), mu, nu, _base.report(where, **numbers))

    def update(updates: Tree, state: ScaleByAdamState, _: Tree) -> tuple[Tree, ScaleByAdamState]:
        count = _base.next_count(state.count)
        factors = factors_at(b1, b2, eps, eps_root, nesterov, count)

        def leaf(
            g: jax.Array, m: jax.Array, v: jax.Array
        ) -> tuple[jax.Array, jax.Array, jax.Array]:
            return _leaf(g, m, v, factors(g.dtype))

        u, mu, nu = trees.map_leaves(where, leaf, updates, states=(state.mu, state.nu))
        return u, ScaleByAdamState(count, mu, nu, _base.report(where, **numbers))

    return _base.transformation(where, ScaleByAdamState, init, update)


def check_moments(
    where: str, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar, mu_dtype: Any, nesterov: bool
) -> None:
    """The numbers of Adam are in range."""
    checks.check_dtype(where, mu_dtype=mu_dtype)
    checks.check_decay(where, b1=b1, b2=b2)
    checks.check_not_negative(where, eps=eps, eps_root=eps_root)
    checks.check_flag(where, nesterov=nesterov)


def init_moments(where: str, params: Tree, mu_dtype: Any) -> tuple[Tree, Tree]:
    """Both moments before any update."""
    mu = trees.zeros_like(where, params, lambda dtype: dtype if mu_dtype is None else mu_dtype)
    return mu, trees.zeros_like(where, params, numerics.real_dtype, keeps_imaginary=False)


class Factors(NamedTuple):
    """The scalars of one update, in one real dtype."""

    b1: jax.Array
    b2: jax.Array
    rest1: jax.Array  # 1 - b1
    rest2: jax.Array
    eps: jax.Array
    eps_root: jax.Array
    correct1: jax.Array  # of m: 1 / (1 - b1ᵗ), with Nesterov b1 / (1 - b1ᵗ⁺¹)
    correct2: jax.Array  # of v: 1 / (1 - b2ᵗ)
    ahead: jax.Array | None  # of g, with Nesterov: (1 - b1) / (1 - b1ᵗ)


def factors_at(
    b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar, nesterov: bool, count: jax.Array
) -> Callable[[Any], Factors]:
    """The scalars of update `count` for leaves of a dtype, computed once for each."""

    @functools.cache
    def at(real: Any) -> Factors:
        first, second = numerics.scalar(b1, real), numerics.scalar(b2, real)
        rest1, rest2 = (numerics.scalar(numerics.complement(b), real) for b in (b1, b2))
        if nesterov:
            now, after, correct2 = numerics.bias_corrections(
                [(b1, 0), (b1, 1), (b2, 0)], count, real
            )
            correct1, ahead = first * after, rest1 * now
        else:
            (correct1, correct2), ahead = (
                numerics.bias_corrections([(b1, 0), (b2, 0)], count, real),
                None,
            )
        small, small_root = numerics.scalar(eps, real), numerics.scalar(eps_root, real)
        return Factors(first, second, rest1, rest2, small, small_root, correct1, correct2, ahead)

    return lambda dtype: at(numerics.real_dtype(dtype))


def moments(
    g: jax.Array, m: jax.Array, v: jax.Array, f: Factors
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """m̂ and √(v̂ + eps_root) + eps in the dtype that leaves are computed in, and the new moments in their own."""
    dtype, real = numerics.compute_dtype(g.dtype), numerics.real_dtype(g.dtype)
    g32 = g.astype(dtype)
    m32 = f.b1.astype(dtype) * m.astype(dtype) + f.rest1.astype(dtype) * g32
    v32 = f.b2 * v.astype(real) + f.rest2 * numerics.squared(g32)
    m_hat = m32 * f.correct1.astype(dtype)
    if f.ahead is not None:
        m_hat = m_hat + f.ahead.astype(dtype) * g32
    scale = numerics.safe_sqrt(v32 * f.correct2 + f.eps_root) + f.eps
    return m_hat, scale, m32.astype(m.dtype), v32.astype(v.dtype)


@functools.partial(jax.jit, inline=True)  # traced once for all leaves of a shape
def _leaf(
    g: jax.Array, m: jax.Array, v: jax.Array, f: Factors
) -> tuple[jax.Array, jax.Array, jax.Array]:
    m_hat, scale, m, v = moments(g, m, v, f)
    return (m_hat / scale.astype(m_hat.dtype)).astype(g.dtype), m, v


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
        nesterov: whether to evaluation one step ahead. Static.

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
    return _adam("jf.adam", learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)


def _adam(
    where: str, learning_rate: ScalarOrSchedule, *moments: Any
) -> optax.GradientTransformationExtraArgs:
    return chain(_scale_by_adam(where, *moments), step_downhill(where, learning_rate))


def nadam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Adam with Nesterov momentum: `adam` with ``nesterov=True``.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to evaluation one step ahead. Static.

    Returns:
        The transform ``chain(scale_by_adam(…, nesterov=True),
        scale_by_learning_rate(learning_rate))``.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Dozat 2016, https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ (without the extra b2 on v̂,
        as in optax).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.nadam(0.1)
        >>> print(tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0].round(3))
        [-0.147 -0.147]
    """
    return _adam("jf.nadam", learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)


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
        weight_decay: λ, 0 <= λ < inf: a number, traced or not, or a schedule. Multiplied by η, as
            in optax.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            decay. Static.
        nesterov: whether to evaluation one step ahead. Static.

    Returns:
        The transform ``chain(scale_by_adam(…), l2_decay(weight_decay, mask),
        scale_by_learning_rate(…))``. Its `update` needs the parameters.

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
    return _adamw(
        "jf.adamw", learning_rate, weight_decay, mask, b1, b2, eps, eps_root, mu_dtype, nesterov
    )


def _adamw(
    where: str,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    mask: Any,
    *moments: Any,
) -> optax.GradientTransformationExtraArgs:
    return chain(
        _scale_by_adam(where, *moments),
        decay_by(where, "weight_decay", weight_decay, mask, itself),
        step_downhill(where, learning_rate),
    )


def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Adam with Nesterov momentum and decoupled weight decay: `adamw` with ``nesterov=True``.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        weight_decay: λ, 0 <= λ < inf: a number, traced or not, or a schedule. Multiplied by η, as
            in optax.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            decay. Static.
        nesterov: whether to evaluation one step ahead. Static.

    Returns:
        The transform ``chain(scale_by_adam(…, nesterov=True), l2_decay(weight_decay, mask),
        scale_by_learning_rate(…))``. Its `update` needs the parameters.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Dozat 2016, https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ; Loshchilov and Hutter 2019,
        https://arxiv.org/abs/1711.05101, algorithm 2.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.nadamw(0.1, weight_decay=0.5)
        >>> params = jnp.array([2.0, -2.0])
        >>> print(tx.update(jnp.zeros(2), tx.init(params), params)[0].round(3))
        [-0.1  0.1]
    """
    return _adamw(
        "jf.nadamw", learning_rate, weight_decay, mask, b1, b2, eps, eps_root, mu_dtype, nesterov
    )
