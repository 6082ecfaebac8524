"""The laws of a gradient transformation."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from .._core.trees import check_floating
from .._core.typing import Tree
from ..transforms._base import check_transform
from ._law import (
    Numbers,
    agrees_when_traced,
    broken,
    built,
    check_numbers,
    donatable,
    finite,
    first_values,
    has_gradients,
    is_whole,
    same,
    strong,
    traceable,
    verify,
)

STEPS = 6
TOLERANCE = {"bfloat16": 0.05, "float16": 0.01, "float32": 1e-5}


class Case(NamedTuple):
    """What is verified: ``factory(**numbers)``, on a tree of float32 parameters."""

    factory: Callable[..., optax.GradientTransformation]
    numbers: Numbers
    params: Tree
    rtol: float

    def build(self, **overrides: Any) -> optax.GradientTransformationExtraArgs:
        """The transform with the first values, or others."""
        return optax.with_extra_args_support(
            self.factory(**{**first_values(self.numbers), **overrides})
        )

    def params_as(self, dtype: Any) -> Tree:
        """The parameters in another dtype."""
        return jax.tree.map(lambda p: p.astype(dtype), self.params)


def verify_transform(
    factory: Callable[..., optax.GradientTransformation],
    numbers: Any = None,
    *,
    params: Tree = None,
    laws: Iterable[str] | None = None,
    rtol: float = 1e-5,
) -> None:
    """Hold a transform to the laws of jefficient's own.

    Args:
        factory: ``(**numbers) -> transform``. Structure (Nesterov or not, masks) is fixed inside
            it.
        numbers: ``{name: (value, another value)}`` for each number that may be traced, both valid.
            A number whose values are both int is a count: traced as int32, without a gradient. So
            write (1.0, 2.0) for a rate.
        params: a tree of float32 arrays, without None; by default a dict of a matrix and a vector.
        laws: names from `TRANSFORM_LAWS`; by default all.
        rtol: how close static and traced trajectories must be.

    Raises:
        LawError: where a law is broken: which law, which number, which leaf.
        ArgumentError: where a law is unknown.
        ArgumentTypeError: where a number has not two values, or `factory` makes no transform of
            them.

    Examples:
        >>> import jefficient as jf
        >>> import jax, optax
        >>> import jefficient.testing
        >>> jf.testing.verify_transform(jf.trace, {"decay": (0.9, 0.5)})
        >>> def signs(rate):
        ...     def update(updates, state, params=None):
        ...         return jax.tree.map(lambda g: rate * jax.numpy.sign(g), updates), state
        ...     return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
        >>> jf.testing.verify_transform(signs, {"rate": (0.1, 0.5)}, laws=["dtype"])
        Traceback (most recent call last):
        ...
        jefficient.testing.LawError: jf.testing.verify_transform: the law 'dtype' is broken: ...
    """
    where = "jf.testing.verify_transform"
    if params is None:
        params = {
            "a": jnp.array([[0.5, -1.0, 0.25], [2.0, 0.1, -0.3]]),
            "b": jnp.array([1.5, -0.75]),
        }
    numbers = check_numbers(where, numbers)
    check_transform(where, built(where, factory, numbers), "what factory returns")
    check_floating(where, params)
    verify(where, TRANSFORM_LAWS, laws, Case(factory, numbers, params, rtol))


def gradients(params: Tree, t: jax.Array) -> Tree:
    """Gradients of about unit size that change sign with t and never vanish, in the parameters' dtypes."""

    def leaf(p: jax.Array) -> jax.Array:
        wave = jnp.cos(3.0 * t + jnp.arange(p.size, dtype=jnp.float32)).reshape(p.shape)
        return (wave + jnp.float32(0.3)).astype(p.dtype)

    return jax.tree.map(leaf, params)


