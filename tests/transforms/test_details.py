"""What single transforms promise beyond the laws."""

from decimal import Decimal, localcontext

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf
from jefficient._core.numerics import bias_corrections


def first_update(tx, grads, params=None):
    return tx.update(grads, tx.init(grads if params is None else params), params)[0]


def test_float16_neither_underflows_nor_overflows():
    """eps = 1e-8 is zero in float16, and 300² is infinite."""
    grads = jnp.array([0.0, 1e-4, 300.0, -60000.0], jnp.float16)
    np.testing.assert_allclose(
        first_update(jf.scale_by_adam(), grads), [0.0, 1.0, 1.0, -1.0], atol=1e-3
    )
    clipped = first_update(jf.clip_by_global_norm(1.0), jnp.full(100, 1000.0, jnp.float16))
    np.testing.assert_allclose(np.asarray(clipped, np.float32), 0.1, rtol=1e-3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, "float32", np.dtype("float32")], ids=str)
def test_accumulators_take_the_dtype_given(dtype):
    params = jnp.ones(2, jnp.float16)
    for state in (
        jf.sgd(0.1, 0.9, accumulator_dtype=dtype).init(params)[0].trace,
        jf.adam(0.1, mu_dtype=dtype).init(params)[0].mu,
    ):
        assert state.dtype == jnp.dtype(dtype)
    for tx in (jf.sgd(0.1, 0.9, accumulator_dtype=dtype), jf.adam(0.1, mu_dtype=dtype)):
        state = tx.init(params)
        updates, after = tx.update(params, state, params)
        assert updates.dtype == jnp.float16
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)


def test_complex_parameters_keep_their_dtype():
    params = jnp.array([1 + 2j, -1j], jnp.complex64)
    for tx in (jf.sgd(0.1, 0.9), jf.adam(0.1), jf.chain(jf.clip_by_global_norm(1.0), jf.sgd(0.1))):
        assert first_update(tx, params, params).dtype == jnp.complex64
    with jax.numpy_dtype_promotion("standard"):
        expected = first_update(optax.adam(0.1), params)
    np.testing.assert_allclose(first_update(jf.adam(0.1), params), expected, rtol=1e-5)


def test_an_infinite_bound_never_clips():
    grads = jnp.array([1e10, -3.0])
    chex.assert_trees_all_equal(first_update(jf.clip_by_global_norm(float("inf")), grads), grads)


def test_clipping_by_the_norm_is_differentiable_at_zero():
    slope = jax.grad(lambda g: first_update(jf.clip_by_global_norm(1.0), g).sum())(jnp.zeros(3))
    chex.assert_trees_all_close(slope, jnp.ones(3))


def test_decay_spares_masked_leaves():
    params = {"kernel": jnp.ones(2), "bias": jnp.ones(2)}
    grads = jax.tree.map(jnp.zeros_like, params)
    for mask in ({"kernel": True, "bias": False}, lambda p: {name: name == "kernel" for name in p}):
        updates = first_update(jf.l2_decay(0.5, mask), grads, params)
        chex.assert_trees_all_close(updates, {"kernel": jnp.full(2, 0.5), "bias": jnp.zeros(2)})
        updates = first_update(jf.adamw(1.0, weight_decay=0.5, mask=mask), grads, params)
        chex.assert_trees_all_close(updates, {"kernel": jnp.full(2, -0.5), "bias": jnp.zeros(2)})


def test_strengths_may_be_schedules():
    tx = jf.l1_decay(jf.exponential_decay(1.0, 1, 0.5))
    params, state = jnp.array([2.0, -2.0]), None
    state = tx.init(params)
    for expected in (1.0, 0.5, 0.25):
        updates, state = tx.update(jnp.zeros(2), state, params)
        assert updates.tolist() == [expected, -expected]


def test_numbers_in_force_are_in_the_state():
    tx = jf.chain(
        jf.clip_by_global_norm(2.0), jf.adamw(jf.exponential_decay(1.0, 1, 0.5), weight_decay=0.1)
    )
    params = {"w": jnp.ones(2)}
    state = tx.init(params)
    for _ in range(3):
        _, state = tx.update(params, state, params)
    for name, value in {
        "learning_rate": 0.25,
        "weight_decay": 0.1,
        "b2": 0.999,
        "max_norm": 2.0,
    }.items():
        reported = optax.tree_utils.tree_get(state, name)
        assert reported.dtype == jnp.float32
        assert not reported.weak_type
        np.testing.assert_allclose(reported, value, rtol=1e-6)


