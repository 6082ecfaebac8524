"""Proximal steps against coordinate descent (scikit-learn) on the diabetes data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Lasso

import jefficient as jf

X, Y = load_diabetes(return_X_y=True)
X, Y = (X - X.mean(0)) / X.std(0), (Y - Y.mean()) / Y.std()
STEEPEST = float(np.linalg.eigvalsh(X.T @ X / len(Y)).max())
STRENGTHS = np.geomspace(0.5, 0.005, 7)
STEPS = 6000


def least_squares(w):
    return 0.5 * jnp.mean((jnp.asarray(X, jnp.float32) @ w - jnp.asarray(Y, jnp.float32)) ** 2)


def fitted(factory, loss=least_squares):
    """The coefficients for each strength, all in one program."""

    def fit(strength):
        tx = factory(strength)

        def body(carry, _):
            w, state = carry
            updates, state = tx.update(jax.grad(loss)(w), state, w)
            return (jf.apply_updates(w, updates), state), None

        w = jnp.zeros(X.shape[1])
        return jax.lax.scan(body, (w, tx.init(w)), None, length=STEPS)[0][0]

    return np.asarray(jax.jit(jax.vmap(fit))(jnp.asarray(STRENGTHS, jnp.float32)))


def falling(rate):
    return jf.cosine_decay_schedule(rate, STEPS, alpha=0.05)


RATE = 1 / STEEPEST
LASSO = {
    "sgd": lambda l1: jf.chain(jf.sgd(RATE), jf.proximal_l1(RATE * l1)),
    "sgd, schedule": lambda l1: jf.chain(
        jf.sgd(falling(RATE)), jf.proximal_l1(lambda t: falling(RATE)(t) * l1)
    ),
    "adam": lambda l1: jf.proximal_adam(0.02, l1=l1),
    "adam, schedule": lambda l1: jf.proximal_adam(falling(0.03), l1=l1),
    "nadam": lambda l1: jf.proximal_adam(0.02, nesterov=True, l1=l1),
}
ELASTIC_NET = {
    "sgd": lambda s: jf.chain(
        jf.sgd(RATE), jf.proximal_elastic_net(RATE * 0.7 * s, RATE * 0.3 * s)
    ),
    "adam": lambda s: jf.proximal_adam(0.02, l1=0.7 * s, l2=0.3 * s),
}


def check_path(got, model):
    for strength, w in zip(STRENGTHS, got, strict=True):
        expected = model(strength).fit(X, Y).coef_
        np.testing.assert_allclose(w, expected, atol=1e-4)
        assert (w != 0).tolist() == (expected != 0).tolist()  # the same support, exact zeros


@pytest.mark.parametrize("name", LASSO)
def test_is_the_lasso_over_a_path_of_strengths(name):
    check_path(
        fitted(LASSO[name]),
        lambda s: Lasso(alpha=s, fit_intercept=False, tol=1e-10, max_iter=100_000),
    )


@pytest.mark.parametrize("name", ELASTIC_NET)
def test_is_the_elastic_net_over_a_path_of_strengths(name):
    check_path(
        fitted(ELASTIC_NET[name]),
        lambda s: ElasticNet(
            alpha=s, l1_ratio=0.7, fit_intercept=False, tol=1e-10, max_iter=100_000
        ),
    )


def test_a_scalar_threshold_behind_adam_solves_another_problem():
    """What the docs warn of: no zeros, or the wrong ones, and a worse objective."""
    threshold = fitted(lambda l1: jf.chain(jf.adam(0.02), jf.proximal_l1(0.02 * l1)))
    right = fitted(LASSO["adam"])

    def objective(w, strength):
        return float(least_squares(jnp.asarray(w))) + strength * np.abs(w).sum()

    worse = [
        objective(a, s) - objective(b, s)
        for a, b, s in zip(threshold, right, STRENGTHS, strict=True)
    ]
    assert max(worse) > 1e-2
    assert any(
        (a != 0).tolist() != (b != 0).tolist() for a, b in zip(threshold, right, strict=True)
    )


def test_a_penalty_in_the_objective_or_a_coupled_decay_has_no_zeros():
    decayed = fitted(lambda l1: jf.chain(jf.l1_decay(l1), jf.sgd(0.01)))
    assert (decayed[0] != 0).all()
    assert (fitted(LASSO["sgd"])[0] == 0).sum() >= 7


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_zeros_are_exact_in_every_dtype(dtype):
    params = jnp.asarray([0.3, -0.07, 0.011, -1.7], dtype)
    for tx in (
        jf.proximal_l1(0.2),
        jf.proximal_elastic_net(0.2, 0.5),
        jf.proximal_adam(0.2, l1=50.0),
    ):
        updates, _ = tx.update(jnp.full(4, 0.01, dtype), tx.init(params), params)
        new = jf.apply_updates(params, updates)
        assert new.dtype == dtype
        assert (new[1:3] == 0).all()


def test_updates_have_the_parameters_dtype_where_gradients_are_narrower():
    params = jnp.array([1.2345678, 0.0512345])
    tx = jf.proximal_l1(0.1)
    updates, _ = tx.update(jnp.zeros(2, jnp.bfloat16), tx.init(params), params)
    assert jf.apply_updates(params, updates).tolist() == [pytest.approx(1.1345678, rel=1e-6), 0.0]


def test_complex_numbers_shrink_towards_zero():
    params = jnp.array([3 + 4j, 0.3 + 0.4j, 0j], jnp.complex64)
    for tx in (jf.proximal_l1(1.0), jf.chain(jf.scale(0.0), jf.proximal_elastic_net(1.0, 0.0))):
        updates, _ = tx.update(jnp.zeros(3, jnp.complex64), tx.init(params), params)
        np.testing.assert_allclose(jf.apply_updates(params, updates), [2.4 + 3.2j, 0, 0], rtol=1e-6)


def test_parameters_without_penalty_stand_in_a_group_of_their_own():
    """An intercept that is not penalised: the lasso of scikit-learn with one."""
    features, target = jnp.asarray(X + 0.5, jnp.float32), jnp.asarray(Y + 3, jnp.float32)
    tx = jf.partition(
        {"sparse": jf.proximal_adam(falling(0.03), l1=0.1), "free": jf.adam(falling(0.03))},
        {"w": "sparse", "b": "free"},
    )

    def loss(p):
        return 0.5 * jnp.mean((features @ p["w"] + p["b"] - target) ** 2)

    def body(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return (jf.apply_updates(params, updates), state), None

    params = {"w": jnp.zeros(10), "b": jnp.zeros(())}
    params = jax.lax.scan(body, (params, tx.init(params)), None, length=STEPS)[0][0]
    expected = Lasso(alpha=0.1, tol=1e-10, max_iter=100_000).fit(np.asarray(X + 0.5), Y + 3)
    np.testing.assert_allclose(params["w"], expected.coef_, atol=1e-4)
    np.testing.assert_allclose(params["b"], expected.intercept_, rtol=1e-3)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "factory",
    [
        lambda l1: jf.chain(jf.sgd(0.1), jf.proximal_l1(l1)),
        lambda l1: jf.chain(jf.sgd(0.1), jf.proximal_elastic_net(l1, 0.5)),
        lambda l1: jf.proximal_adam(0.1, l1=l1),
    ],
    ids=["proximal_l1", "proximal_elastic_net", "proximal_adam"],
)
def test_the_gradient_in_a_strength_of_zero_is_that_of_growing_it(factory):
    def total(strength):
        params, tx = jnp.array([1.0, -2.0, 0.3]), factory(strength)
        state = tx.init(params)
        for _ in range(5):
            updates, state = tx.update(params, state, params)
            params = jf.apply_updates(params, updates)
        return jnp.sum(params**2)

    zero, h = jnp.float64(0.0), jnp.float64(1e-7)
    np.testing.assert_allclose(jax.grad(total)(zero), (total(h) - total(zero)) / h, rtol=1e-5)


def test_a_schedule_below_zero_moves_nothing_away_from_zero():
    tx = jf.proximal_l1(lambda step: jnp.float32(-1.0))
    params = jnp.array([0.5, -0.5])
    updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
    assert updates.tolist() == [0.0, 0.0]