def trajectory(tx: optax.GradientTransformationExtraArgs, params: Tree) -> Tree:
    """The updates of some steps, scanned: a state whose dtype or weak type drifts cannot be carried.

    A transform that watches the loss is given one that falls and then stays.
    """

    def body(carry: tuple, t: jax.Array) -> tuple[tuple, Tree]:
        params, state = carry
        value = jnp.maximum(1 - jnp.float32(0.3) * t, jnp.float32(0.4))
        updates, state = tx.update(gradients(params, t), state, params, value=value)
        chex.assert_trees_all_equal_shapes(updates, params)
        params = jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates)
        return (params, state), updates

    steps = jnp.arange(STEPS, dtype=jnp.float32)
    return jax.lax.scan(body, (params, tx.init(params)), steps)[1]


def _dtype(case: Case) -> None:
    """updates have the gradients' dtypes and states keep theirs under scan, with traced float32 numbers."""
    expected = jax.jit(lambda: trajectory(case.build(), case.params))()
    finite(expected, "an update")
    numbers = traceable(case.numbers)
    for dtype, tolerance in TOLERANCE.items():
        with broken(f"Parameters of dtype {dtype}:"):
            params = case.params_as(dtype)
            updates = jax.jit(
                lambda numbers, params=params: trajectory(case.build(**numbers), params)
            )(numbers)
            _all_of(dtype, updates, "an update")
            same(
                jax.tree.map(lambda u: u.astype(jnp.float32), updates),
                expected,
                tolerance,
                tolerance,
            )


def _x64(case: Case) -> None:
    """with x64 on nothing is promoted, static or traced in float32: float32 stays float32, float64 stays float64."""
    with jax.enable_x64(True):
        traced = traceable(case.numbers)
        for dtype in ("float32", "float64"):
            params = case.params_as(dtype)
            for kind, numbers in (("static", {}), ("traced", traced)):
                with broken(f"Parameters of dtype {dtype}, {kind} numbers:"):
                    updates, state = jax.eval_shape(
                        lambda numbers, params=params: _run(case.build(**numbers), params),
                        numbers,
                    )
                    _all_of(dtype, updates, "an update")
                    _all_of(
                        dtype, [x for x in jax.tree.leaves(state) if _is_moment(x)], "the state"
                    )


def _run(tx: optax.GradientTransformationExtraArgs, params: Tree) -> tuple[Tree, Tree]:
    return trajectory(tx, params), tx.init(params)


def _is_moment(x: jax.Array) -> bool:
    return x.shape != () and jnp.issubdtype(x.dtype, jnp.floating)


def _all_of(dtype: str, tree: Tree, what: str) -> None:
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if x.dtype != dtype:
            raise AssertionError(
                f"{what} must keep dtype {dtype}, got {x.dtype} at {jax.tree_util.keystr(path)}."
            )


def _traced(case: Case) -> None:
    """a traced number gives the updates of the static one, alone and under vmap, with one trace for all values."""
    agrees_when_traced(
        lambda **number: trajectory(case.build(**number), case.params),
        case.numbers,
        case.rtol,
        case.rtol / 10,
    )


def _gradient(case: Case) -> None:
    """the gradient of a trajectory in each number is finite, and is the finite difference."""

    def total(**number: Any) -> jax.Array:
        updates = trajectory(case.build(**number), case.params_as("float64"))
        return sum(
            (jnp.sum(jnp.sin(u)) for u in jax.tree.leaves(updates)),
            start=jnp.zeros((), jnp.float64),
        )

    has_gradients(total, case.numbers)


def _zero(case: Case) -> None:
    """a gradient of zeros gives finite updates in every dtype, and finite gradients in each number."""

    def updates_of(dtype: Any, **numbers: Any) -> Tree:
        params, tx = case.params_as(dtype), case.build(**numbers)
        zeros, value = jax.tree.map(jnp.zeros_like, params), jnp.float32(1)
        _, state = tx.update(zeros, tx.init(params), params, value=value)
        return tx.update(zeros, state, params, value=value)[0]

    for dtype in TOLERANCE:
        with broken(f"Parameters of dtype {dtype}:"):
            finite(jax.jit(lambda dtype=dtype: updates_of(dtype))(), "an update")
    floats = {
        name: jnp.float32(pair[0]) for name, pair in case.numbers.items() if not is_whole(pair)
    }

    def total(floats: dict[str, jax.Array]) -> jax.Array:
        leaves = jax.tree.leaves(updates_of("float32", **floats))
        return sum((jnp.sum(u) for u in leaves), start=jnp.zeros((), jnp.float32))

    finite(jax.jit(jax.grad(total))(floats), "the gradient in a number")


