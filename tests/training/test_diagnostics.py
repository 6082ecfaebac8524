"""Largest eigenvalues against NumPy's, the noise scale against its closed form."""

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf
from jefficient.training import noise_scale
from jefficient.training._diagnostics import largest_eigenvalue

SIZE = 40


def symmetric(eigenvalues):
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))
    return q * eigenvalues @ q.T


MATRICES = np.stack(
    [
        symmetric(np.linspace(-30.0, 20.0, SIZE) + np.eye(SIZE)[-1]),  # the largest in size is -30
        symmetric(np.r_[np.linspace(0.0, 1.0, SIZE - 5), 30.0, 40.0, 50.0, 52.0, 53.0]),
        symmetric(-np.linspace(1.0, 10.0, SIZE)),
        symmetric(np.r_[np.zeros(SIZE - 2), 1.0, 3.0]),
        np.eye(SIZE),
        -np.eye(SIZE),
        np.zeros((SIZE, SIZE)),
    ]
).astype(np.float32)


def test_the_largest_eigenvalue_is_numpys():
    """Of low rank and of one eigenvalue, too, where the vectors of Lanczos's method run out."""
    found = jax.jit(jax.vmap(lambda a: largest_eigenvalue(lambda v: a @ v, SIZE, jnp.float32)))(
        MATRICES
    )
    expected = np.linalg.eigvalsh(MATRICES.astype(float))[:, -1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_noise_scale_of_a_noisy_quadratic_is_its_closed_form():
    """Loss ½(θ - x)ᵀH(θ - x), x ~ N(0, σ²·1): B = σ²·tr(H²) / |Hθ|², whatever the microbatch."""
    hessian, sigma = MATRICES[1], 0.6
    theta = jnp.ones(SIZE)
    exact = sigma**2 * np.trace(hessian @ hessian) / np.sum((hessian @ np.ones(SIZE)) ** 2)

    def loss(p, batch):
        d = p - batch
        return 0.5 * jnp.mean(jnp.sum(d @ hessian * d, axis=-1))

    state = jf.train_step(loss, jf.sgd(0.1)).init(theta)

    def estimate(key, size):
        x = sigma * jax.random.normal(key, (512 // size, size, SIZE))
        return noise_scale(loss, state, lambda i: x[i], 512 // size, size)

    keys = jax.random.split(jax.random.key(0), 200)
    for size in (1, 8):
        found = jax.jit(jax.vmap(lambda key, size=size: estimate(key, size)))(keys)
        error = np.std(found) / np.sqrt(len(keys))
        assert error < 0.02 * exact
        assert abs(np.mean(found) - exact) < 3 * error
