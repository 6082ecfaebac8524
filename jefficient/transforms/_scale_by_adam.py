"""Adam's equation: the gradient over the root of its mean square."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from .._core import checks, numerics, trees
from .._core.typing import DType, Params, Scalar, Updates
from . import _base
from ._names import public


class ScaleByAdamState(NamedTuple):
    """Updates made so far (int32) and the moments, one leaf per parameter leaf.

    `mu` has the parameter's dtype (or `mu_dtype`). `nu` is real, in float32 at least: float16
    cannot hold squares, and in bfloat16 the average would stop growing, since (1 - b2)·g² is soon
    less than half a unit of its last place.
    """

    count: jax.Array
    mu: Updates
    nu: Updates
    hyperparameters: _base.Report


def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Divide the mean gradient by the root of the mean square: u = m̂ / (√(v̂ + eps_root) + eps).

    m ← b1·m + (1-b1)·g and v ← b2·v + (1-b2)·g², m̂ = m / (1-b1ᵗ) and v̂ = v / (1-b2ᵗ) at update t
    = 1, 2, … With Nesterov m̂ = b1·m / (1-b1ᵗ⁺¹) + (1-b1)·g / (1-b1ᵗ).

    Args:
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced. A gradient of zero makes an
            update of zero with any eps.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to use Nesterov momentum. Static.

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
    fixed = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    where, named = public("jf.scale_by_adam", **fixed)
    checks.check_decay(where, b1=b1, b2=b2)
    checks.check_not_negative(where, eps=eps, eps_root=eps_root)
    checks.check_dtype(where, mu_dtype=mu_dtype)
    checks.check_flag(where, nesterov=nesterov)

    def init(params: Params) -> ScaleByAdamState:
        mu, nu = init_moments(where, params, mu_dtype)
        return ScaleByAdamState(_base.first_count(), mu, nu, _base.report(where, **named))

    def update(
        updates: Updates, state: ScaleByAdamState, _: Params
    ) -> tuple[Updates, ScaleByAdamState]:
        count = _base.next_count(state.count)

        def numbers(real: DType) -> tuple[Factors]:
            return (factors_at(real, count, nesterov, **fixed),)

        states = (state.mu, state.nu)
        u, mu, nu = trees.map_leaves(where, _adam, updates, states=states, numbers=numbers)
        return u, ScaleByAdamState(count, mu, nu, _base.report(where, **named))

    return _base.transformation(where, ScaleByAdamState, init, update)


class Factors(NamedTuple):
    """The scalars of one update, in one real dtype."""

    b1: jax.Array
    b2: jax.Array
    rest1: jax.Array  # 1 - b1
    rest2: jax.Array  # 1 - b2
    eps: jax.Array
    eps_root: jax.Array
    correct1: jax.Array  # of m: 1 / (1 - b1ᵗ), with Nesterov b1 / (1 - b1ᵗ⁺¹)
    correct2: jax.Array  # of v: 1 / (1 - b2ᵗ)
    ahead: jax.Array | None  # of g, with Nesterov: (1 - b1) / (1 - b1ᵗ)


def moments(
    g: jax.Array, m: jax.Array, v: jax.Array, f: Factors
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return m̂ and √(v̂ + eps_root) + eps, not zero, and the new moments m and v."""
    m = f.b1 * m + f.rest1 * g
    v = f.b2 * v + f.rest2 * numerics.squared(g)
    m_hat = m * f.correct1
    if f.ahead is not None:
        m_hat = m_hat + f.ahead * g
    scale = numerics.safe_sqrt(v * f.correct2 + f.eps_root) + f.eps
    # Only without an eps is it zero, where |g|² is zero or underflows: so 0 / 0 is 0, and a
    # gradient that small divided by the least root of |g|² is still at most about one.
    return m_hat, jnp.maximum(scale, numerics.least_root(scale.dtype)), m, v


def _adam(
    g: jax.Array, m: jax.Array, v: jax.Array, f: Factors
) -> tuple[jax.Array, jax.Array, jax.Array]:
    m_hat, scale, m, v = moments(g, m, v, f)
    return m_hat / scale, m, v


def init_moments(where: str, params: Params, mu_dtype: DTypeLike | None) -> tuple[Updates, Updates]:
    """Return both moments before any update: zeros."""
    mu = trees.zeros_like(where, params, lambda dtype: dtype if mu_dtype is None else mu_dtype)
    return mu, trees.zeros_like(where, params, numerics.real_dtype, keeps_imaginary=False)


def factors_at(
    real: DType,
    count: jax.Array,
    nesterov: bool,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
) -> Factors:
    """Return the scalars of update `count` in a real dtype."""
    decay1 = numerics.scalar(b1, real)
    decay2 = numerics.scalar(b2, real)
    rest1 = numerics.scalar(numerics.complement(b1), real)
    rest2 = numerics.scalar(numerics.complement(b2), real)
    if nesterov:
        times = [(b1, 0), (b1, 1), (b2, 0)]
        now, after, correct2 = numerics.bias_corrections(times, count, real)
        correct1 = decay1 * after
        ahead = rest1 * now
    else:
        correct1, correct2 = numerics.bias_corrections([(b1, 0), (b2, 0)], count, real)
        ahead = None
    small = numerics.scalar(eps, real)
    small_root = numerics.scalar(eps_root, real)
    return Factors(decay1, decay2, rest1, rest2, small, small_root, correct1, correct2, ahead)