def _state(case: Case) -> None:
    """the state is strongly typed, holds no array twice, and its tree depends on structure alone."""
    states = [
        case.build().init(case.params),
        case.build(**{name: pair[1] for name, pair in case.numbers.items()}).init(case.params),
        jax.jit(lambda numbers: case.build(**numbers).init(case.params))(traceable(case.numbers)),
    ]
    after = case.build().update(
        gradients(case.params, jnp.float32(0)), states[0], case.params, value=jnp.float32(1)
    )[1]
    for state in (*states, after):
        strong(state, "the state")
        donatable(state, "the state")
        chex.assert_trees_all_equal_shapes_and_dtypes(state, states[0])


def _none(case: Case) -> None:
    """a gradient of None leaves its parameter alone (jefficient's rule; leave this law out for optax's transforms)."""
    _leaves_pass(case, {"frozen": (jnp.ones(3), None)})


def _empty(case: Case) -> None:
    """an empty leaf, an empty tree and a None among the parameters pass."""
    _leaves_pass(
        case,
        {"nothing": (None, None), "empty": ({}, {}), "zero": (jnp.zeros((0,)), jnp.zeros((0,)))},
    )
    tx = case.build()
    tx.update({}, tx.init({}), {}, value=jnp.float32(1))


def _leaves_pass(case: Case, leaves: dict[str, tuple[Tree, Tree]]) -> None:
    """Parameters and gradients beside the usual ones."""
    grads = gradients(case.params, jnp.float32(0))
    params = {"given": case.params, **{name: p for name, (p, _) in leaves.items()}}
    updates = {"given": grads, **{name: g for name, (_, g) in leaves.items()}}
    tx, value = case.build(), jnp.float32(1)
    state = tx.init(params)
    u, after = tx.update(updates, state, params, value=value)
    if jax.tree.structure(u) != jax.tree.structure(updates):
        raise AssertionError(
            f"the updates must have the gradients' tree, got {jax.tree.structure(u)}."
        )
    strong(after, "the state")
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)


def _pure(case: Case) -> None:
    """the same arguments give the same updates and state, bit for bit."""
    tx, value = case.build(), jnp.float32(1)
    state = tx.init(case.params)
    first, second = (
        tx.update(gradients(case.params, jnp.float32(0)), state, case.params, value=value)
        for _ in range(2)
    )
    chex.assert_trees_all_equal(first, second)


TRANSFORM_LAWS: dict[str, Callable[[Case], None]] = {
    "dtype": _dtype,
    "x64": _x64,
    "traced": _traced,
    "gradient": _gradient,
    "zero": _zero,
    "state": _state,
    "empty": _empty,
    "none": _none,
    "pure": _pure,
}
"""The laws of `verify_transform` by name.

`dtype`: updates have the gradients' dtypes and states keep theirs under scan, with traced float32
    numbers.
`x64`: with x64 on nothing is promoted, be the numbers static or traced in float32.
`traced`: a traced number gives the updates of the static one, alone and under vmap, with one trace
    for all values.
`gradient`: the gradient in each number is finite, and is the finite difference.
`zero`: a gradient of zeros gives finite updates, and finite gradients in each number.
`state`: the state is strongly typed, holds no array twice (so that it can be donated), and its tree
    depends on
structure alone: not on values, not on steps made. `empty`: an empty leaf, an empty tree and a None
among the parameters pass. `none`: a gradient of None leaves its parameter alone. That is
jefficient's rule: most of optax's transforms break it. `pure`: the same arguments give the same
result.
"""