def test_the_count_stops_at_its_end():
    tx = jf.adam(jf.constant_schedule(0.1))
    state = tx.init(jnp.ones(2))
    last = jnp.array(2**31 - 1, jnp.int32)
    state = tuple(s._replace(count=last) for s in state)
    updates, after = tx.update(jnp.ones(2), state)
    assert all(s.count == last for s in after)
    assert np.isfinite(updates).all()


def test_a_donated_state_takes_nothing_from_the_caller():
    """A number that is an array is reported, not kept; a scan reads the report."""
    rate, params = jnp.float32(0.5), jnp.ones(2)
    tx = jf.chain(jf.sgd(rate, momentum=rate), jf.reduce_on_plateau(factor=rate))

    def steps(state):
        return jax.lax.scan(
            lambda s, _: (tx.update(params, s, params, value=rate)[1], None), state, length=3
        )[0]

    state = jax.jit(steps, donate_argnums=0)(tx.init(params))
    assert not rate.is_deleted()
    assert jf.hyperparameters(state)["sgd.momentum"] == rate == 0.5


def test_a_rate_of_none_leaves_updates_alone():
    assert first_update(jf.scale_by_learning_rate(None), jnp.ones(2)).tolist() == [1.0, 1.0]
    assert first_update(jf.scale_by_learning_rate(0.5, flip_sign=False), jnp.ones(2)).tolist() == [
        0.5,
        0.5,
    ]


def test_chain_refuses_what_is_no_transform():
    with pytest.raises(
        TypeError, match=r"argument 1 must be .*, got <function adam .*\. Did you mean"
    ):
        jf.chain(jf.scale(1.0), jf.adam)
    with pytest.raises(
        jf.JefficientError, match="tuple of 2 states that init returns, got a tuple of 1"
    ):
        jf.chain(jf.scale(1.0), jf.scale(2.0)).update(jnp.ones(2), (optax.EmptyState(),))


def test_chain_hands_on_keyword_arguments():
    def update(updates, state, params=None, *, value, **_):
        return jax.tree.map(lambda g: g * value, updates), state

    needs_value = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
    tx = jf.chain(jf.scale(2.0), needs_value)
    assert tx.update(jnp.ones(1), tx.init(jnp.ones(1)), value=jnp.float32(3.0))[0].tolist() == [6.0]


@pytest.mark.parametrize("rate", [np.uint8(1), jnp.uint32(1), np.array(1.0), 1], ids=repr)
def test_a_rate_of_any_kind_of_number_goes_downhill(rate):
    assert first_update(jf.sgd(rate), jnp.ones(2)).tolist() == [-1.0, -1.0]
    assert jax.jit(lambda r: first_update(jf.sgd(r), jnp.ones(2)))(rate).tolist() == [-1.0, -1.0]


def test_a_schedule_must_return_a_number():
    params = jnp.ones(2)
    with pytest.raises(
        jf.JefficientError, match=r"learning_rate must be a scalar, got shape \(2,\)"
    ):
        jf.sgd(lambda step: jnp.array([0.1, 0.2])).init(params)
    with pytest.raises(TypeError, match="strength must be a number, got strength='much'"):
        jf.l2_decay(lambda step: "much").init(params)
    with pytest.raises(TypeError, match=r"step_size_fn must be a function of the step, got 0\.5"):
        jf.scale_by_schedule(0.5)


@pytest.mark.parametrize("number", ["b1", "b2", "eps", "eps_root"])
def test_hypergradients_are_finite_where_a_gradient_is_zero(number):
    """A unit that never fires has no second moment, whose root has no slope."""

    def total(x):
        tx = jf.adam(0.1, **{number: x})
        params, state = jnp.array([1.0, 2.0]), tx.init(jnp.zeros(2))
        for _ in range(3):
            updates, state = tx.update(params * jnp.array([1.0, 0.0]), state)
            params = jf.apply_updates(params, updates)
        return jnp.sum(params)

    assert np.isfinite(
        jax.grad(total)({"b1": 0.9, "b2": 0.99, "eps": 1e-8, "eps_root": 0.0}[number])
    )


