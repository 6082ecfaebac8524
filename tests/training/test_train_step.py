"""The train step against the same step written by hand with optax."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5]).astype(np.float32)
BATCH = {"x": X, "y": Y}
PARAMS = {"w": jnp.zeros(3), "b": jnp.zeros(())}


def loss(params, batch):
    return jnp.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2)


def test_steps_are_those_of_a_hand_written_optax_loop():
    step = jf.train_step(loss, jf.adam(0.05))
    update = jax.jit(step.update, donate_argnums=0)
    state = step.init(jax.tree.map(jnp.array, PARAMS))
    tx = optax.adam(0.05)
    params, opt_state = PARAMS, tx.init(PARAMS)
    for t in range(30):
        state, metrics = update(state, BATCH)
        value, grads = jax.value_and_grad(loss)(params, BATCH)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = tx.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        assert state.step == t + 1
        chex.assert_trees_all_close(state.params, params, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-4)
        np.testing.assert_allclose(metrics["grad_norm"], optax.tree.norm(grads), rtol=1e-4)
        np.testing.assert_allclose(metrics["update_norm"], optax.tree.norm(updates), rtol=1e-4)
        np.testing.assert_allclose(metrics["learning_rate"], 0.05)


def test_transforms_of_optax_and_those_that_need_the_loss_work():
    for tx in (optax.sgd(0.1), optax.polyak_sgd(), jf.chain(jf.scale(1.0), optax.polyak_sgd())):
        step = jf.train_step(loss, tx)
        with jax.numpy_dtype_promotion("standard"):
            state, metrics = step.update(step.init(PARAMS), BATCH)
        assert loss(state.params, BATCH) < metrics["loss"]


def test_numbers_of_one_name_are_reported_by_address():
    tx = jf.chain(jf.l2_decay(0.1), jf.l1_decay(0.2), jf.sgd(0.3))
    step = jf.train_step(loss, tx)
    metrics = step.update(step.init(PARAMS), BATCH)[1]
    numbers = {
        name: round(float(x), 3)
        for name, x in metrics.items()
        if "norm" not in name and name != "loss"
    }
    assert numbers == {"l2_decay.strength": 0.1, "l1_decay.strength": 0.2, "learning_rate": 0.3}


def test_clipping_and_the_norms_of_layers_are_among_the_metrics():
    layered = {"dense": {"w": jnp.ones(3), "b": jnp.ones(())}, "scale": jnp.full((), 2.0)}

    def scaled(params, batch):
        return loss(params["dense"], batch) * params["scale"]

    grads = jax.grad(scaled)(layered, BATCH)
    norm = optax.tree.norm(grads)
    expected = {"dense": optax.tree.norm(grads["dense"]), "scale": abs(grads["scale"])}
    for max_norm, is_clipped in ((1.01 * norm, False), (0.5 * norm, True)):
        tx = jf.chain(jf.clip_by_global_norm(max_norm), jf.clip_by_global_norm(1e9), jf.sgd(0.1))
        step = jf.train_step(scaled, tx, layers=True)
        metrics = jax.jit(step.update)(step.init(layered), BATCH)[1]
        assert metrics["clipped"].dtype == jnp.bool
        assert metrics["clipped"] == is_clipped
        chex.assert_trees_all_close(metrics["layers"]["grad_norm"], expected, rtol=1e-5)
        factor = 0.1 * (0.5 if is_clipped else 1.0)
        updates = {name: factor * x for name, x in expected.items()}
        chex.assert_trees_all_close(metrics["layers"]["update_norm"], updates, rtol=1e-5)
    plain = jf.train_step(scaled, jf.sgd(0.1))
    assert not {"clipped", "layers"} & set(plain.update(plain.init(layered), BATCH)[1])


def test_a_loss_that_takes_key_gets_a_fresh_one_every_step():
    def noisy(params, batch, key):
        return loss(params, batch) + jax.random.normal(key)

    step = jf.train_step(noisy, jf.sgd(0.0))
    with pytest.raises(jf.JefficientError, match="init must be given a key, since loss takes one"):
        step.init(PARAMS)
    state = step.init(PARAMS, key=jax.random.key(3))
    for t in range(3):
        state, metrics = step.update(state, BATCH)
        expected = noisy(PARAMS, BATCH, jax.random.fold_in(jax.random.key(3), t))
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-6)


def test_model_state_is_carried():
    def counting(params, count, batch):
        return loss(params, batch), count + 1

    step = jf.train_step(counting, jf.sgd(0.1), model_state=True)
    with pytest.raises(jf.JefficientError, match="init must be given model_state"):
        step.init(PARAMS)
    state = step.init(PARAMS, model_state=jnp.zeros(()))
    for _ in range(3):
        state, _ = jax.jit(step.update)(state, BATCH)
    assert state.model_state == 3


def test_a_loss_that_is_not_a_floating_scalar_is_refused():
    for bad, message in (
        (
            lambda p, b: (b["x"] @ p["w"]) ** 2,
            r"must return a scalar \(the mean over the batch\) or .*, got shape \(20,\)",
        ),
        (lambda p, b: jnp.sum(b["x"] > 0), "loss must be floating, got dtype int32"),
    ):
        step = jf.train_step(bad, jf.sgd(0.1))
        with pytest.raises(TypeError, match=message):
            step.update(step.init(PARAMS), BATCH)
    with pytest.raises(TypeError, match="tx must be a gradient transformation, got <function sgd"):
        jf.train_step(loss, jf.sgd)
    with pytest.raises(TypeError, match="a function must be given, got 3"):
        jf.train_step(3, jf.sgd(0.1))


GRID = np.geomspace(1e-3, 0.3, 32)


def test_one_trace_for_32_learning_rates_and_each_lane_as_if_alone():
    @chex.assert_max_traces(n=1)
    def counted(params, batch):
        return loss(params, batch)

    lanes = jf.vectorize(
        lambda learning_rate: jf.train_step(counted, jf.adam(learning_rate)),
        {"learning_rate": GRID},
    )
    update = jax.jit(lanes.update, donate_argnums=0)
    state = lanes.init(PARAMS)
    for _ in range(50):
        state, metrics = update(state, BATCH)
    update(lanes.init(PARAMS, {"learning_rate": GRID[::-1]}), BATCH)  # no second trace
    assert metrics["loss"].shape == (32,)
    np.testing.assert_allclose(metrics["learning_rate"], GRID, rtol=1e-6)

    state = lanes.init(PARAMS)
    for _ in range(50):
        state, metrics = update(state, BATCH)
    for i in (0, 13, 31):
        step = jf.train_step(loss, jf.adam(GRID[i]))
        alone_update, alone = jax.jit(step.update), step.init(PARAMS)
        for _ in range(50):
            alone, _ = alone_update(alone, BATCH)
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, i=i: x[i], state.state.params),
            alone.params,
            rtol=1e-4,
            atol=1e-5,
        )


def test_lanes_may_have_their_own_batches_and_parameters():
    lanes = jf.vectorize(
        lambda learning_rate, l2: jf.train_step(jf.regularized(loss, l2=l2), jf.sgd(learning_rate)),
        {"learning_rate": [0.1, 0.1], "l2": [0.0, 1.0]},
        batch_axis=0,
        params_axis=0,
    )
    params = {"w": jnp.stack([jnp.zeros(3), jnp.ones(3)]), "b": jnp.zeros(2)}
    state, metrics = lanes.update(
        lanes.init(params), jax.tree.map(lambda x: jnp.stack([x, x * 2]), BATCH)
    )
    doubled = jax.tree.map(lambda x: x * 2, BATCH)
    second = jax.tree.map(lambda x: x[1], params)
    np.testing.assert_allclose(metrics["loss"][1], loss(second, doubled) + 1.5, rtol=1e-5)
    assert state.state.params["w"].shape == (2, 3)


def test_states_that_init_did_not_make_are_refused():
    step = jf.train_step(loss, jf.sgd(0.1))
    with pytest.raises(
        TypeError, match=r"jf.train_step: state must be what init returns, got dict"
    ):
        step.update(PARAMS, BATCH)
    lanes = jf.vectorize(
        lambda learning_rate: jf.train_step(loss, jf.sgd(learning_rate)), {"learning_rate": [0.1]}
    )
    with pytest.raises(
        TypeError, match=r"jf.vectorize: update must be given what init returns, got dict"
    ):
        lanes.update(PARAMS, BATCH)
    with pytest.raises(
        TypeError, match=r"factory must return a train step \(jf.train_step\), got Gradient"
    ):
        jf.vectorize(jf.sgd, {"learning_rate": [0.1]})


def test_donating_lanes_keeps_the_initial_parameters():
    lanes = jf.vectorize(
        lambda learning_rate: jf.train_step(loss, jf.sgd(learning_rate)),
        {"learning_rate": [0.1, 0.2]},
        params_axis=0,
    )
    params = jax.tree.map(lambda x: jnp.stack([x, x]), PARAMS)
    jax.jit(lanes.update, donate_argnums=0)(lanes.init(params), BATCH)
    assert params["w"].tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    "wrap",
    [lambda tx: jf.accumulate(tx, 2), lambda tx: jf.apply_if_finite(tx, 2)],
    ids=["accumulate", "finite"],
)
def test_lanes_of_wrapped_transforms_are_donated(wrap):
    """Under vmap both branches of the wrapper are computed, so the inner state's report is read."""
    lanes = jf.vectorize(
        lambda learning_rate: jf.train_step(loss, wrap(jf.adam(learning_rate))),
        {"learning_rate": np.array([0.1, 0.2])},
    )
    update, state = jax.jit(lanes.update, donate_argnums=0), lanes.init(PARAMS)
    for _ in range(4):
        state, metrics = update(state, BATCH)
    assert (metrics["loss"] < loss(PARAMS, BATCH)).all()


