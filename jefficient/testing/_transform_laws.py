"""The laws of a gradient transformation."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec, use_abstract_mesh
from jax.typing import DTypeLike

from .._core.trees import name_of
from .._core.typing import Params, Scalar, Tree, Updates
from ._law import (
    Numbers,
    agrees_when_traced,
    broken,
    donatable,
    finite,
    first_values,
    has_gradients,
    is_whole,
    raw,
    same,
    strong,
    traceable,
)

STEPS = 6
TOLERANCE = {"bfloat16": 0.05, "float16": 0.01, "float32": 1e-5}
VALUE = np.float32(1)
"""The loss, for transforms that take one."""
COMPILATION = "/jax/core/compile/backend_compile_duration"
"""What jax reports when it compiles a program, or takes it from its cache on disk."""


class Case(NamedTuple):
    """A transform to verify: ``factory(**numbers)``, on a tree of float32 parameters."""

    factory: Callable[..., optax.GradientTransformation]
    numbers: Numbers
    params: Params
    rtol: float

    def build(self, **overrides: Scalar) -> optax.GradientTransformationExtraArgs:
        """Make the transform of the first values, or of others."""
        return optax.with_extra_args_support(
            self.factory(**{**first_values(self.numbers), **overrides})
        )

    def params_as(self, dtype: DTypeLike) -> Params:
        """Cast the parameters to another dtype."""
        return jax.tree.map(lambda p: p.astype(dtype), self.params)

    def updates(self, dtype: DTypeLike, numbers: dict[str, jax.Array]) -> Updates:
        """Return the trajectory of parameters of a dtype, the numbers being traced."""
        params = self.params_as(dtype)
        return jax.jit(lambda numbers: trajectory(self.build(**numbers), params))(numbers)


def gradients(params: Params, t: jax.Array) -> Updates:
    """Make gradients of about unit size that change sign with t and never vanish.

    They have the shapes and dtypes of the parameters.
    """

    def leaf(p: jax.Array) -> jax.Array:
        wave = jnp.cos(3.0 * t + jnp.arange(p.size, dtype=jnp.float32)).reshape(p.shape)
        return (wave + jnp.float32(0.3)).astype(p.dtype)

    return jax.tree.map(leaf, params)


def trajectory(tx: optax.GradientTransformationExtraArgs, params: Params) -> Updates:
    """Return the updates of some steps, each leaf with a leading axis of steps.

    The steps are scanned, so a state whose dtype or weak type changes raises. The loss falls and
    then stays, for transforms that take it.
    """

    def body(carry: tuple[Params, optax.OptState], t: jax.Array) -> tuple[tuple, Updates]:
        params, state = carry
        value = jnp.maximum(1 - jnp.float32(0.3) * t, jnp.float32(0.4))
        updates, state = tx.update(gradients(params, t), state, params, value=value)
        chex.assert_trees_all_equal_shapes(updates, params)
        params = jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates)
        return (params, state), updates

    steps = jnp.arange(STEPS, dtype=jnp.float32)
    return jax.lax.scan(body, (params, tx.init(params)), steps)[1]


def _dtype(case: Case) -> None:
    """updates have the gradients' dtypes and states keep theirs in a scan, with float32 numbers."""
    expected = jax.jit(lambda: trajectory(case.build(), case.params))()
    finite(expected, "an update")
    for dtype, tolerance in TOLERANCE.items():
        with broken(f"Parameters of dtype {dtype}:"):
            updates = case.updates(dtype, traceable(case.numbers))
            _check_dtype(dtype, updates, "an update")
            updates = jax.tree.map(lambda u: u.astype(jnp.float32), updates)
            same(updates, expected, tolerance, tolerance)


def _x64(case: Case) -> None:
    """with x64 on float32 stays float32 and float64 stays float64, the numbers static or traced."""
    with jax.enable_x64(True):
        traced = traceable(case.numbers)
        for dtype in ("float32", "float64"):
            for kind, numbers in (("static", {}), ("traced", traced)):
                with broken(f"Parameters of dtype {dtype}, {kind} numbers:"):
                    updates, state = jax.eval_shape(
                        lambda numbers, dtype=dtype: _run(case, dtype, numbers), numbers
                    )
                    _check_dtype(dtype, updates, "an update")
                    moments = [x for x in jax.tree.leaves(state) if _is_moment(x)]
                    _check_dtype(dtype, moments, "the state")


