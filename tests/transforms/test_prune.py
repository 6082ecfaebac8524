"""Which weights are kept, against NumPy; exact zeros, exact counts, one program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

import jefficient as jf
from jefficient.transforms._largest import largest, ranked

RNG = np.random.default_rng(0)
STEPS = 24
PARAMS = {
    "a": {"kernel": RNG.normal(size=(6, 5)), "bias": RNG.normal(size=5)},
    "b": {"kernel": RNG.normal(size=(5, 4))},
}
PARAMS = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
GRADS = jax.tree.map(lambda p: jnp.asarray(RNG.normal(size=(STEPS, *p.shape)), p.dtype), PARAMS)


def trained(tx, params=PARAMS, grads=GRADS):
    """All parameters and masks, before the first update and after each, with a leading axis."""

    def body(carry, g):
        params, state = carry
        u, state = tx.update(g, state, params)
        params = jf.apply_updates(params, u)
        return (params, state), (params, state.kept)

    state = tx.init(params)
    _, path = jax.lax.scan(body, (params, state), grads)
    first = (params, state.kept)
    return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), first, path)


def flat(tree):
    """Leaves of a path, one after another: (steps, numbers)."""
    return np.concatenate([np.asarray(x).reshape(len(x), -1) for x in jax.tree.leaves(tree)], 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_are_those_of_a_stable_sort(dtype):
    with jax.enable_x64(dtype == "float64"):
        # Many ties, both zeros and numbers without a size.
        x = RNG.choice([0.0, -0.0, 1.0, -1.0, 2.5, 1e-40, np.inf], size=(7, 6)).astype(dtype)
        x[:2] = RNG.normal(size=(2, 6))
        x[2, 2] = np.nan
        ks = np.arange(43, dtype=np.int32)
        real = jnp.dtype(dtype)

        @jax.jit
        @jax.vmap
        def found(k):
            parts = largest([ranked(jnp.asarray(part), real) for part in (x[:3], x[3:])], k)
            return jnp.concatenate(parts)

        got = np.asarray(found(ks)).reshape(43, -1)
    order = np.argsort(-np.nan_to_num(np.abs(x.ravel()), nan=np.inf, posinf=1e30), kind="stable")
    for k in ks:
        expected = np.zeros(42, bool)
        expected[order[:k]] = True
        np.testing.assert_array_equal(got[k], expected)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_rigl_is_algorithm_1(scope):
    tx = jf.prune(jf.sgd(0.3), 0.7, method="rigl", scope=scope, every=4, end=20, drop_fraction=0.5)
    params, kept = trained(tx)
    grads, params, kept = (
        [flat(tree)] if scope == "global" else [flat(x) for x in jax.tree.leaves(tree)]
        for tree in (GRADS, params, kept)
    )
    for g, p, m in zip(grads, params, kept, strict=True):
        assert m[1].sum() == m.shape[1] - round(0.7 * m.shape[1])
        steps = references.rigl(g.astype(float), lambda t: 0.3, p[0], m[1], 0.5, 4, 20)
        expected = p[0] + np.cumsum(list(steps), axis=0)
        np.testing.assert_allclose(p[1:], expected, atol=1e-5)
    assert any((m[4] != m[5]).any() for m in kept)


def test_set_drops_the_smallest_and_grows_at_random():
    tx = jf.prune(jf.adam(0.1), 0.6, method="set", every=5, drop_fraction=0.3)
    params, kept = map(flat, trained(tx))
    assert kept[0].all()
    number = kept[1].sum()
    grown = []
    for t in range(5, STEPS, 5):
        before, after = kept[t], kept[t + 1]
        exchanged = round(0.3 * number)
        size = np.where(before, np.abs(params[t]), np.inf)
        smallest = np.zeros_like(before)
        smallest[np.argsort(size)[:exchanged]] = True
        assert after.sum() == number
        assert after[before & ~smallest].all()
        # No update of Adam in this step; what is grown begins at zero.
        np.testing.assert_array_equal(params[t + 1], np.where(after, params[t], 0))
        grown.append(tuple(np.flatnonzero(after & ~before)))
    assert len(set(grown)) == len(grown) > 2


def test_random_masks_are_nested_and_are_those_of_the_seed_and_the_first_weights():
    @jax.jit
    def masks(sparsity, seed, params):
        tx = jf.prune(jf.sgd(0.1), sparsity, method="random", seed=seed)
        grads = jax.tree.map(lambda g: g[:1], GRADS)
        return trained(tx, params, grads)[1]

    def mask(sparsity, seed=0, params=PARAMS):
        return flat(masks(jnp.float32(sparsity), jnp.int32(seed), params))[1]

    half, most = mask(0.5), mask(0.9)
    assert (most.sum(), half.sum()) == (55 - round(0.9 * 55), 55 - 28)  # 27.5 to even
    assert half[most].all()
    assert (mask(0.5, seed=1) != half).any()
    assert (mask(0.5, params=jax.tree.map(lambda p: 2 * p, PARAMS)) != half).any()
    np.testing.assert_array_equal(mask(0.5), half)


@pytest.mark.parametrize("method", ["magnitude", "random", "set", "rigl"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_masked_weights_are_exactly_zero_in_exact_numbers(method, dtype):
    """One program for all sparsities; momentum, decay and averages move no zero."""
    params, grads = (jax.tree.map(lambda x: x.astype(dtype), tree) for tree in (PARAMS, GRADS))

    @jax.jit
    @jax.vmap
    def run(sparsity, begin):
        tx = jf.prune(
            jf.adamw(0.1, weight_decay=0.3),
            jf.polynomial_schedule(0.0, sparsity, 3, 10, begin),
            method=method,
            begin=begin,
            end=begin + 10,
            every=3,
            mask=jf.where_name("kernel"),
        )
        return trained(tx, params, grads)

    sparsity, begin = np.float32([0.0, 0.34, 0.9, 1.0]), np.int32([0, 2, 5, 12])
    params, kept = run(sparsity, begin)
    assert all(p.dtype == dtype for p in jax.tree.leaves(params))
    assert np.asarray(kept["a"]["bias"]).all()
    for lane, (share, start) in enumerate(zip(sparsity, begin, strict=True)):
        p = flat([params[name]["kernel"][lane] for name in "ab"])
        m = flat([kept[name]["kernel"][lane] for name in "ab"])
        assert (p[~m] == 0).all()
        for t in range(STEPS):
            last = max((x for x in {*range(0, 10, 3), 10} if start + x <= t), default=None)
            zeros = 0
            if last is not None:
                zeros = round(float(share) * (1 - (1 - last / 10) ** 3) * 50)
            assert (~m[t + 1]).sum() == zeros


def test_the_inner_transform_sees_no_gradient_of_pruned_weights():
    tx = jf.prune(jf.sgd(1.0, momentum=0.5), 0.5)
    params = jnp.array([4.0, 0.1])
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(jnp.ones(2), state, params)
        params = jf.apply_updates(params, updates)
    np.testing.assert_array_equal(state.inner_state[0].trace, [1.5, 0.5])
    np.testing.assert_array_equal(params, [1.5, 0])


def test_straight_through_trains_weights_that_are_pruned():
    """The gradient is that at the masked weights; a pruned weight grows behind the mask."""
    goal = jnp.array([1.0, 3.0])
    tx = jf.prune(jf.sgd(0.25), 0.5, ste=True)
    params = jnp.array([1.5, 0.5])
    state = tx.init(params)
    seen = []
    for _ in range(4):
        updates, state = tx.update(params - goal, state, params)
        params = jf.apply_updates(params, updates)
        seen.append(params.tolist())
    # z₂ = 0.5, 1.125, then 1.875 against z₁ = 1.5, 1.375, 1.28125
    assert seen == [[1.375, 0], [0, 1.875], [0, 2.15625], [0, 2.3671875]]
    np.testing.assert_array_equal(state.dense[1], params[1])
    with pytest.raises(
        jf.ArgumentError, match="ste must go with method 'magnitude' or 'random', g"
    ):
        jf.prune(jf.sgd(0.1), 0.5, method="set", every=2, ste=True)


def test_weights_of_float64_are_told_apart():
    with jax.enable_x64(True):
        params = jnp.array([1 + 1e-12, 1.0, 1 + 2e-12])
        tx = jf.prune(jf.sgd(0.0), 1 / 3)
        state = tx.init(params)
        _, state = tx.update(jnp.zeros(3), state, params)
    np.testing.assert_array_equal(state.kept, [True, False, True])


def test_what_is_reported():
    tx = jf.prune(
        jf.sgd(0.1), jf.linear_schedule(0.0, 1.0, 10), method="rigl", end=30, every=2, seed=3
    )
    state = tx.init(jnp.ones(2))
    for _ in range(2):
        _, state = tx.update(jnp.ones(2), state, jnp.ones(2))
    reported = {name: round(float(x), 4) for name, x in jf.hyperparameters(state).items()}
    assert reported == {
        "prune.sparsity": 0.1,
        "prune.begin": 0.0,
        "prune.every": 2.0,
        "prune.seed": 3.0,
        "prune.end": 30.0,
        "prune.drop_fraction": 0.3,
        "sgd.learning_rate": 0.1,
    }


def test_wrong_arguments():
    with pytest.raises(jf.ArgumentError, match=r"prune: method must be one of \['magnitude', 'ran"):
        jf.prune(jf.sgd(0.1), 0.5, method="smallest")
    with pytest.raises(
        jf.ArgumentError, match=r"prune: scope must be one of \['global', 'layer'\]"
    ):
        jf.prune(jf.sgd(0.1), 0.5, scope="leaf")
    with pytest.raises(jf.ArgumentError, match=r"begin <= end must hold, got begin=5, end=4. Noth"):
        jf.prune(jf.sgd(0.1), 0.5, begin=5, end=4)
    with pytest.raises(jf.ArgumentError, match="2 <= every < 2³¹ must hold"):
        jf.prune(jf.sgd(0.1), 0.5, method="rigl")  # the optimizer would never step
    with pytest.raises(jf.ArgumentTypeError, match="prune: tx must be a gradient transformation"):
        jf.prune(jf.sgd, 0.5)
    with pytest.raises(jf.ArgumentTypeError, match=r"For leaves by name: jf\.where_name\('a'\)"):
        jf.prune(jf.sgd(0.1), 0.5, mask="a").init(PARAMS)
    with pytest.raises(jf.ArgumentTypeError, match="prune: mask must hold True or False"):
        jf.prune(jf.sgd(0.1), 0.5, mask=jnp.ones(2)).init(jnp.ones(2))
    with pytest.raises(jf.ArgumentTypeError, match=r"prune: parameters must be floating, got dt"):
        jf.prune(jf.sgd(0.1), 0.5).init({"n": jnp.arange(3)})


def test_zeros_are_kept():
    params = {"w": jnp.array([1.0, 0.0, -0.0, 2.0], jnp.bfloat16), "b": jnp.zeros(2)}
    tx = jf.chain(jf.adamw(0.3), jf.masked(jf.keep_zeros(), {"w": True, "b": False}))
    state = tx.init(params)
    for _ in range(3):
        grads = jax.tree.map(lambda p: jnp.ones_like(p), params)
        updates, state = tx.update(grads, state, params)
        params = jf.apply_updates(params, updates)
        assert (np.asarray(params["w"]) != 0).tolist() == [True, False, False, True]
        assert (np.asarray(params["b"]) != 0).all()
    assert float(jf.sparsity(params)) == pytest.approx(2 / 6)
    assert float(jf.sparsity({"n": jnp.zeros(3, jnp.int32)})) == 0


def test_lanes_renew_their_masks_only_where_one_of_them_is_due():
    """And each is what it would be alone, whatever the lanes beside it, in vmaps of vmaps too."""

    def kept(sparsity, every):
        tx = jf.prune(jf.sgd(0.1), sparsity, method="rigl", every=every, end=18)
        return trained(tx)[1]

    sparsities, every = jnp.array([0.3, 0.6]), jnp.array([2, 3, 5])
    lanes = jax.vmap(jax.vmap(kept, (None, 0)), (0, None))
    found = jax.jit(lanes)(sparsities, every)
    alone = [[jax.jit(kept)(s, e) for e in every] for s in sparsities]
    for i, j in np.ndindex(2, 3):
        own = jax.tree.map(lambda x, i=i, j=j: x[i, j], found)
        np.testing.assert_array_equal(flat(own), flat(alone[i][j]))

    # A condition of all lanes is a branch of the program; one of each lane would be a selection.
    assert "stablehlo.case" in jax.jit(lanes).lower(sparsities, every).as_text()
