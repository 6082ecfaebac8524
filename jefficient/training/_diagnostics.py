"""What a loss is like where the parameters are: its largest curvature, and how its gradients vary.

Both see the trained parameters as one real vector x, complex ones as two numbers each.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._core import numerics, signatures, trees
from .._core.typing import Examples
from ._train_step import WHERE, TrainState, injected_at, objective_of

PRODUCTS = 32
"""Products with the Hessian: the steps of Lanczos's method."""

T = TypeVar("T")

Batches: TypeAlias = Callable[[jax.Array], Examples]
"""``i -> batch``, `i` traced."""


def sharpness(
    loss: Callable[..., jax.Array],
    state: TrainState,
    batches: Batches,
    count: int,
    *,
    model_state: bool = False,
) -> jax.Array:
    """Return the largest eigenvalue of the Hessian of the mean loss over `count` batches.

    H·v = ∂/∂ε ∇L(x + ε·v), forward over reverse, one batch after another.

    Args:
        loss: as in `train_step`.
        state: where the Hessian is taken.
        batches: ``i -> batch``, i = 0 … count - 1.
        count: how many.
        model_state: as in `train_step`.

    Returns:
        A float, shape ().

    References:
        Pearlmutter 1994, Fast exact multiplication by the Hessian.
    """
    x, value = _of_vector(loss, state, batches, model_state)

    def product(v: jax.Array) -> jax.Array:
        def of_batch(i: jax.Array) -> jax.Array:
            return jax.jvp(jax.grad(lambda x: value(x, i)), (x,), (v,))[1]

        return _mean(of_batch, count)

    return largest_eigenvalue(product, x.size, x.dtype)