def test_bad_grids_are_refused():
    def factory(learning_rate, momentum=0.9):
        return jf.train_step(loss, jf.sgd(learning_rate, momentum))

    for grid, message in (
        ({}, "must map a name to its values, got {}"),
        (
            {"learning_rate": []},
            r"learning_rate must have shape \(lanes,\) with lanes >= 1, got shape \(0,\)",
        ),
        ({"learning_rate": 0.1}, r"got shape \(\)"),
        (
            {"learning_rate": [0.1, 0.2], "momentum": [0.9]},
            "the same length, got {'learning_rate': 2, 'momentum': 1}",
        ),
        (
            {"learning_rate": [0.1], "decay": [0.1]},
            r"got \['decay'\]; it takes \['learning_rate', 'momentum'\]",
        ),
        ({"momentum": [0.1]}, r"values must be given for \['learning_rate'\]"),
        (
            {"learning_rate": [0.1, -0.2]},
            "jf.sgd: 0 <= learning_rate < inf must hold, got learning_rate=-0.2",
        ),
        ({"learning_rate": [0.1, np.nan]}, "got learning_rate=nan"),
        ({"learning_rate": ["fast"]}, "learning_rate must hold numbers"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            jf.vectorize(factory, grid)
    with pytest.raises(jf.JefficientError, match="batch_axis must be None"):
        jf.vectorize(factory, {"learning_rate": [0.1]}, batch_axis=1)