def _run(case: Case, dtype: str, numbers: dict[str, Scalar]) -> tuple[Updates, optax.OptState]:
    """Return the updates of a trajectory and the first state; only their dtypes are looked at."""
    params = case.params_as(dtype)
    tx = case.build(**numbers)
    return trajectory(tx, params), tx.init(params)


def _is_moment(x: jax.Array) -> bool:
    return x.shape != () and jnp.issubdtype(x.dtype, jnp.floating)


def _check_dtype(dtype: str, tree: Tree, what: str) -> None:
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if x.dtype != dtype:
            raise AssertionError(
                f"{what} must keep dtype {dtype}, got {x.dtype} at {name_of(path)}."
            )


def _traced(case: Case) -> None:
    """a traced number gives the updates of a static one, alone and vmapped, with one trace."""

    def run(**number: Scalar) -> Updates:
        return trajectory(case.build(**number), case.params)

    agrees_when_traced(run, case.numbers, case.rtol, case.rtol / 10)


def _gradient(case: Case) -> None:
    """the gradient of a trajectory in each number is finite, and is the finite difference."""

    def total(**number: Scalar) -> jax.Array:
        updates = trajectory(case.build(**number), case.params_as("float64"))
        return _total([jnp.sin(u) for u in jax.tree.leaves(updates)], "float64")

    has_gradients(total, case.numbers)


def _zero(case: Case) -> None:
    """a gradient of zeros gives finite updates in every dtype, and finite slopes in each number."""

    def second_updates(dtype: str, **numbers: Scalar) -> Updates:
        params = case.params_as(dtype)
        zeros = jax.tree.map(jnp.zeros_like, params)
        tx = case.build(**numbers)
        _, state = tx.update(zeros, tx.init(params), params, value=VALUE)
        return tx.update(zeros, state, params, value=VALUE)[0]

    for dtype in TOLERANCE:
        with broken(f"Parameters of dtype {dtype}:"):
            finite(jax.jit(lambda dtype=dtype: second_updates(dtype))(), "an update")

    def total(floats: dict[str, jax.Array]) -> jax.Array:
        return _total(second_updates("float32", **floats), "float32")

    floats = {name: jnp.float32(x) for name, (x, y) in case.numbers.items() if not is_whole((x, y))}
    finite(jax.jit(jax.grad(total))(floats), "the gradient in a number")


def _total(tree: Updates, dtype: DTypeLike) -> jax.Array:
    return sum((jnp.sum(x) for x in jax.tree.leaves(tree)), start=jnp.zeros((), dtype))


def _state(case: Case) -> None:
    """the state is strongly typed, has no array twice, and its tree depends on structure alone."""
    others = {name: pair[1] for name, pair in case.numbers.items()}
    states = [
        case.build().init(case.params),
        case.build(**others).init(case.params),
        jax.jit(lambda numbers: case.build(**numbers).init(case.params))(traceable(case.numbers)),
    ]
    grads = gradients(case.params, jnp.float32(0))
    states.append(case.build().update(grads, states[0], case.params, value=VALUE)[1])
    for state in states:
        strong(state, "the state")
        donatable(state, "the state")
        chex.assert_trees_all_equal_shapes_and_dtypes(state, states[0])


def _none(case: Case) -> None:
    """a gradient of None leaves its parameter alone (jefficient's rule, not optax's)."""
    _check_extra_leaves(case, {"frozen": (jnp.ones(3), None)})


def _empty(case: Case) -> None:
    """an empty leaf, an empty tree and a None among the parameters pass."""
    empty = jnp.zeros((0,))
    _check_extra_leaves(case, {"nothing": (None, None), "empty": ({}, {}), "zero": (empty, empty)})
    tx = case.build()
    tx.update({}, tx.init({}), {}, value=VALUE)


def _check_extra_leaves(case: Case, extra: dict[str, tuple[Params, Updates]]) -> None:
    """Check an update with more parameters and gradients beside the usual ones."""
    grads = gradients(case.params, jnp.float32(0))
    params = {"given": case.params, **{name: p for name, (p, _) in extra.items()}}
    grads = {"given": grads, **{name: g for name, (_, g) in extra.items()}}
    tx = case.build()
    state = tx.init(params)
    updates, after = tx.update(grads, state, params, value=VALUE)
    structure = jax.tree.structure(updates)
    if structure != jax.tree.structure(grads):
        raise AssertionError(f"the updates must have the gradients' tree, got {structure}.")
    strong(after, "the state")
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)


