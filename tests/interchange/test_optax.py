"""jefficient inside optax's functions, and optax inside jefficient's, over several steps.

Ours run under strict dtype promotion. optax's own arithmetic (its Adam, some of its wrappers) mixes
dtypes, so what contains it is marked "standard".
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

STEPS = 8
_rng = np.random.default_rng(0)
PARAMS = {
    "b": jnp.asarray(_rng.normal(size=2), jnp.float32),
    "w": jnp.asarray(_rng.normal(size=(3, 2)), jnp.float32),
}
GRADS = jax.tree.map(
    lambda p: jnp.asarray(_rng.normal(size=(STEPS, *p.shape)), jnp.float32), PARAMS
)
KERNELS = {"b": False, "w": True}
LABELS = {"b": "bias", "w": "kernel"}


def trajectory(tx, params=PARAMS, grads=GRADS, apply=jf.apply_updates):
    """The parameters after every step, a leading axis on each leaf."""

    def body(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = apply(params, updates)
        return (params, state), params

    return jax.jit(lambda: jax.lax.scan(body, (params, tx.init(params)), grads)[1])()


def assert_like_optax(got, expected):
    """Within float32 of optax, which forms 1 - b2ᵗ with fewer digits."""
    chex.assert_trees_all_equal_shapes_and_dtypes(got, expected)
    chex.assert_trees_all_close(got, expected, rtol=3e-5, atol=3e-5)


def assert_same(got, expected):
    """The same arithmetic, but compiled into another program."""
    chex.assert_trees_all_close(got, expected, rtol=1e-5, atol=1e-6)


def our_schedule():
    return jf.warmup_cosine_decay_schedule(0.0, 0.1, 3, STEPS)


def their_schedule():
    return optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, STEPS)


# promotion, parts of both libraries, the same of optax alone
COMBINATIONS = {
    "adam": (
        "strict",
        lambda: (optax.clip(0.5), jf.adam(0.1)),
        lambda: (optax.clip(0.5), optax.adam(0.1)),
    ),
    "adamw_with_our_decay": (
        "standard",
        lambda: (optax.scale_by_adam(), jf.l2_decay(0.1), optax.scale_by_learning_rate(0.1)),
        lambda: (optax.adamw(0.1, weight_decay=0.1),),
    ),
    "adamw_with_their_decay": (
        "strict",
        lambda: (
            jf.scale_by_adam(),
            optax.add_decayed_weights(0.1, mask=KERNELS),
            jf.scale_by_learning_rate(0.1),
        ),
        lambda: (optax.adamw(0.1, weight_decay=0.1, mask=KERNELS),),
    ),
    "lion": (
        "strict",
        lambda: (
            optax.scale_by_lion(),
            jf.l2_decay(1e-3),
            jf.scale_by_learning_rate(our_schedule()),
        ),
        lambda: (optax.lion(their_schedule()),),
    ),
    "clip": (
        "strict",
        lambda: (jf.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9)),
        lambda: (optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9)),
    ),
    "rms": (
        "strict",
        lambda: (
            optax.scale_by_rms(),
            jf.scale_by_schedule(our_schedule()),
            jf.trace(0.9),
            optax.scale(-1.0),
        ),
        lambda: (optax.rmsprop(their_schedule(), momentum=0.9),),
    ),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_chains_of_both_libraries_agree_in_every_nesting(name):
    promotion, ours, theirs = COMBINATIONS[name]
    (first, *rest) = parts = ours()
    nestings = {
        "jf": jf.chain(*parts),
        "optax": optax.chain(*parts),
        "jf_in_optax": optax.chain(jf.chain(first), jf.chain(*rest)),
        "optax_in_jf": jf.chain(optax.chain(first), optax.chain(*rest)),
    }
    with jax.numpy_dtype_promotion(promotion):
        got = {nesting: trajectory(tx) for nesting, tx in nestings.items()}
    with jax.numpy_dtype_promotion("standard"):
        expected = trajectory(optax.chain(*theirs()))
    chex.assert_trees_all_equal(*got.values())
    assert_like_optax(got["jf"], expected)


# promotion of the wrapper itself, the wrapper around a transform of either library
WRAPPERS = {
    "inject_adam": ("strict", lambda lib: optax.inject_hyperparams(lib.adam)(0.1, b1=0.8)),
    "inject_sgd": (
        "strict",
        lambda lib: optax.inject_hyperparams(lib.sgd)(0.1, momentum=0.9, nesterov=True),
    ),
    "inject_static": (
        "strict",
        lambda lib: optax.inject_hyperparams(lib.adamw, static_args=("mask", "mu_dtype"))(
            0.1, weight_decay=0.1, mask=lambda _: KERNELS, mu_dtype=jnp.bfloat16
        ),
    ),
    "multi_steps": (
        "standard",
        lambda lib: optax.MultiSteps(lib.adam(0.1), 4).gradient_transformation(),
    ),
    "masked": ("strict", lambda lib: optax.masked(lib.adamw(0.1), KERNELS)),
    "masked_by_function": (
        "strict",
        lambda lib: optax.masked(lib.sgd(0.1, 0.9), lambda _: KERNELS),
    ),
    "partition": (
        "strict",
        lambda lib: optax.partition({"bias": lib.sgd(0.1, 0.9), "kernel": lib.adamw(0.1)}, LABELS),
    ),
    "multi_transform": (
        "strict",
        lambda lib: optax.multi_transform(
            {"bias": optax.set_to_zero(), "kernel": lib.adam(0.1)}, LABELS
        ),
    ),
    "apply_if_finite": ("strict", lambda lib: optax.apply_if_finite(lib.adam(0.1), 3)),
    "conditionally_transform": (
        "strict",
        lambda lib: optax.conditionally_transform(lib.adam(0.1), lambda t: t > 2),
    ),
    "flatten": ("strict", lambda lib: optax.flatten(lib.adam(0.1))),
    "named_chain": (
        "strict",
        lambda lib: optax.named_chain(("clip", optax.clip(0.5)), ("adam", lib.adam(0.1))),
    ),
    "schedule_free": (
        "strict",
        lambda lib: optax.contrib.schedule_free(lib.adamw(0.1, b1=0.0), 0.1),
    ),
    "sam": ("standard", lambda lib: optax.contrib.sam(lib.adam(0.1), lib.sgd(0.05), sync_period=2)),
    "extra_args": ("strict", lambda lib: optax.with_extra_args_support(lib.adam(0.1))),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_of_optax_treat_our_transforms_like_theirs(name):
    promotion, wrapped = WRAPPERS[name]
    with jax.numpy_dtype_promotion(promotion):
        got = trajectory(wrapped(jf))
    with jax.numpy_dtype_promotion("standard"):
        expected = trajectory(wrapped(optax))
    assert_like_optax(got, expected)


def test_lookahead_around_our_transform():
    params = optax.LookaheadParams.init_synced(PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        got, expected = (
            trajectory(optax.lookahead(lib.sgd(0.1), sync_period=3, slow_step_size=0.5), params)
            for lib in (jf, optax)
        )
    assert_like_optax(got, expected)
    assert (got.fast["w"][0] != got.slow["w"][0]).all()
    assert_same(got.fast["w"][2], got.slow["w"][2])


# factories of both libraries, and the numbers of each step
INJECTED = {
    "sgd": (jf.sgd, optax.sgd, {"learning_rate": [0.1, 0.02, 0.3], "momentum": [0.9, 0.9, 0.5]}),
    "adam": (jf.adam, optax.adam, {"learning_rate": [0.1, 0.02, 0.3], "b1": [0.9, 0.5, 0.8]}),
    "adamw": (
        jf.adamw,
        optax.adamw,
        {"learning_rate": [0.1, 0.2, 0.3], "weight_decay": [0.1, 0.5, 0.0]},
    ),
}


def injected(factory, numbers):
    """The parameters after every step, each with its own numbers; the last state."""
    chex.clear_trace_counter()
    rows = [dict(zip(numbers, row, strict=True)) for row in zip(*numbers.values(), strict=True)]
    tx = optax.inject_hyperparams(factory)(**rows[0])

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(params, state, g):
        updates, state = tx.update(g, state, params)
        return optax.apply_updates(params, updates), state

    params, state, path = PARAMS, tx.init(PARAMS), []
    for t, row in enumerate(rows):
        state.hyperparams.update({name: jnp.float32(x) for name, x in row.items()})
        params, state = step(params, state, jax.tree.map(lambda g, t=t: g[t], GRADS))
        path.append(params)
    return path, state


@pytest.mark.parametrize("name", INJECTED)
def test_injected_numbers_take_effect_without_a_new_trace(name):
    ours, theirs, numbers = INJECTED[name]
    got, state = injected(ours, numbers)
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = injected(theirs, numbers)
    assert_like_optax(got, expected)
    for number, values in numbers.items():
        reported = optax.tree_utils.tree_get(state.inner_state, number)
        np.testing.assert_allclose(reported, values[-1], rtol=1e-6)


def test_each_injected_rate_multiplies_its_own_gradient():
    rates = [0.1, 0.02, 0.3]
    path, _ = injected(jf.sgd, {"learning_rate": rates})
    expected = PARAMS["w"] - sum(rate * GRADS["w"][t] for t, rate in enumerate(rates))
    assert_same(path[-1]["w"], expected)


def test_tree_set_reaches_an_injected_number():
    tx = optax.inject_hyperparams(jf.sgd)(learning_rate=0.1)
    state = optax.tree_utils.tree_set(tx.init(PARAMS), learning_rate=jnp.float32(0.5))
    assert_same(tx.update(PARAMS, state, PARAMS)[0]["w"], -0.5 * PARAMS["w"])


def test_an_injected_number_out_of_range_is_refused_outside_jit():
    tx = optax.inject_hyperparams(jf.sgd)(learning_rate=0.1)
    state = tx.init(PARAMS)
    state.hyperparams["learning_rate"] = jnp.float32(-0.1)
    with pytest.raises(jf.JefficientError, match=r"jf\.sgd: 0 <= learning_rate < inf must hold"):
        tx.update(PARAMS, state, PARAMS)


def test_schedules_may_be_injected():
    b1 = jf.exponential_decay(0.9, 2, 0.5)
    got = trajectory(optax.inject_hyperparams(jf.adam)(our_schedule(), b1=b1))
    with jax.numpy_dtype_promotion("standard"):
        expected = trajectory(
            optax.inject_hyperparams(optax.adam)(
                their_schedule(), b1=optax.exponential_decay(0.9, 2, 0.5)
            )
        )
    assert_like_optax(got, expected)
    assert_same(
        trajectory(optax.inject_hyperparams(jf.sgd)(our_schedule())),
        trajectory(jf.sgd(our_schedule())),
    )


def test_schedules_of_either_library_drive_the_other():
    with jax.numpy_dtype_promotion("standard"):
        expected = trajectory(optax.adam(their_schedule()))
        assert_like_optax(trajectory(optax.adam(our_schedule())), expected)
        assert_like_optax(trajectory(jf.adam(their_schedule())), expected)


def test_injected_numbers_of_low_precision_parameters_stay_float32():
    """In bfloat16, which inject_hyperparams would take from the parameters, b2 = 0.999 is one."""
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (PARAMS, GRADS))
    got = trajectory(optax.inject_hyperparams(jf.adam, hyperparam_dtype=jnp.float32)(0.1), *low)
    chex.assert_trees_all_equal_dtypes(got, low[0])
    chex.assert_trees_all_equal(got, trajectory(jf.adam(0.1), *low))
    with pytest.raises(jf.JefficientError, match=r"jf\.adam: 0 <= b2 < 1 must hold, got b2=1"):
        optax.inject_hyperparams(jf.adam)(0.1).init(low[0])


def test_multi_steps_is_one_step_on_the_mean_gradient():
    means = jax.tree.map(lambda g: g.reshape(2, 4, *g.shape[1:]).mean(axis=1), GRADS)
    with jax.numpy_dtype_promotion("standard"):
        got = trajectory(
            optax.MultiSteps(jf.adam(0.1), every_k_schedule=4).gradient_transformation()
        )
    assert_same(jax.tree.map(lambda x: x[3::4], got), trajectory(jf.adam(0.1), grads=means))
    for t, held in ((2, PARAMS["w"]), (6, got["w"][3])):
        chex.assert_trees_all_equal(got["w"][t], held)


def test_masked_leaves_pass_untouched():
    got = trajectory(optax.masked(jf.adam(0.1), KERNELS))
    alone = trajectory(jf.adam(0.1), {"w": PARAMS["w"]}, {"w": GRADS["w"]})
    assert_same(got["w"], alone["w"])
    assert_same(got["b"], PARAMS["b"] + jnp.cumsum(GRADS["b"], axis=0))


def test_each_part_of_a_partition_trains_as_if_alone():
    """The norm that clips the kernel must not see the bias."""
    rules = {
        "bias": jf.adam(0.1),
        "kernel": jf.chain(jf.clip_by_global_norm(0.5), jf.sgd(our_schedule(), 0.9)),
    }
    got = trajectory(optax.partition(rules, LABELS))
    for leaf, label in LABELS.items():
        alone = trajectory(rules[label], {leaf: PARAMS[leaf]}, {leaf: GRADS[leaf]})
        assert_same(got[leaf], alone[leaf])


def test_apply_if_finite_skips_a_step_of_our_transform():
    spoiled = jax.tree.map(lambda g: jnp.insert(g, 3, jnp.nan, axis=0), GRADS)
    got = trajectory(
        optax.apply_if_finite(jf.adamw(our_schedule()), max_consecutive_errors=2), grads=spoiled
    )
    chex.assert_trees_all_equal(got["w"][3], got["w"][2])
    kept = jax.tree.map(lambda x: jnp.delete(x, 3, axis=0), got)
    assert_same(kept, trajectory(jf.adamw(our_schedule())))


def test_flatten_equals_leaf_by_leaf():
    tx = jf.chain(jf.clip_by_global_norm(1.0), jf.adam(0.1))
    assert_same(trajectory(optax.flatten(tx)), trajectory(tx))


def test_schedule_free_evaluates_where_optax_does():
    def averaged(lib):
        tx, params = optax.contrib.schedule_free(lib.sgd(0.1), 0.1), PARAMS
        state = tx.init(params)
        for t in range(3):
            updates, state = tx.update(jax.tree.map(lambda g, t=t: g[t], GRADS), state, params)
            params = optax.apply_updates(params, updates)
        return optax.contrib.schedule_free_eval_params(state, params)

    with jax.numpy_dtype_promotion("standard"):
        assert_like_optax(averaged(jf), averaged(optax))


def test_a_plateau_after_our_chain_scales_the_updates():
    """`value` reaches optax's transform through jf.chain, past ours that ignore it."""
    tx = jf.chain(jf.sgd(0.1), optax.contrib.reduce_on_plateau(factor=0.5, patience=2))
    state, scales = tx.init(PARAMS), []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(5):
            updates, state = jax.jit(tx.update)(PARAMS, state, PARAMS, value=jnp.float32(1.0))
            scales.append((updates["w"] / (-0.1 * PARAMS["w"])).mean())
    np.testing.assert_allclose(scales, [1.0, 1.0, 0.5, 0.5, 0.25], rtol=1e-5)


