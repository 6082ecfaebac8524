"""Microbatches make the step of the whole batch; a compute dtype changes the loss's alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

RNG = np.random.default_rng(0)
BATCH = {"x": RNG.normal(size=(24, 5)).astype(np.float32), "y": RNG.integers(0, 3, 24)}


def init(key):
    first, second = jax.random.split(key)
    return {"w1": jax.random.normal(first, (5, 8)), "w2": jax.random.normal(second, (8, 3))}


PARAMS = init(jax.random.key(0))


def loss(params, batch):
    logits = jnp.tanh(batch["x"] @ params["w1"]) @ params["w2"]
    return optax.softmax_cross_entropy_with_integer_labels(
        logits.astype(jnp.float32), batch["y"]
    ).mean()


def run(step, steps=20, batch=BATCH, **given):
    update, state = jax.jit(step.update), step.init(PARAMS, **given)
    for _ in range(steps):
        state, metrics = update(state, batch)
    return state, metrics


@pytest.mark.parametrize("microbatches", [2, 3, 24])
def test_microbatches_make_the_step_of_the_batch(microbatches):
    tx = jf.chain(jf.clip_by_global_norm(1.0), jf.adam(0.01))
    whole, metrics = run(jf.train_step(loss, tx))
    state, again = run(jf.train_step(loss, tx, microbatches=microbatches))
    chex.assert_trees_all_close(state, whole, rtol=2e-4, atol=2e-5)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, whole)
    chex.assert_trees_all_close(again, metrics, rtol=2e-4, atol=1e-5)
    penalised = [
        run(jf.train_step(jf.regularized(loss, l2=0.1), tx, microbatches=k))[1]["loss"]
        for k in (1, microbatches)
    ]
    np.testing.assert_allclose(*penalised, rtol=1e-4)


def test_activations_of_one_microbatch_are_in_memory():
    """By the compiler's count of temporary memory."""
    wide = {"w": jnp.zeros((64, 512))}
    batch = jnp.zeros((4096, 64))

    def deep(params, x):
        return jnp.mean(jnp.tanh(jnp.sin(x @ params["w"])) ** 2)

    def temporary(microbatches):
        step = jf.train_step(deep, jf.sgd(0.1), microbatches=microbatches)
        compiled = jax.jit(step.update).lower(step.init(wide), batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(16) < temporary(1) / 8


def test_each_microbatch_has_its_key_and_the_state_is_passed_on():
    def counting(params, count, batch, key):
        value = loss(params, batch) + 0.0 * count + jax.random.uniform(key)
        return value, count + batch["x"].shape[0]

    step = jf.train_step(counting, jf.sgd(0.0), model_state=True, microbatches=4)
    state, metrics = run(step, steps=1, key=jax.random.key(7), model_state=jnp.zeros(()))
    assert state.model_state == 24
    keys = [jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 0), i) for i in range(4)]
    noise = np.mean([float(jax.random.uniform(key)) for key in keys])
    np.testing.assert_allclose(metrics["loss"], loss(PARAMS, BATCH) + noise, rtol=1e-5)


def test_the_loss_is_computed_in_bfloat16_and_the_state_stays_float32():
    seen = []

    def spying(params, mean, batch):
        seen.append({x.dtype for x in jax.tree.leaves((params, batch["x"]))})
        assert (mean.dtype, batch["y"].dtype) == (jnp.float32, jnp.int32)
        return loss(params, batch), 0.999 * mean + 0.001 * batch["x"].mean(0).astype(jnp.float32)

    def cast(tree):
        return jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree)

    step = jf.train_step(spying, jf.sgd(0.1), model_state=True, compute_dtype="bfloat16")
    batch = {"x": jnp.asarray(BATCH["x"]), "y": jnp.asarray(BATCH["y"], jnp.int32)}
    state = step.init(PARAMS, model_state=jnp.ones(5))
    after, metrics = jax.jit(step.update)(state, batch)
    assert seen == [{jnp.dtype("bfloat16")}]
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    assert metrics["loss"].dtype == metrics["grad_norm"].dtype == jnp.float32
    low = {"x": cast(batch["x"]), "y": batch["y"]}
    value, grads = jax.value_and_grad(loss)(cast(PARAMS), low)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-2)
    np.testing.assert_allclose(after.model_state, 0.999 + 0.001 * BATCH["x"].mean(0), rtol=1e-5)
    expected = jax.tree.map(lambda p, g: p - np.float32(0.1) * g.astype(jnp.float32), PARAMS, grads)
    chex.assert_trees_all_close(after.params, expected, rtol=1e-2, atol=2e-3)
    assert float(after.params["w1"][0, 0]) != float(
        jnp.bfloat16(after.params["w1"][0, 0])
    )  # digits that it lacks


def test_both_together_learn():
    tx = jf.adam(0.05)
    plain, low = (run(jf.train_step(loss, tx, **more), steps=60)[1]["loss"] for more in ({}, LOW))
    np.testing.assert_allclose(low, plain, atol=0.05)
    assert low < 0.5 * loss(PARAMS, BATCH)


LOW = {"microbatches": 4, "compute_dtype": jnp.bfloat16}


def test_lanes_may_have_both():
    def build(learning_rate):
        return jf.train_step(loss, jf.sgd(learning_rate), **LOW)

    lanes = jf.vectorize(build, {"learning_rate": jnp.array([0.0, 0.1])})
    state, metrics = jax.jit(lanes.update)(lanes.init(PARAMS), BATCH)
    assert metrics["loss"].shape == (2,)
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[0], state.state.params), PARAMS)


def test_bad_arguments_are_refused():
    for wrong, message in (
        ({"microbatches": 0}, "microbatches >= 1 must hold"),
        ({"microbatches": 2.0}, "microbatches must be a whole number"),
        ({"compute_dtype": jnp.int32}, "compute_dtype must be floating"),
        ({"compute_dtype": "bfloat"}, "compute_dtype must be floating, got compute_dtype='bfloat'"),
        ({"compute_dtype": 16}, "compute_dtype must be floating, got compute_dtype=16"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            jf.train_step(loss, jf.sgd(0.1), **wrong)
    step = jf.train_step(loss, jf.sgd(0.1), microbatches=5)
    with pytest.raises(
        jf.ArgumentError, match=r"of the batch, got shape \(24, 5\) at \['x'\] and microbatches=5"
    ):
        step.update(step.init(PARAMS), BATCH)


def test_a_model_state_of_python_numbers_and_keys_is_carried_in_another_dtype():
    def counting(params, model_state, batch):
        return loss(params, batch), {"count": 3, "key": model_state["key"]}

    key = jax.random.key(1)
    for more in ({}, LOW):
        step = jf.train_step(counting, jf.sgd(0.1), model_state=True, **more)
        state, _ = run(step, steps=2, model_state={"count": 0, "key": key})
        assert int(state.model_state["count"]) == 3
        chex.assert_trees_all_equal(
            jax.random.key_data(state.model_state["key"]), jax.random.key_data(key)
        )