def noise_scale(
    loss: Callable[..., jax.Array],
    state: TrainState,
    batches: Batches,
    count: int,
    size: int,
    *,
    model_state: bool = False,
) -> jax.Array:
    """Return the simple noise scale tr(Σ) / |G|², in examples.

    Σ is the covariance of the gradient of one example, G the mean gradient. Of `count` batches of b
    examples with gradients gᵢ and mean ḡ, the small batch is one of them and the big one all:

        tr(Σ) ≈ (mean |gᵢ|² - |ḡ|²) / (1/b - 1/(count·b)),    |G|² ≈ |ḡ|² - tr(Σ) / (count·b)

    Either estimate is unbiased, their ratio is not. NaN where that of |G|² is not positive.

    Args:
        loss: as in `train_step`, a mean over examples.
        state: where the gradients are taken.
        batches: ``i -> batch``, i = 0 … count - 1, without a common example.
        count: how many, 2 or more.
        size: examples in each, b.
        model_state: as in `train_step`.

    Returns:
        A float, shape ().

    References:
        McCandlish, Kaplan, Amodei et al. 2018, https://arxiv.org/abs/1812.06162, eq. 2.9 and A.1.
    """
    x, value = _of_vector(loss, state, batches, model_state)

    def of_batch(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        g = jax.grad(value)(x, i)
        return g, g @ g

    g, square = _mean(of_batch, count)
    trace = (square - g @ g) / (1 / size - 1 / (count * size))
    signal = g @ g - trace / (count * size)
    is_seen = signal > 0
    return jnp.where(is_seen, trace / jnp.where(is_seen, signal, 1), jnp.nan)


def largest_eigenvalue(
    product: Callable[[jax.Array], jax.Array], size: int, dtype: jnp.dtype
) -> jax.Array:
    """Return the largest eigenvalue of a symmetric matrix, from products with vectors.

    Lanczos's recurrence, without orthogonalisation against earlier vectors: where rounding loses
    that, eigenvalues come twice, and the largest stays what it is. So three vectors are held. The
    estimate comes from below, by eigenvalues that lie apart within `PRODUCTS` steps.

    Args:
        product: ``v -> A·v``, array (size,).
        size: of the matrix.
        dtype: of the vectors.

    Returns:
        The eigenvalue, shape ().

    References:
        Lanczos 1950; Paige 1976, Error analysis of the Lanczos algorithm (the order of operations);
        Golub and Van Loan, Matrix computations, section 10.3.
    """
    v = jax.random.normal(jax.random.key(0, impl="threefry2x32"), (size,), dtype)
    zero = jnp.zeros((), dtype)

    def step(
        carry: tuple[jax.Array, jax.Array, jax.Array], _: None
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        u, v, beta = carry
        w = product(v) - beta * u
        alpha = v @ w
        w = w - alpha * v
        beta = jnp.sqrt(w @ w)
        is_over = beta == 0  # the vectors so far span all that A reaches from the first
        return (v, jnp.where(is_over, 0, w / jnp.where(is_over, 1, beta)), beta), (alpha, beta)

    begin = jnp.zeros_like(v), v / jnp.sqrt(v @ v), zero
    count = min(PRODUCTS, size)
    _, (alpha, beta) = jax.lax.scan(step, begin, None, length=count)
    # steps after the end see v = 0: they repeat a number that is no larger than the eigenvalue
    is_over = (beta == 0).astype(jnp.int32)
    alpha = jnp.where(jnp.cumsum(is_over) > is_over, alpha[0], alpha)
    return _largest_of_tridiagonal(alpha, beta[:-1])


def _largest_of_tridiagonal(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """Return the largest eigenvalue of a tridiagonal matrix by bisection.

    Not by LAPACK, whose eigenvalues of several lanes can hang a CPU where two programs run side by
    side, and which takes longer to compile elsewhere.

    Args:
        alpha: the diagonal, array (n,).
        beta: beside it, array (n - 1,).
    """
    before = jnp.concatenate([jnp.zeros_like(alpha[:1]), beta])
    after = jnp.concatenate([beta, jnp.zeros_like(alpha[:1])])

    def is_above(x: jax.Array) -> jax.Array:
        """Tell whether x·1 - T is positive definite: all its pivots are positive."""

        def pivot(
            carry: tuple[jax.Array, jax.Array], row: tuple[jax.Array, jax.Array]
        ) -> tuple[tuple[jax.Array, jax.Array], None]:
            last, is_so = carry
            a, b = row
            here = x - a - b * b / last
            return (jnp.where(here > 0, here, 1), is_so & (here > 0)), None

        (_, is_so), _ = jax.lax.scan(pivot, (jnp.ones_like(x), jnp.array(True)), (alpha, before))
        return is_so

    def halve(_: jax.Array, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        above = is_above(middle)
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    # No diagonal entry is above the eigenvalue, and no row's sum (Gershgorin) below it.
    ends = jnp.max(alpha), jnp.max(alpha + jnp.abs(before) + jnp.abs(after))
    low, high = jax.lax.fori_loop(0, 40, halve, ends)
    return (low + high) / 2


def _of_vector(
    loss: Callable[..., jax.Array], state: TrainState, batches: Batches, model_state: bool
) -> tuple[jax.Array, Callable[[jax.Array, jax.Array], jax.Array]]:
    """Return the trained parameters as a vector x, and ``(x, i) -> loss`` of a batch.

    A loss with a key gets another one for each batch, the same ones at every evaluation.
    """
    objective = objective_of(loss, model_state)
    names = signatures.names_asked(WHERE, loss)
    trained, fixed = trees.divided(state.params)
    x, tree_of = ravel_pytree(jax.tree.map(_as_real, trained))

    def value(x: jax.Array, i: jax.Array) -> jax.Array:
        params = trees.united(jax.tree.map(_like, trained, tree_of(x)), fixed)
        injected = injected_at(names, state, i)
        made, _ = objective(params, state.model_state, batches(i), injected)
        return numerics.upcast(made.value)

    return x, value


def _as_real(p: jax.Array) -> tuple[jax.Array, ...]:
    p = numerics.upcast(jnp.asarray(p))
    return (p.real, p.imag) if numerics.is_complex(p.dtype) else (p,)


def _like(p: jax.Array, real: tuple[jax.Array, ...]) -> jax.Array:
    return (real[0] if len(real) == 1 else jax.lax.complex(*real)).astype(trees.dtype_of(p))


def _mean(function: Callable[[jax.Array], T], count: int) -> T:
    """Return the mean of a function over 0 … count - 1, one after another."""

    def add(total: T, i: jax.Array) -> tuple[T, None]:
        return jax.tree.map(jnp.add, total, function(i)), None

    like = jax.eval_shape(function, jnp.int32(0))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)
    total, _ = jax.lax.scan(add, zeros, jnp.arange(count, dtype=jnp.int32))
    return jax.tree.map(lambda x: x / count, total)