@pytest.mark.parametrize("chain", [jf.chain, optax.chain])
def test_a_line_search_after_our_direction(chain):
    def loss(params):
        return 3 * jnp.sum(params["w"] ** 2) + jnp.sum(jnp.cosh(params["b"]))

    def losses(chain, lib):
        tx = chain(lib.sgd(1.0), optax.scale_by_backtracking_linesearch(20, store_grad=True))

        @jax.jit
        def step(params, state):
            value, grad = optax.value_and_grad_from_state(loss)(params, state=state)
            updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=loss)
            return optax.apply_updates(params, updates), state, value

        params, state, values = PARAMS, tx.init(PARAMS), []
        for _ in range(5):
            params, state, value = step(params, state)
            values.append(float(value))
        return values

    got = losses(chain, jf)
    assert got == sorted(got, reverse=True)
    np.testing.assert_allclose(got, losses(optax.chain, optax), rtol=1e-6)


def test_extra_arguments_are_supported_and_ignored():
    tx = jf.adam(0.1)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert optax.with_extra_args_support(tx) is tx
    got, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS, value=jnp.float32(1.0))
    chex.assert_trees_all_equal(got, tx.update(PARAMS, tx.init(PARAMS), PARAMS)[0])


@pytest.mark.parametrize(("lib", "promotion"), [(jf, "strict"), (optax, "standard")])
def test_updates_of_either_library_are_applied_by_either(lib, promotion):
    with jax.numpy_dtype_promotion(promotion):
        tx = lib.adamw(0.1)
        by_us, by_them = (
            trajectory(tx, apply=apply) for apply in (jf.apply_updates, optax.apply_updates)
        )
    chex.assert_trees_all_equal(by_us, by_them)
    low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        expected = optax.apply_updates(low, PARAMS)
    chex.assert_trees_all_equal(jf.apply_updates(low, PARAMS), expected)


