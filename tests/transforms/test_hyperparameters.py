"""The numbers in force, read from a state."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([0.5])}


def stepped(tx, params=PARAMS, steps=3, **extra):
    state = tx.init(params)
    for _ in range(steps):
        _, state = tx.update(params, state, params, **extra)
    return state


def test_numbers_are_addressed_by_transform():
    tx = jf.chain(
        jf.clip_by_global_norm(2.0),
        jf.adamw(
            jf.exponential_decay(1.0, 1, 0.5), b1=0.8, weight_decay=jf.linear_schedule(0.4, 0.0, 4)
        ),
    )
    numbers = jf.hyperparameters(stepped(tx))
    expected = {
        "clip_by_global_norm.max_norm": 2.0,
        "adamw.b1": 0.8,
        "adamw.b2": 0.999,
        "adamw.eps": 1e-8,
        "adamw.eps_root": 0.0,
        "adamw.weight_decay": 0.2,
        "adamw.learning_rate": 0.25,
    }
    assert list(numbers) == list(expected)
    for name, value in expected.items():
        assert numbers[name].dtype == jnp.float32
        assert not numbers[name].weak_type
        np.testing.assert_allclose(numbers[name], value, rtol=1e-6)


def test_it_works_inside_jit_and_under_vmap():
    @jax.jit
    @jax.vmap
    def rates(rate):
        tx = jf.sgd(jf.cosine_decay_schedule(rate, 4))
        return jf.hyperparameters(stepped(tx))["sgd.learning_rate"]

    np.testing.assert_allclose(rates(jnp.array([1.0, 2.0])), [0.5, 1.0], rtol=1e-6)


def test_the_same_transform_twice_is_told_apart_by_its_place():
    tx = jf.chain(
        jf.l2_decay(0.1), jf.sgd(0.2), jf.chain(jf.l2_decay(0.3), jf.adam(0.4)), jf.adam(0.5)
    )
    numbers = jf.hyperparameters(tx.init(PARAMS))
    shown = {
        name: round(float(x), 3)
        for name, x in numbers.items()
        if "strength" in name or "rate" in name
    }
    assert shown == {
        "0.l2_decay.strength": 0.1,
        "sgd.learning_rate": 0.2,
        "2.l2_decay.strength": 0.3,
        "2.adam.learning_rate": 0.4,
        "3.adam.learning_rate": 0.5,
    }


def test_the_same_transform_twice_in_a_chain_in_a_chain():
    tx = jf.chain(jf.chain(jf.l2_decay(0.1), jf.l2_decay(0.3)), jf.identity())
    assert list(jf.hyperparameters(tx.init(PARAMS))) == [
        "0.0.l2_decay.strength",
        "0.1.l2_decay.strength",
    ]


def test_groups_and_names_are_kept_apart():
    tx = jf.named_chain(
        ("bound", jf.clip(1.0)),
        ("step", jf.partition({"w": jf.adam(0.1), "b": jf.sgd(0.2)}, {"w": "w", "b": "b"})),
    )
    numbers = jf.hyperparameters(stepped(tx))
    assert {"bound.clip.max_delta", "step.w.adam.learning_rate", "step.b.sgd.learning_rate"} <= set(
        numbers
    )


def test_no_address_is_lost_whatever_labels_are_called():
    tx = jf.chain(jf.sgd(0.1), jf.sgd(0.2), jf.named_chain(("0", jf.sgd(0.3))))
    values = sorted(round(float(x), 3) for x in jf.hyperparameters(tx.init(PARAMS)).values())
    assert values == [0.1, 0.2, 0.3]
    dotted = {"a": {"b": jf.sgd(0.1).init(PARAMS)}, "a.b": jf.sgd(0.2).init(PARAMS)}
    assert sorted(round(float(x), 3) for x in jf.hyperparameters(dotted).values()) == [0.1, 0.2]


def test_wrappers_are_seen_through():
    tx = jf.accumulate(jf.apply_if_finite(jf.masked(jf.sgd(0.5), {"w": True, "b": False}), 3), 2)
    assert {name: float(x) for name, x in jf.hyperparameters(stepped(tx)).items()} == {
        "accumulate.every_k": 2,
        "apply_if_finite.max_consecutive_errors": 3,
        "sgd.learning_rate": 0.5,
    }


def test_the_reduction_on_a_plateau_is_reported():
    tx = jf.chain(jf.sgd(0.1), jf.reduce_on_plateau(factor=0.5, patience=1))
    state = stepped(tx, steps=3, value=jnp.float32(1.0))
    assert jf.hyperparameters(state)["reduce_on_plateau.scale"] == 0.25
    assert optax.tree_utils.tree_get(state, "scale") == 0.25


def test_parameters_named_like_numbers_are_not_taken_for_them():
    class Layer(NamedTuple):
        learning_rate: jax.Array
        hyperparameters: dict

    for params in (
        {
            "learning_rate": jnp.ones(2),
            "adam": {"learning_rate": jnp.ones(1)},
            "hyperparameters": {"b1": jnp.ones(1)},
        },
        Layer(jnp.ones(2), {"adam": {"learning_rate": jnp.ones(())}}),
    ):
        numbers = jf.hyperparameters(jf.adam(0.25).init(params))
        assert list(numbers) == [
            f"adam.{name}" for name in ("b1", "b2", "eps", "eps_root", "learning_rate")
        ]
        assert numbers["adam.learning_rate"] == 0.25


def test_transforms_of_optax_report_nothing():
    assert jf.hyperparameters(optax.adam(0.1).init(PARAMS)) == {}
    mixed = optax.chain(optax.clip(1.0), jf.scale(2.0)).init(PARAMS)
    assert jf.hyperparameters(mixed) == {"scale.step_size": 2.0}


def test_optax_finds_them_too():
    state = stepped(jf.chain(jf.clip(1.0), jf.adamw(0.5)))
    assert optax.tree_utils.tree_get(state, "learning_rate") == 0.5
    assert optax.tree_utils.tree_get(state, "weight_decay") == np.float32(1e-4)


@pytest.mark.parametrize(
    "tx",
    [
        jf.adamw(0.1),
        jf.proximal_adam(0.1, l1=0.1),
        jf.chain(jf.clip(1.0), jf.sgd(0.1, 0.9), jf.proximal_l1(0.1)),
        jf.accumulate(jf.adam(0.1), 2),
        jf.apply_if_finite(jf.l1_decay(0.1), 2),
        jf.chain(jf.sgd(0.1), jf.reduce_on_plateau()),
    ],
)
def test_update_never_reads_what_it_reports(tx):
    value = jnp.float32(1)
    state = tx.init(PARAMS)

    def with_reports(tree, change):
        def reports(node):
            return hasattr(node, "hyperparameters")

        def leaf(node):
            if not reports(node):
                return node
            fields = {
                name: jax.tree.map(leaf, x, is_leaf=reports) for name, x in node._asdict().items()
            }
            return node._replace(
                **{**fields, "hyperparameters": jax.tree.map(change, node.hyperparameters)}
            )

        return jax.tree.map(leaf, tree, is_leaf=reports)

    def outcome(state):
        return with_reports(tx.update(PARAMS, state, PARAMS, value=value), lambda _: None)

    spoiled = with_reports(state, lambda x: x * jnp.nan)
    assert jnp.isnan(jnp.stack(list(jf.hyperparameters(spoiled).values()))).all()
    chex.assert_trees_all_equal(outcome(spoiled), outcome(state))
