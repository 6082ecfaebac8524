"""Adam, and Adam with Nesterov momentum."""

import optax
from jax.typing import DTypeLike

from .._core.typing import Scalar, ScalarOrSchedule
from ._chain import chain
from ._names import reporting_as
from ._scale import step_downhill
from ._scale_by_adam import scale_by_adam


def adam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Step by Adam: θ ← θ - η_t · m̂ / (√(v̂ + eps_root) + eps).

    The moments m̂ and v̂ are those of `scale_by_adam`.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        b1: decay of the first moment, 0 <= b1 < 1; may be traced.
        b2: decay of the second moment, 0 <= b2 < 1; may be traced.
        eps: added outside the root, 0 <= eps < inf; may be traced.
        eps_root: added inside the root, 0 <= eps_root < inf; may be traced.
        mu_dtype: dtype of the first moment; by default each parameter's. Static.
        nesterov: whether to use Nesterov momentum. Static.

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
    with reporting_as("jf.adam"):
        return chain(
            scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
            step_downhill(learning_rate),
        )


def nadam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Step by Adam with Nesterov momentum: `adam` with ``nesterov=True``.

    Arguments, ranges and errors are those of `adam`; only the default of `nesterov` differs.

    Returns:
        The transform ``chain(scale_by_adam(…, nesterov=True),
        scale_by_learning_rate(learning_rate))``.

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
    with reporting_as("jf.nadam"):
        return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