def test_a_decay_of_zero_has_its_gradient():
    """The first update does not depend on b1 and b2, since the correction undoes them."""

    def total(steps, **decay):
        tx = jf.scale_by_adam(**decay, eps_root=1e-3)
        state = tx.init(jnp.zeros(2, jnp.float64))
        for t in range(steps):
            updates, state = tx.update(jnp.array([1.0, -0.5]) * (1.0 + t), state)
        return jnp.sum(updates * jnp.array([1.0, 2.0]))

    with jax.enable_x64(True):
        for name in ("b1", "b2"):
            for steps in (1, 2, 3):
                x, h = jnp.float64(0.0), 1e-6
                slope = jax.grad(lambda x, name=name, steps=steps: total(steps, **{name: x}))(x)
                ahead = (total(steps, **{name: jnp.float64(h)}) - total(steps, **{name: x})) / h
                np.testing.assert_allclose(slope, ahead, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_slow_average_is_right_in_16_bits(dtype):
    """With b2 = 0.999 an average kept in bfloat16 stops at a quarter of its value."""
    g = jnp.ones(1, dtype)
    tx = jf.scale_by_adam()

    def body(state, _):
        updates, state = tx.update(g, state)
        return state, updates

    updates = jax.lax.scan(body, tx.init(g), None, length=3000)[1]
    np.testing.assert_allclose(np.asarray(updates[-1], np.float32), 1, rtol=0.03)


def test_a_norm_that_is_not_a_number_is_seen_in_every_leaf():
    grads = {"a": jnp.array([jnp.nan]), "b": jnp.array([1e6])}
    updates = first_update(jf.clip_by_global_norm(1.0), grads)
    assert jnp.isnan(updates["b"]).all()


def test_accumulators_are_floating():
    for make in (
        lambda: jf.scale_by_adam(mu_dtype="int32"),
        lambda: jf.adam(0.1, mu_dtype="foo"),
        lambda: jf.trace(0.9, accumulator_dtype="int8"),
        lambda: jf.accumulate(jf.sgd(0.1), 2, accumulator_dtype="int32"),
    ):
        with pytest.raises(TypeError, match="_dtype must be a floating dtype, got"):
            make()
    with pytest.raises(
        TypeError, match="accumulator of complex parameters must be complex, got float32"
    ):
        jf.adam(0.1, mu_dtype="float32").init(jnp.ones(2, jnp.complex64))


def test_errors_name_the_function_and_the_tree():
    with pytest.raises(TypeError, match=r"jf\.sgd: gradients must be floating"):
        jf.sgd(0.1).update(jnp.ones(2, jnp.int32), jf.sgd(0.1).init(jnp.ones(2)))
    with pytest.raises(
        ValueError, match=r"jf\.adam: gradients must have the shapes of the state, got \(3,\)"
    ):
        jf.adam(0.1).update(jnp.ones(3), jf.adam(0.1).init(jnp.ones(4)), jnp.ones(3))
    with pytest.raises(ValueError, match="learning_rate"):
        jf.sgd(10**400)


def test_parts_report_as_the_function_that_was_called():
    with pytest.raises(ValueError, match=r"jf\.nadamw: 0 <= weight_decay < inf must hold, got"):
        jf.nadamw(0.1, weight_decay=-1.0)
    with pytest.raises(ValueError, match=r"jf\.l2_decay: 0 <= strength < inf must hold, got"):
        jf.l2_decay(-1.0)  # the error before left no name behind
    with pytest.raises(ValueError, match=r"jf\.sgd: 0 <= momentum <= 1 must hold, got"):
        jf.sgd(0.1, momentum=2.0)
    with pytest.raises(TypeError, match=r"jf\.adamw: mask must hold True or False"):
        jf.adamw(0.1, mask=0.5).init(jnp.ones(2))
    with pytest.raises(TypeError, match=r"jf\.adam: learning_rate must be a number, got"):
        jf.adam(None)
    tx = jf.chain(jf.nadam(0.1), jf.trace(0.5))
    assert list(jf.hyperparameters(tx.init(jnp.ones(2))))[-2:] == [
        "nadam.learning_rate",
        "trace.decay",
    ]


def test_structure_cannot_be_traced():
    with pytest.raises(TypeError, match="nesterov must be True or False"):
        jf.sgd(0.1, 0.9, nesterov=jnp.array(True))


def test_apply_updates_keeps_dtypes_and_names_the_leaf():
    params = {"w": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(3)}
    new = jf.apply_updates(params, {"w": jnp.ones(2, jnp.float32), "b": jnp.ones(3)})
    chex.assert_trees_all_equal_dtypes(new, params)
    with pytest.raises(
        jf.JefficientError,
        match=r"updates must have the shapes .* \(2,\) against \(3,\) at \['b'\]",
    ):
        jf.apply_updates(params, {"w": jnp.ones(2), "b": jnp.ones(2)})
    with pytest.raises(jf.JefficientError, match="tree structure"):
        jf.apply_updates(params, [jnp.ones(2)])
    counts = {"n": jnp.arange(3), "w": jnp.ones(2)}
    assert jf.apply_updates(counts, {"n": None, "w": jnp.ones(2)})["n"] is counts["n"]
    with pytest.raises(TypeError, match=r"parameters must be floating, got dtype int32 at \['n'\]"):
        jf.apply_updates(counts, {"n": jnp.ones(3), "w": jnp.ones(2)})


def test_integer_parameters_are_refused_by_leaf():
    with pytest.raises(
        TypeError, match=r"jf.adam: parameters must be floating, got dtype int32 at \['n'\]"
    ):
        jf.adam(0.1).init({"w": jnp.ones(2), "n": jnp.ones(2, jnp.int32)})


def test_integer_gradients_are_refused_without_parameters_too():
    for tx in (jf.scale(0.5), jf.sgd(0.5), jf.clip(0.5), jf.clip_by_global_norm(1.0)):
        with pytest.raises(
            TypeError, match="gradients must be floating, got dtype int32 at the root"
        ):
            tx.update(jnp.array([-1, 0, 3]), tx.init(jnp.zeros(3)))


def test_optax_inject_hyperparams_and_tree_map_params_take_our_transforms():
    with jax.numpy_dtype_promotion("standard"):
        tx = optax.inject_hyperparams(jf.adam)(learning_rate=0.1)
        params = {"w": jnp.ones(2)}
        updates, state = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates["w"], -0.1, rtol=1e-5)
    assert state.hyperparams["learning_rate"] == np.float32(0.1)
    state = jf.adam(0.1).init(params)
    moved = optax.tree_utils.tree_map_params(jf.adam(0.1), lambda x: x + 1, state)
    assert moved[0].mu["w"].tolist() == [1.0, 1.0]
    assert moved[0].count == 0