def _pure(case: Case) -> None:
    """the same arguments give the same updates and state, bit for bit."""
    tx = case.build()
    state = tx.init(case.params)
    grads = gradients(case.params, jnp.float32(0))
    first, second = (tx.update(grads, state, case.params, value=VALUE) for _ in range(2))
    chex.assert_trees_all_equal(raw(first), raw(second))


def _init(case: Case) -> None:
    """`init` gives the same state under jit, and its shapes and dtypes under `jax.eval_shape`."""
    tx = case.build()
    state = tx.init(case.params)
    with broken("Under jax.eval_shape:"):
        chex.assert_trees_all_equal_shapes_and_dtypes(jax.eval_shape(tx.init, case.params), state)
    with broken("Under jit:"):
        same(raw(jax.jit(tx.init)(case.params)), raw(state), case.rtol, case.rtol / 10)


def _compiled(case: Case) -> None:
    """the second update, from the state that the first returned, compiles nothing."""
    tx = case.build()
    update = jax.jit(tx.update)
    grads = gradients(case.params, jnp.float32(0))
    _, state = update(grads, tx.init(case.params), case.params, value=VALUE)
    compiled = []

    def listen(event: str, duration_secs: float, **_: object) -> None:
        if event == COMPILATION:
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        update(grads, state, case.params, value=VALUE)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    if compiled:
        raise AssertionError("the second update must compile nothing, but it was compiled again.")


def _sharding(case: Case) -> None:
    """the state keeps its sharding, and updates have that of the gradients, on an explicit mesh."""
    mesh = AbstractMesh((1,), ("x",), axis_types=(AxisType.Explicit,))

    def first_axis(p: jax.Array) -> jax.ShapeDtypeStruct:
        spec = PartitionSpec("x") if p.ndim else PartitionSpec()
        return jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=NamedSharding(mesh, spec))

    def run(params: Params, grads: Updates) -> None:
        tx = case.build()
        state = tx.init(params)
        updates, after = tx.update(grads, state, params, value=VALUE)
        _check_sharding(after, state, "the state")
        _check_sharding(updates, grads, "an update")

    sharded = jax.tree.map(first_axis, case.params)
    with use_abstract_mesh(mesh):  # types have shardings: nothing runs, and one device is enough
        jax.eval_shape(run, sharded, sharded)


def _check_sharding(tree: Tree, like: Tree, what: str) -> None:
    expected = jax.tree.leaves(like)
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(tree), expected, strict=True):
        got, spec = (jax.typeof(leaf).sharding.spec for leaf in (x, y))
        if got != spec:
            raise AssertionError(
                f"{what} must keep its sharding, {spec}, got {got} at {name_of(path)}."
            )


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
    "init": _init,
    "compiled": _compiled,
    "sharding": _sharding,
}
"""The laws of `verify_transform` by name.

- `dtype`: updates have the gradients' dtypes, and states keep theirs in a scan, with traced float32
  numbers.
- `x64`: with x64 on nothing is promoted, the numbers static or traced in float32.
- `traced`: a traced number gives the updates of a static one, alone and vmapped, with one trace for
  all values.
- `gradient`: the gradient of a trajectory in each number is finite, and is the finite difference.
- `zero`: a gradient of zeros gives finite updates, and finite gradients in each number.
- `state`: the state is strongly typed, holds no array twice (so that it can be donated), and its
  tree depends on structure alone: not on values, not on the number of steps.
- `empty`: an empty leaf, an empty tree and a None among the parameters pass.
- `none`: a gradient of None leaves its parameter alone. Most of optax's transforms break this law.
- `pure`: the same arguments give the same updates and state.
- `init`: `init` gives the same state under `jit`, and its shapes and dtypes under `jax.eval_shape`,
  as checkpoint libraries and models too large for one device ask for it.
- `compiled`: the second update, from the state that the first returned, compiles nothing.
- `sharding`: where all parameters and gradients are sharded along their first axis, on a mesh with
  an explicit axis, the state after an update is sharded as that of `init`, and updates are as
  gradients are. It is checked by types, so that one device is enough. What ranks all numbers of an
  array, such as `jf.prune`, breaks this law: jax refuses it there.
"""
