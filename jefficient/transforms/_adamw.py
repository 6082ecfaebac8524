"""Adam with decoupled weight decay, without and with Nesterov momentum."""

from collections.abc import Callable

import optax
from jax.typing import DTypeLike

from .._core.typing import Params, Scalar, ScalarOrSchedule, Tree
from ._chain import chain
from ._decay import l2_decay
from ._names import reporting_as
from ._scale import step_downhill
from ._scale_by_adam import scale_by_adam


def adamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Tree | Callable[[Params], Tree] | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Step by Adam with decay: θ ← θ - η_t · (m̂ / (√(v̂ + eps_root) + eps) + λ_t·θ).

    The moments m̂ and v̂ are those of `scale_by_adam`; the decay is decoupled from them.

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
        nesterov: whether to use Nesterov momentum. Static.

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
    with reporting_as("jf.adamw", strength="weight_decay"):
        return chain(
            scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
            l2_decay(weight_decay, mask),
            step_downhill(learning_rate),
        )


def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Tree | Callable[[Params], Tree] | None = None,
    *,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Step by Adam with Nesterov momentum and decay: `adamw` with ``nesterov=True``.

    Arguments, ranges and errors are those of `adamw`; only the default of `nesterov` differs.

    Returns:
        The transform ``chain(scale_by_adam(…, nesterov=True), l2_decay(weight_decay, mask),
        scale_by_learning_rate(…))``. Its `update` needs the parameters.

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
    with reporting_as("jf.nadamw"):
        return adamw(
            learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov
        )