def test_tree_get_and_tree_set_reach_our_state():
    tx = optax.chain(optax.clip(0.5), jf.adamw(our_schedule()))
    state = tx.init(PARAMS)
    for _ in range(2):
        _, state = tx.update(PARAMS, state, PARAMS)
    get, put = optax.tree_utils.tree_get, optax.tree_utils.tree_set
    np.testing.assert_allclose(get(state, "learning_rate"), 0.1 / 3, rtol=1e-6)
    assert get(state, "ScaleByAdamState").count == 2
    counts = [int(count) for _, count in optax.tree_utils.tree_get_all_with_path(state, "count")]
    assert counts == [2, 0, 2]  # Adam, a decay that is a number, a rate that is a schedule

    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    rewound = put(state, mu=zeros, nu=zeros, count=jnp.int32(0))
    chex.assert_trees_all_equal(
        tx.update(PARAMS, rewound, PARAMS), tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    )


def test_an_injected_number_is_read_from_the_injector():
    """Both the injector and our report have the name, and optax's search wants one place."""
    state = optax.inject_hyperparams(jf.sgd)(learning_rate=0.1).init(PARAMS)
    assert state.hyperparams["learning_rate"] == np.float32(0.1)
    assert jf.hyperparameters(state) == {"sgd.learning_rate": np.float32(0.1)}


@pytest.mark.parametrize(
    "tx",
    [
        jf.adamw(0.1),
        jf.chain(jf.clip_by_global_norm(1.0), jf.l2_decay(0.1), jf.adam(our_schedule())),
        optax.chain(optax.clip(0.5), jf.scale_by_adam(), optax.scale(-0.1)),
    ],
)
def test_tree_map_params_finds_the_moments_and_nothing_else(tx):
    """So are the shardings of a state made from those of the parameters."""
    state = tx.init(PARAMS)
    specs = optax.tree_utils.tree_map_params(
        tx, lambda _, spec: spec, state, LABELS, transform_non_params=lambda _: "replicated"
    )
    assert jax.tree.structure(specs) == jax.tree.structure(state)
    for moment in ("mu", "nu"):
        assert optax.tree_utils.tree_get(specs, moment) == LABELS
    assert sorted(s for s in jax.tree.leaves(specs) if s != "replicated") == sorted(
        [*LABELS.values()] * 2
    )
