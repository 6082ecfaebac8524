"""Paths of penalty strengths, each fit warm-started from those before it: scikit-learn's paths."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import enet_path, lasso_path

import jefficient as jf

X, Y = load_diabetes(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
Y = (Y - Y.mean()) / Y.std()
EXAMPLES, FEATURES = X.shape
RATE = 1 / np.linalg.eigvalsh(X.T @ X / EXAMPLES)[-1]
RATIOS = [0.9, 0.95, 1.0]
COUNT = 100
STRENGTHS = np.abs(X.T @ Y / EXAMPLES).max() * np.geomspace(0.999, 0.01, COUNT)
STRENGTHS = STRENGTHS.astype(np.float32).astype(float)  # hyperparameters are float32


def violation(w, batch, strength, ratio):
    """By how much the conditions of an elastic net's optimum are missed."""
    l1 = jnp.float64(strength) * ratio.astype(float)
    gradient = batch["x"].T @ (batch["x"] @ w - batch["y"]) / EXAMPLES
    gradient += (jnp.float64(strength) - l1) * w
    at_zero = jnp.maximum(jnp.abs(gradient) - l1, 0)
    return jnp.max(jnp.where(w == 0, at_zero, jnp.abs(gradient + l1 * jnp.sign(w))))


def optimizer(strength, ratio):
    l1 = jnp.float64(strength) * ratio.astype(float)
    return jf.chain(
        jf.sgd(RATE), jf.proximal_elastic_net(RATE * l1, RATE * (jnp.float64(strength) - l1))
    )


class Converged(jf.StopRule):
    def init(self):
        return ()

    def update(self, state, observations):
        return state, [x.score < 3e-9 for x in observations]


def fit(strength, start=None):
    """Fit all ratios, each a lane, until they have converged."""
    task = jf.Task(
        init=lambda key: jnp.zeros(FEATURES),
        loss=lambda w, batch: jnp.mean((batch["x"] @ w - batch["y"]) ** 2) / 2,
        data={"x": X, "y": Y},
        validation={"x": X, "y": Y},
        metrics={"violation": violation},
    )
    result = jf.sweep(
        TASKS.setdefault("task", task),
        optimizer,
        jf.grid(strength=[float(strength)]) * jf.grid(ratio=RATIOS),
        steps=5000,
        batch_size=EXAMPLES,
        eval_every=10,
        metric="valid_violation",
        mode="min",
        stop=Converged(),
        start=start,
        progress=False,
    )
    assert (result.dataset["status"] == "stopped").all()
    weights = np.stack([result.params(config) for config in range(len(RATIOS))])
    return weights, int(result.dataset["steps_taken"].sum())


TASKS = {}


def predicted(path, i):
    """Extrapolate along the strength: paths are smooth, a lasso's linear, while no zero changes.

    Of each ratio those of the last three fits that have the zeros of the last one count.
    """
    last = path[-1]
    start = np.zeros_like(last)
    for ratio in range(len(RATIOS)):
        like_last = [(fit[ratio] != 0) == (last[ratio] != 0) for fit in path[:-4:-1]]
        count = next((k for k, x in enumerate(like_last) if not x.all()), len(like_last))
        at = np.arange(i - count, i)
        for k in at:
            others = STRENGTHS[at[at != k]]
            weight = np.prod((STRENGTHS[i] - others) / (STRENGTHS[k] - others))
            start[ratio] += weight * path[k][ratio]
    return np.where(last != 0, start, 0)


def warm_path():
    """Return the weights of all strengths and ratios, a list of (3, features), and the updates."""
    path, updates = [], 0
    for i, strength in enumerate(STRENGTHS):
        starts = predicted(path, i) if path else None
        start = None if starts is None else (lambda config, *_, starts=starts: starts[config])
        weights, taken = fit(strength, start)
        path.append(weights)
        updates += taken
    return path, updates


def both_paths(path):
    """Yield each ratio, its path, (features, strengths), and that of scikit-learn."""
    exact = {"tol": 1e-15, "max_iter": 10**6, "alphas": STRENGTHS}
    for k, ratio in enumerate(np.float32(RATIOS).astype(float).tolist()):
        here = np.stack([weights[k] for weights in path], axis=1)
        expected = (
            enet_path(X, Y, l1_ratio=ratio, **exact) if ratio < 1 else lasso_path(X, Y, **exact)
        )
        yield ratio, here, expected[1]


def test_warm_started_paths_are_scikit_learn_s_in_a_fifth_of_the_updates():
    with jax.enable_x64(True):
        path, warm = warm_path()
        every = 10
        cold = every * sum(fit(strength)[1] for strength in STRENGTHS[every // 2 :: every])
    assert warm <= cold / 5

    for _, here, expected in both_paths(path):
        np.testing.assert_allclose(here, expected, atol=1e-6, rtol=0)
        np.testing.assert_array_equal(here == 0, expected == 0)
