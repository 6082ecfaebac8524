"""Sharpness and noise scale in a sweep, against dense Hessians and gradients of single examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from executors.test_parts import Inline
from jax.flatten_util import ravel_pytree
from sweeps import tiny

import jefficient as jf
from jefficient.sweeps.tasks import TaskProblem

BOTH = ("sharpness", "noise_scale")


def init(key):
    first, second = jax.random.split(key)
    return {"w": jax.random.normal(first, (3, 4)), "out": jax.random.normal(second, (4,))}


def loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["w"]) @ params["out"] - y) ** 2)


TASK = jf.Task(init, jf.regularized(loss), (tiny.X, tiny.Y), validation=0.2)
SPACE = jf.grid(learning_rate=[0.01, 0.05], l2=[0.0, 0.1])


def swept(**changes):
    return tiny.sweep(TASK, SPACE, **{"steps": 6, "eval_every": 3, "diagnostics": BOTH, **changes})


@pytest.fixture(scope="module")
def result():
    return swept(seeds=2)


def test_they_are_numpys_of_the_dense_hessian_and_of_the_gradients_of_examples(result):
    """All 24 training examples are seen, in three batches, and in microbatches of one."""
    rows, _ = TASK.split(jax.random.key(0))
    x, y = tiny.X[rows], tiny.Y[rows]
    _, tree_of = ravel_pytree(result.params(0))

    def penalised(v, batch, l2):
        return loss(tree_of(v), batch) + l2 / 2 * v @ v

    hessian = jax.jit(jax.hessian(penalised))
    gradients = jax.jit(jax.vmap(jax.grad(penalised), (None, 0, None)))
    for config in range(4):
        for seed in range(2):
            at, _ = ravel_pytree(result.params(config, seed=seed))
            l2 = SPACE[config]["l2"]
            here = result.dataset.isel(config=config, seed=seed, fold=0, evaluation=-1)
            dense = np.asarray(hessian(at, (x, y), l2), float)
            sharpest = np.linalg.eigvalsh(dense)[-1]
            np.testing.assert_allclose(here["sharpness"], sharpest, rtol=1e-4)

            each = np.asarray(gradients(at, (x[:, None], y[:, None]), l2), float)
            trace = np.trace(np.cov(each.T))
            signal = np.sum(each.mean(axis=0) ** 2) - trace / len(each)
            expected = trace / signal if signal > 0 else np.nan
            np.testing.assert_allclose(here["noise_scale"], expected, rtol=1e-3)
    assert np.isfinite(result.dataset["noise_scale"]).any()


def test_they_are_described(result):
    data = result.dataset
    assert {data[name].attrs["role"] for name in BOTH} == {"diagnostic"}
    assert {str(data[name].dtype) for name in BOTH} == {"float32"}
    assert data["noise_scale"].attrs["units"] == "examples"
    assert data.attrs["gradient_descent"] == "learning_rate"


def test_parts_and_a_directory_have_the_same_bits(result, tmp_path):
    parts = swept(seeds=2, executor=Inline(), parts=2)
    first = swept(seeds=2, directory=tmp_path)
    again = jf.load(tmp_path)
    for other in (parts, first, again):
        for name in BOTH:
            np.testing.assert_array_equal(other.dataset[name], result.dataset[name])
    with pytest.raises(jf.JefficientError, match="diagnostics was"):
        swept(seeds=2, directory=tmp_path, diagnostics=("sharpness",))


def test_folds_of_unequal_size_see_as_many_examples():
    """Least squares: H = 2·XᵀX/n of the first two batches in the order of a fixed key."""
    data = tiny.sweep(
        tiny.task(), jf.grid(learning_rate=[0.1]), folds=4, steps=1, diagnostics=("sharpness",)
    ).dataset
    sizes = data["training_examples"].values
    assert sorted(set(sizes.tolist())) == [22, 23]
    key = jax.random.fold_in(jax.random.key(0), 1)
    problem = TaskProblem.of(tiny.task(), jf.sgd, 4, None, jax.random.key(0, impl="threefry2x32"))
    for fold, size in enumerate(sizes.tolist()):
        order = np.ravel([jf.shuffled_batch(key, i, size, 8) for i in range(2)])
        x = tiny.X[np.asarray(problem.data.folds.train[fold])[order]].astype(float)
        sharpest = np.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]
        np.testing.assert_allclose(data["sharpness"].values.ravel()[fold], sharpest, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"diagnostics": "sharpness"}, jf.ArgumentTypeError, "must be a tuple of names among"),
        ({"diagnostics": ["sharpness"]}, jf.ArgumentTypeError, "must be a tuple of names among"),
        ({"diagnostics": ("sharp",)}, jf.ArgumentError, r"\['sharpness', 'noise_scale'\]"),
        ({"diagnostics": ("sharpness",) * 2}, jf.ArgumentError, "must be different names"),
        ({"diagnostics": (1,)}, jf.ArgumentError, "must be different names"),
    ],
)
def test_names_are_those_there_are_each_once(changes, error, words):
    with pytest.raises(error, match=f"jf.sweep: diagnostics.*{words}"):
        swept(**changes)


def test_what_has_no_training_examples_in_memory_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", tiny.X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    rates = jf.grid(learning_rate=[0.1])
    on_disk = jf.Task(lambda key: jnp.zeros(3), lambda p, x: jnp.mean((x - p) ** 2), x)
    drawn = jf.Task(lambda key: jnp.zeros(3), lambda p, key: jnp.sum(p**2), None)
    for task, got in ((on_disk, "data that are read while lanes train"), (drawn, "data=None")):
        with pytest.raises(jf.ArgumentError, match=f"training examples in memory, got .*{got}"):
            jf.sweep(task, jf.sgd, rates, steps=1, metric="train_loss", diagnostics=BOTH)
    trial = jf.Trial(lambda key, x: x, lambda s, d, t, k: (s, {}), lambda s, d: {"x": s})
    space = jf.grid(x=[1.0])
    with pytest.raises(jf.ArgumentError, match=r"a jf.Trial must come without diagnostics"):
        jf.sweep(trial, space=space, steps=1, metric="x", mode="min", diagnostics=BOTH)

    def noisy(params, batch, noise_scale):
        return loss(params, batch) * noise_scale

    task = jf.Task(init, noisy, (tiny.X, tiny.Y))
    with pytest.raises(jf.ArgumentError, match="must not name a diagnostic"):
        tiny.sweep(task, jf.grid(noise_scale=[1.0]), jf.sgd(0.1), steps=1, diagnostics=BOTH)