@pytest.mark.parametrize("b", [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9995, 0.9999, 0.99999])
def test_bias_correction_is_right_to_2e_7(b):
    """Up to 2³¹ - 1 steps, against exact arithmetic; a traced b is rounded to float32."""
    steps = np.unique(np.geomspace(1, 2**31 - 1, 200).astype(np.int64))

    def inverse(b, t):
        return bias_corrections([(b, 0)], t, jnp.dtype("float32"))[0]

    for exact, got in (
        (b, jax.jit(jax.vmap(lambda t: inverse(b, t)))(jnp.asarray(steps, jnp.int32))),
        (
            float(np.float32(b)),
            jax.jit(jax.vmap(inverse, (None, 0)))(jnp.float32(b), jnp.asarray(steps, jnp.int32)),
        ),
    ):
        with localcontext(prec=60):
            expected = np.array([float(1 / (1 - Decimal(exact) ** int(t))) for t in steps])
        np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=2e-7)


def test_decay_towards_a_tree_takes_the_leaves_of_the_mask_and_its_own_dtype():
    params = {"kernel": jnp.array([1.0, 2.0], jnp.bfloat16), "bias": jnp.ones(1)}
    goal = {"kernel": np.array([0.0, 4.0]), "bias": np.zeros(1)}
    tx = jf.l2_decay(0.5, jf.where_name("kernel"), towards=goal)
    state = tx.init(params)
    assert [x.dtype for x in jax.tree.leaves(state.inner_state.towards)] == ["bfloat16"]
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
    np.testing.assert_array_equal(updates["kernel"].astype(jnp.float32), [0.5, -1.0])
    np.testing.assert_array_equal(updates["bias"], [0.0])
    assert jf.hyperparameters(state) == {"l2_decay.strength": 0.5}


def test_decay_towards_what_is_unlike_the_parameters_is_refused():
    with pytest.raises(jf.ArgumentError, match=r"l2_decay: towards must be one of \['initial'\]"):
        jf.l2_decay(0.1, towards="zero")
    with pytest.raises(jf.ArgumentError, match="towards must have the tree structure of the para"):
        jf.l2_decay(0.1, towards=jnp.ones(2)).init({"w": jnp.ones(2)})
    with pytest.raises(jf.ArgumentError, match=r"towards must have the shapes of the .* \['w'\]"):
        jf.l2_decay(0.1, towards={"w": jnp.ones(3)}).init({"w": jnp.ones(2)})
