"""What optax's contract allows reaches a transform, and nothing that it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import jefficient as jf

X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32)
BATCH = {"x": X, "y": Y}
STEPS = 4


def loss(params, batch):
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)


def value_fn(params):
    return loss(params, BATCH)


def everything(value, grad):
    return {"value": value, "grad": grad, "value_fn": value_fn}


def sophia(learning_rate):
    return optax.contrib.sophia(learning_rate, update_interval=2)


CASES = {
    "sam": (
        lambda: optax.contrib.sam(
            optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), sync_period=2
        ),
        lambda value, grad: {},
    ),
    "lbfgs": (lambda: optax.lbfgs(), everything),
    "backtracking": (
        lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(10)),
        everything,
    ),
    "polyak": (lambda: optax.polyak_sgd(), lambda value, grad: {"value": value}),
    "plateau": (
        lambda: optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=1)),
        lambda value, grad: {"value": value},
    ),
    "sophia": (lambda: sophia(0.1), lambda value, grad: {"obj_fn": value_fn}),
    "schedule_free": (
        lambda: optax.contrib.schedule_free_sgd(0.1),
        lambda value, grad: {},
    ),
}


def optax_loop(name):
    make, extra = CASES[name]
    tx = make()
    params = jnp.zeros(3)

    @jax.jit
    def step(params, state):
        value, grad = jax.value_and_grad(value_fn)(params)
        updates, state = tx.update(grad, state, params, **extra(value, grad))
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(STEPS):
        params, state = step(params, state)
    return np.asarray(params)


@pytest.fixture(autouse=True)
def _optax_promotes():
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("name", CASES)
def test_a_train_step_and_vectorised_steps_are_optax_s_loop(name):
    expected = optax_loop(name)
    assert np.linalg.norm(expected) > 0.1
    step = jf.train_step(loss, CASES[name][0]())
    state = step.init(jnp.zeros(3))
    update = jax.jit(step.update)
    for _ in range(STEPS):
        state, _ = update(state, BATCH)
    np.testing.assert_allclose(state.params, expected, rtol=2e-4, atol=1e-6)

    lanes = jf.vectorize(
        lambda unused: jf.train_step(loss, CASES[name][0]()), {"unused": jnp.arange(2.0)}
    )
    many = lanes.init(jnp.zeros(3))
    update = jax.jit(lanes.update)
    for _ in range(STEPS):
        many, _ = update(many, BATCH)
    for params in many.state.params:
        np.testing.assert_allclose(params, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["sam", "lbfgs", "polyak"])
def test_a_sweep_of_the_whole_batch_is_optax_s_loop(name):
    task = jf.Task(init=lambda key: jnp.zeros(3), loss=loss, data=BATCH, validation=BATCH)
    result = jf.sweep(
        task,
        CASES[name][0](),
        jf.grid(steps=[STEPS]),
        batch_size=24,
        progress=False,
    )
    np.testing.assert_allclose(result.params(), optax_loop(name), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: jf.chain(jf.clip(100.0), tx),
        lambda tx: jf.partition({"all": tx}, "all"),
        lambda tx: jf.accumulate(tx, 1),
    ],
)
def test_they_reach_and_spare_transforms_inside_others(wrap):
    for name in ("sam", "polyak"):
        step = jf.train_step(loss, wrap(CASES[name][0]()))
        state = step.init(jnp.zeros(3))
        for _ in range(STEPS):
            state, _ = step.update(state, BATCH)
        np.testing.assert_allclose(state.params, optax_loop(name), rtol=2e-4, atol=1e-6)


def test_value_fn_is_the_loss_with_the_key_state_and_microbatches_of_the_step():
    seen = {}

    def update(grads, state, params=None, *, value, value_fn):
        seen.update(value=value, again=value_fn(params), moved=value_fn(params + 1))
        return grads, state

    def noisy(params, model_state, batch, key):
        noise = jax.random.normal(key)
        return loss(params, batch) + noise + model_state, model_state

    tx = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    step = jf.train_step(noisy, tx, model_state=True, microbatches=2)
    state = step.init(jnp.zeros(3), key=jax.random.key(1), model_state=jnp.float32(3))
    step.update(state, BATCH)
    assert seen["value"] == seen["again"] != seen["moved"]


def test_an_argument_that_the_transform_requires_and_nobody_has_is_its_own_error():
    def update(grads, state, params=None, *, curvature):
        return grads, state

    tx = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    step = jf.train_step(loss, tx)
    with pytest.raises(TypeError, match="curvature"):
        step.update(step.init(jnp.zeros(3)), BATCH)


def test_each_of_a_chain_gets_what_it_takes():
    """SAM refuses `value`, the plateau requires it, and a third takes it or not."""
    seen = []

    def update(grads, state, params=None, value=None, **extra):
        seen.append((value, sorted(extra)))
        return grads, state

    third = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    plateau = jf.reduce_on_plateau(patience=1)
    step = jf.train_step(loss, jf.chain(CASES["sam"][0](), plateau, third))
    _, metrics = step.update(step.init(jnp.zeros(3)), BATCH)
    assert seen == [(metrics["loss"], ["grad", "grad_fn", "obj_fn", "value_fn"])]


def test_what_refuses_inside_optax_s_chain_is_said():
    step = jf.train_step(loss, optax.chain(optax.clip(1.0), CASES["sam"][0]()))
    with pytest.raises(jf.ArgumentTypeError, match=r"refuses '\w+'.*jf\.chain hands each"):
        step.update(step.init(jnp.zeros(3)), BATCH)


def test_an_error_of_the_transform_s_own_is_left_alone():
    def update(grads, state, params=None, **extra):
        return jnp.sum(grads, value=3), state

    tx = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    step = jf.train_step(loss, tx)
    with pytest.raises(TypeError, match="value") as caught:
        step.update(step.init(jnp.zeros(3)), BATCH)
    assert "sum" in str(caught.value.__cause__ or caught.value)


def test_sam_in_one_call_gets_the_gradient_elsewhere():
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    tx = optax.contrib.sam(optax.sgd(0.1), adversary, sync_period=2, opaque_mode=True)
    params = jnp.zeros(3)
    state = tx.init(params)
    for _ in range(STEPS):
        updates, state = tx.update(
            jax.grad(value_fn)(params), state, params, grad_fn=lambda p, _: jax.grad(value_fn)(p)
        )
        params = optax.apply_updates(params, updates)

    step = jf.train_step(loss, tx)
    mine = step.init(jnp.zeros(3))
    for _ in range(STEPS):
        mine, _ = step.update(mine, BATCH)
    np.testing.assert_allclose(mine.params, params, rtol=2e-4, atol=1e-6)


def tree_loss(params, batch):
    return loss(jnp.concatenate([params["a"], params["b"]]), batch)


START = {"a": jnp.zeros(1), "b": jnp.zeros(2)}


def trained(tx, steps=STEPS):
    step = jf.train_step(tree_loss, tx)
    state = step.init(START)
    update = jax.jit(step.update)
    for _ in range(steps):
        state, _ = update(state, BATCH)
    return state.params


def test_a_line_search_of_some_leaves_is_that_of_the_loss_with_the_others_fixed():
    tx = optax.lbfgs()
    params = START["b"]

    def value(b):
        return tree_loss({"a": START["a"], "b": b}, BATCH)

    state = tx.init(params)
    for _ in range(STEPS):
        grad = jax.grad(value)(params)
        updates, state = tx.update(
            grad, state, params, value=value(params), grad=grad, value_fn=value
        )
        params = optax.apply_updates(params, updates)

    groups = {"search": optax.lbfgs(), "still": jf.scale(0.0)}
    mine = trained(jf.partition(groups, {"a": "still", "b": "search"}))
    np.testing.assert_allclose(mine["b"], params, rtol=2e-4, atol=1e-6)
    assert mine["a"] == 0
    mine = trained(
        jf.chain(
            jf.masked(optax.lbfgs(), {"a": False, "b": True}),
            jf.masked(jf.scale(0.0), {"a": True, "b": False}),
        )
    )
    np.testing.assert_allclose(mine["b"], params, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["lbfgs", "sophia"])
def test_all_leaves_as_one_vector_are_searched_as_that_vector(name):
    mine = trained(jf.flatten(CASES[name][0]()))
    np.testing.assert_allclose(
        np.concatenate(jax.tree.leaves(mine)), optax_loop(name), rtol=2e-4, atol=1e-6
    )


def test_a_line_search_of_complex_parameters_is_optax_s_loop():
    """`grad` is as jax.grad returns it, the updates are the direction of steepest descent."""
    rng = np.random.default_rng(1)
    a = (rng.normal(size=(8, 3)) + 1j * rng.normal(size=(8, 3))).astype(np.complex64)
    b = (rng.normal(size=8) + 1j * rng.normal(size=8)).astype(np.complex64)

    def squares(z, batch):
        return jnp.mean(jnp.abs(batch["a"] @ z - batch["b"]) ** 2)

    def value(z):
        return squares(z, {"a": a, "b": b})

    tx = optax.chain(optax.scale(-1.0), optax.scale_by_backtracking_linesearch(20, slope_rtol=0.4))
    z = jnp.zeros(3, jnp.complex64)
    state = tx.init(z)
    step = jf.train_step(squares, tx)
    mine = step.init(z)
    for _ in range(STEPS):
        grad = jax.grad(value)(z)
        given = {"value": value(z), "grad": grad, "value_fn": value}
        updates, state = tx.update(grad.conj(), state, z, **given)
        z = optax.apply_updates(z, updates)
        mine, _ = step.update(mine, {"a": a, "b": b})
    np.testing.assert_allclose(mine.params, z, rtol=1e-4)
    assert value(z) < 0.9 * value(jnp.zeros(3, jnp.complex64))
