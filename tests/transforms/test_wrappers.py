"""What apply_if_finite, accumulate, flatten, masked and partition promise beyond the laws."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([0.1, -0.1])}


def run(tx, grads, params=PARAMS):
    """The updates for a sequence of gradients (leading axis), and the last state."""

    def body(state, g):
        u, state = tx.update(g, state, params)
        return state, u

    state, updates = jax.lax.scan(body, tx.init(params), grads)
    return updates, state


def grads_like(params, steps, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=(steps, *p.shape)), p.dtype), params)


def counting(calls):
    """A transform that counts on the host how often its update really runs."""

    def update(updates, state, params=None):
        jax.debug.callback(lambda: calls.append(1))
        return updates, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


class TestAccumulate:
    @pytest.mark.parametrize("k", [1, 2, 5])
    @pytest.mark.parametrize(
        "factory", [lambda: jf.sgd(0.1, 0.9), lambda: jf.adamw(0.1, weight_decay=0.1)]
    )
    def test_is_one_batch_of_all(self, k, factory):
        """k microbatches give the update of the whole batch; in between nothing moves."""
        small = grads_like(PARAMS, 3 * k)
        large = jax.tree.map(lambda g: g.reshape(3, k, *g.shape[1:]).mean(1), small)
        updates, _ = run(jf.accumulate(factory(), k), small)
        expected, _ = run(factory(), large)
        by_step = jax.tree.map(lambda u: u.reshape(3, k, *u.shape[1:]), updates)
        chex.assert_trees_all_close(
            jax.tree.map(lambda u: u[:, -1], by_step), expected, rtol=1e-5, atol=1e-7
        )
        assert all((u[:, :-1] == 0).all() for u in jax.tree.leaves(by_step))

    def test_bfloat16_gradients_are_gathered_in_float32(self):
        """256 gradients of 1 and one of 2⁻⁸ each: in bfloat16 the sum would stay at 256."""
        params = jnp.zeros(1, jnp.bfloat16)
        tx = jf.accumulate(jf.scale(1.0), 512)
        state = tx.init(params)
        assert state.mean.dtype == jnp.float32
        updates, _ = run(tx, jnp.ones((512, 1), jnp.bfloat16), params)
        assert updates[-1] == 1
        assert (
            jf.accumulate(jf.scale(1.0), 2, accumulator_dtype=jnp.bfloat16).init(params).mean.dtype
            == jnp.bfloat16
        )

    def test_every_k_may_be_a_schedule_of_the_steps_made(self):
        tx = jf.accumulate(jf.sgd(1.0), jf.piecewise_constant_schedule(1, {2: 3}))
        updates, state = run(tx, jnp.arange(1.0, 9.0)[:, None], jnp.zeros(1))
        assert updates[:, 0].tolist() == [-1.0, -2.0, 0.0, 0.0, -4.0, 0.0, 0.0, -7.0]
        assert state.gradient_step == 4

    def test_the_inner_update_runs_once_in_k(self):
        calls = []
        tx = jf.accumulate(counting(calls), 4)
        jax.block_until_ready(jax.jit(lambda: run(tx, jnp.ones((12, 2)), jnp.zeros(2)))())
        jax.effects_barrier()
        assert len(calls) == 3

    def test_lanes_may_differ_in_k(self):
        grads = jnp.arange(1.0, 7.0)[:, None]
        updates = jax.vmap(lambda k: run(jf.accumulate(jf.sgd(1.0), k), grads, jnp.zeros(1))[0])(
            jnp.array([1, 2, 3])
        )
        assert updates[:, :, 0].tolist() == [
            [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0],
            [0.0, -1.5, 0.0, -3.5, 0.0, -5.5],
            [0.0, 0.0, -2.0, 0.0, 0.0, -5.0],
        ]

    def test_memory_is_one_gradient_more(self):
        params = jnp.zeros(100_000)

        def bytes_of(tx):
            step = jax.jit(lambda g, state, p: tx.update(g, state, p), donate_argnums=1)
            memory = step.lower(params, tx.init(params), params).compile().memory_analysis()
            kept = (
                memory.argument_size_in_bytes
                + memory.output_size_in_bytes
                - memory.alias_size_in_bytes
            )
            return kept, kept + memory.temp_size_in_bytes

        plain, ours = bytes_of(jf.adam(0.1)), bytes_of(jf.accumulate(jf.adam(0.1), 4))
        with jax.numpy_dtype_promotion("standard"):
            theirs = bytes_of(optax.MultiSteps(optax.adam(0.1), 4).gradient_transformation())
        assert ours[0] - plain[0] == pytest.approx(params.nbytes, rel=0.01)
        assert ours[1] <= 1.01 * theirs[1]  # what the program needs while it runs

    def test_a_schedule_of_fractions_is_rounded_down_and_at_least_one(self):
        updates, state = run(
            jf.accumulate(jf.sgd(1.0), jf.linear_schedule(0.2, 3.0, 4)),
            jnp.ones((8, 1)),
            jnp.zeros(1),
        )
        assert updates[:, 0].tolist() == [-1.0, -1.0, -1.0, 0.0, -1.0, 0.0, 0.0, -1.0]
        assert jf.hyperparameters(state)["accumulate.every_k"] == 3

    def test_functions_among_the_arguments_and_other_dtypes_of_updates(self):
        """A line search needs it; so does a proximal step behind bfloat16 gradients."""
        params = jnp.array([0.3, -2.0])
        loss = lambda p: jnp.sum(p**2)  # noqa: E731
        for wrap in (lambda tx: jf.accumulate(tx, 1), lambda tx: jf.apply_if_finite(tx, 3)):
            tx = wrap(optax.lbfgs())
            value, grad = jax.value_and_grad(loss)(params)
            with jax.numpy_dtype_promotion("standard"):
                updates, _ = tx.update(
                    grad, tx.init(params), params, value=value, grad=grad, value_fn=loss
                )
            assert loss(params + updates) < value
            tx = wrap(jf.chain(jf.sgd(0.1), jf.proximal_l1(0.5)))
            updates, _ = tx.update(jnp.ones(2, jnp.bfloat16), tx.init(params), params)
            assert updates.dtype == jnp.float32
            assert jf.apply_updates(params, updates)[0] == 0

    def test_a_state_that_drifts_is_named(self):
        def update(updates, state, params=None):
            return updates, {"m": state["m"].astype(jnp.float32)}

        drifting = optax.GradientTransformation(
            lambda params: {"m": jnp.zeros(2, jnp.bfloat16)}, update
        )
        for tx in (jf.accumulate(drifting, 2), jf.apply_if_finite(drifting, 2)):
            with pytest.raises(
                TypeError,
                match=r"inner state must keep .*, got bfloat16\[2\] -> float32\[2\] at \['m'\]",
            ):
                tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2))

    def test_what_it_is_not_given(self):
        with pytest.raises(
            TypeError,
            match=r"jf.accumulate: tx must be a gradient transformation, got <function adam",
        ):
            jf.accumulate(jf.adam, 2)
        with pytest.raises(
            ValueError, match=r"jf.accumulate: 1 <= every_k .* whole number, got every_k=2.5"
        ):
            jf.accumulate(jf.sgd(0.1), 2.5)


class TestApplyIfFinite:
    def test_a_bad_gradient_is_skipped_and_the_state_stays(self):
        grads = grads_like(PARAMS, 6)
        bad = jax.tree.map(lambda g: g.at[2].set(jnp.inf), grads)
        bad["bias"] = bad["bias"].at[4, 0].set(jnp.nan)
        good = jax.tree.map(lambda g: g[jnp.array([0, 1, 3, 5])], grads)
        updates, state = run(jf.apply_if_finite(jf.adam(0.1), 3), bad)
        expected, inner_state = run(jf.adam(0.1), good)
        for t, u in ((0, 0), (1, 1), (3, 2), (5, 3)):
            chex.assert_trees_all_close(
                jax.tree.map(lambda x, t=t: x[t], updates),
                jax.tree.map(lambda x, u=u: x[u], expected),
                rtol=1e-6,
            )
        assert all((u[jnp.array([2, 4])] == 0).all() for u in jax.tree.leaves(updates))
        chex.assert_trees_all_close(state.inner_state, inner_state, rtol=1e-6)
        assert (state.total_notfinite, state.notfinite_count, state.last_finite) == (2, 0, True)

    def test_it_gives_up_after_so_many(self):
        tx = jf.apply_if_finite(jf.scale(1.0), 2)
        grads = jnp.array([1.0, jnp.nan, jnp.nan, jnp.nan, jnp.nan])[:, None]
        updates, state = run(tx, grads, jnp.zeros(1))
        assert updates[:3, 0].tolist() == [1.0, 0.0, 0.0]
        assert jnp.isnan(updates[3:]).all()
        assert state.notfinite_count == 4

    def test_one_lane_s_nan_never_touches_another(self):
        """Bitwise the same beside a bad neighbour, updates, state and the gradient in the rate."""
        grads = jnp.stack([jnp.ones((4, 3)), jnp.ones((4, 3))])
        poisoned = grads.at[1, 2].set(jnp.nan)

        def lane(rate, grads):
            updates, state = run(jf.apply_if_finite(jf.adam(rate), 3), grads, jnp.ones(3))
            return updates.sum(), (updates, state)

        both = jax.jit(jax.vmap(jax.value_and_grad(lane, has_aux=True)))
        rates = jnp.array([0.1, 0.2])
        clean, beside = both(rates, grads), both(rates, poisoned)
        chex.assert_trees_all_equal(
            jax.tree.map(lambda x: x[0], clean), jax.tree.map(lambda x: x[0], beside)
        )
        assert jnp.isfinite(beside[1]).all()
        assert (beside[0][1][0][1, 2] == 0).all()

    def test_the_inner_update_does_not_run_where_it_is_skipped(self):
        calls = []
        tx = jf.apply_if_finite(counting(calls), 10)
        jax.block_until_ready(
            jax.jit(lambda: run(tx, jnp.array([[1.0], [jnp.nan], [1.0]]), jnp.zeros(1)))()
        )
        jax.effects_barrier()
        assert len(calls) == 2


class TestFlatten:
    def test_each_dtype_is_one_vector(self):
        params = {"a": jnp.ones((2, 3)), "b": jnp.ones(4, jnp.bfloat16), "c": jnp.ones(())}
        tx = jf.flatten(jf.adam(0.1))
        state = tx.init(params)
        chex.assert_trees_all_equal_shapes_and_dtypes(
            state[0].mu, {"float32": jnp.zeros(7), "bfloat16": jnp.zeros(4, jnp.bfloat16)}
        )
        updates, _ = tx.update(params, state, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)

    def test_zeros_of_a_proximal_step_stay_exact(self):
        params = {"a": jnp.array([0.3, -2.0])}
        tx = jf.flatten(jf.chain(jf.sgd(0.1), jf.proximal_l1(0.5)))
        updates, _ = tx.update({"a": jnp.ones(2, jnp.bfloat16)}, tx.init(params), params)
        assert jf.apply_updates(params, updates)["a"][0] == 0

    def test_is_leaf_by_leaf(self):
        grads = grads_like(PARAMS, 5)
        make = lambda: jf.chain(jf.clip_by_global_norm(0.5), jf.adamw(0.1, weight_decay=0.1))  # noqa: E731
        chex.assert_trees_all_close(
            run(jf.flatten(make()), grads)[0], run(make(), grads)[0], rtol=1e-5, atol=1e-7
        )

    def test_optax_s_own_takes_our_transforms(self):
        grads = grads_like(PARAMS, 5)
        chex.assert_trees_all_close(
            run(optax.flatten(jf.adam(0.1)), grads)[0],
            run(jf.adam(0.1), grads)[0],
            rtol=1e-5,
            atol=1e-7,
        )

    def test_a_missing_gradient_stays_missing(self):
        params = {"a": jnp.ones(2), "frozen": jnp.ones(3)}
        tx = jf.flatten(jf.sgd(1.0, 0.9))
        updates, _ = tx.update({"a": jnp.ones(2), "frozen": None}, tx.init(params), params)
        assert updates["frozen"] is None
        assert updates["a"].tolist() == [-1.0, -1.0]


class TestMaskedAndPartition:
    def test_groups_have_traced_numbers_of_their_own(self):
        def updates(fast, slow):
            tx = jf.partition({"k": jf.sgd(fast), "b": jf.sgd(slow)}, {"kernel": "k", "bias": "b"})
            updates, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
            return updates, jf.hyperparameters(state)

        fast, slow = jnp.array([0.1, 0.5]), jnp.array([0.2, 0.4])
        lanes, numbers = jax.jit(jax.vmap(updates))(fast, slow)
        for lane in (0, 1):
            np.testing.assert_allclose(
                lanes["kernel"][lane], -fast[lane] * PARAMS["kernel"], rtol=1e-6
            )
            np.testing.assert_allclose(lanes["bias"][lane], -slow[lane] * PARAMS["bias"], rtol=1e-6)
        chex.assert_trees_all_equal(
            numbers, {"k.sgd.learning_rate": fast, "b.sgd.learning_rate": slow}
        )

    def test_labels_may_be_a_prefix_and_a_group_may_be_empty(self):
        params = {"dense": PARAMS, "head": jnp.ones(2)}
        tx = jf.partition(
            {"a": jf.scale(2.0), "b": jf.scale(3.0), "unused": jf.adam(0.1)},
            {"dense": "a", "head": "b"},
        )
        updates, _ = tx.update(params, tx.init(params), params)
        chex.assert_trees_all_close(updates["dense"], jax.tree.map(lambda p: 2 * p, PARAMS))
        assert updates["head"].tolist() == [3.0, 3.0]

    def test_integer_parameters_may_be_left_out(self):
        params = {"w": jnp.ones(2), "steps": jnp.arange(3)}
        tx = jf.masked(jf.adam(0.1), {"w": True, "steps": False})
        updates, _ = tx.update({"w": jnp.ones(2), "steps": None}, tx.init(params), params)
        assert jf.apply_updates(params, updates)["steps"] is params["steps"]

    def test_what_they_are_not_given(self):
        with pytest.raises(
            ValueError,
            match=r"every label must have a transform, got 'c' at \['bias'\], with .*'k'",
        ):
            jf.partition({"k": jf.sgd(0.1)}, {"kernel": "k", "bias": "c"}).init(PARAMS)
        with pytest.raises(
            ValueError, match="param_labels must have the tree structure of the parameters"
        ):
            jf.partition({"k": jf.sgd(0.1)}, {"kernel": "k"}).init(PARAMS)
        with pytest.raises(
            TypeError, match=r"the transform of 'k' must be a gradient transformation, got 0\.1"
        ):
            jf.partition({"k": 0.1}, {"kernel": "k", "bias": "k"})
        with pytest.raises(
            TypeError, match=r"transforms must be a dict \{label: transform\}, got \["
        ):
            jf.partition([jf.sgd(0.1)], {"kernel": 0, "bias": 0})
        with pytest.raises(TypeError, match=r"labels must be of one type, got \[1, 'x'\]"):
            jf.partition({1: jf.sgd(0.1), "x": jf.sgd(0.1)}, {"kernel": 1, "bias": "x"})
        with pytest.raises(ValueError, match="mask must have the tree structure of the parameters"):
            jf.masked(jf.sgd(0.1), {"kernel": True}).init(PARAMS)
        with pytest.raises(
            TypeError, match=r"mask must hold True or False \(static\), got 1 at \['bias'\]"
        ):
            jf.masked(jf.sgd(0.1), {"kernel": True, "bias": 1}).init(PARAMS)
        with pytest.raises(TypeError, match=r"jf.l2_decay: mask must hold True or False"):
            jf.l2_decay(0.1, {"kernel": True, "bias": 0.5}).init(PARAMS)

    def test_optax_s_map_over_parameters_finds_masked_moments(self):
        tx = jf.masked(jf.adam(0.1), {"kernel": True, "bias": False})
        moved = optax.tree_utils.tree_map_params(tx, lambda x: x + 1, tx.init(PARAMS))
        assert (moved.inner_state[0].mu["kernel"] == 1).all()


class TestNamedChain:
    def test_a_state_whose_keys_were_sorted_is_taken(self):
        tx = jf.named_chain(("b", jf.scale(2.0)), ("a", jf.sgd(0.1, 0.9)))
        state = dict(sorted(tx.init(PARAMS).items()))
        chex.assert_trees_all_equal(
            tx.update(PARAMS, state, PARAMS)[0], tx.update(PARAMS, tx.init(PARAMS), PARAMS)[0]
        )

    def test_states_are_found_by_name(self):
        tx = jf.named_chain(("clip", jf.clip(1.0)), ("adam", optax.adam(0.1)))
        state = tx.init(PARAMS)
        assert list(state) == ["clip", "adam"]
        assert state["adam"][0].mu["bias"].shape == (2,)

    def test_what_it_is_not_given(self):
        with pytest.raises(ValueError, match=r"names must be unique, got \['a', 'a'\]"):
            jf.named_chain(("a", jf.scale(1.0)), ("a", jf.scale(2.0)))
        with pytest.raises(
            TypeError, match=r"every argument must be a pair \(name, transform\), got Gradient"
        ):
            jf.named_chain(jf.scale(1.0))
        with pytest.raises(
            ValueError,
            match=r"state must be the dict of \['a'\] that init returns, got a tuple of 0",
        ):
            jf.named_chain(("a", jf.scale(1.0))).update(PARAMS, (), PARAMS)


class TestClip:
    def test_bounds_and_what_has_no_order(self):
        tx = jf.clip(1.0)
        updates, _ = tx.update(jnp.array([-5.0, 0.5, jnp.inf, jnp.nan]), tx.init(jnp.zeros(4)))
        assert updates[:3].tolist() == [-1.0, 0.5, 1.0]
        assert jnp.isnan(updates[3])
        with pytest.raises(
            TypeError, match=r"jf.clip: gradients must be real, got dtype complex64 at \['z'\]"
        ):
            tx.update({"z": jnp.ones(1, jnp.complex64)}, tx.init({"z": jnp.ones(1)}))


def test_hypergradient_descent_finds_a_rate_and_reports_it():
    """On θ²/2 the best rate is 1; the first rate is a hundredth of it."""
    tx = jf.hypergradient_descent(jf.sgd(1.0), 0.01, 0.3, rule="multiplicative")

    def body(carry, _):
        params, state = carry
        updates, state = tx.update(params, state, params)
        return (jf.apply_updates(params, updates), state), None

    params = jnp.full(3, 2.0 + 1.0j)
    (params, state), _ = jax.lax.scan(body, (params, tx.init(params)), None, length=30)
    rate = jf.hyperparameters(state)["hypergradient_descent.learning_rate"]
    assert rate == state.learning_rate
    assert 0.5 < rate < 1.5
    assert float(jnp.abs(params).max()) < 1e-4
    with pytest.raises(jf.ArgumentError, match=r"descent: rule must be one of \['additive', 'mult"):
        jf.hypergradient_descent(jf.sgd(1.0), 0.1, 0.1, rule="exponential")
    with pytest.raises(jf.ArgumentTypeError, match="descent: tx must be a gradient transform"):
        jf.hypergradient_descent(0.1, 0.1, 0.1)
