"""Models of flax trained by our transforms: linen with its TrainState, nnx with its Optimizer.

Ours run under strict dtype promotion; optax's Adam mixes dtypes, so the twins run under the
standard one.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

nn = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")
serialization = pytest.importorskip("flax.serialization")
LinenState = pytest.importorskip("flax.training.train_state").TrainState

STEPS = 20
X = jax.random.normal(jax.random.key(0), (32, 4))
Y = jnp.sin(X.sum(axis=1, keepdims=True))

# ours, and the same of optax
OPTIMIZERS = {
    "adam": (lambda: jf.adam(0.01), lambda: optax.adam(0.01)),
    "sgd": (lambda: jf.sgd(0.05, momentum=0.9), lambda: optax.sgd(0.05, momentum=0.9)),
    "clipped_adamw": (
        lambda: jf.chain(
            jf.clip_by_global_norm(0.5),
            jf.adamw(jf.warmup_cosine_decay_schedule(0.0, 0.05, 5, STEPS), weight_decay=0.1),
        ),
        lambda: optax.chain(
            optax.clip_by_global_norm(0.5),
            optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 0.05, 5, STEPS), weight_decay=0.1),
        ),
    ),
}


class Mlp(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(nn.Dense(8)(x)))


def linen_state(tx, seed=1):
    model = Mlp()
    return LinenState.create(
        apply_fn=model.apply, params=model.init(jax.random.key(seed), X)["params"], tx=tx
    )


def train_linen(state, steps=STEPS):
    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(state):
        def loss(params):
            return jnp.mean((state.apply_fn({"params": params}, X) - Y) ** 2)

        value, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), value

    chex.clear_trace_counter()
    losses = []
    for _ in range(steps):
        state, value = step(state)
        losses.append(float(value))
    return state, losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_linen_train_state_learns_as_with_optax(name):
    ours, theirs = OPTIMIZERS[name]
    state, losses = train_linen(linen_state(ours()))
    with jax.numpy_dtype_promotion("standard"):
        twin, expected = train_linen(linen_state(theirs()))
    assert losses[-1] < losses[0] / 2
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    chex.assert_trees_all_close(state.params, twin.params, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "clipped_adamw"])
def test_a_state_read_from_bytes_goes_on_bitwise(name):
    """The template is of another seed: nothing of it may remain.

    Leaves come back as NumPy arrays.
    """
    ours, _ = OPTIMIZERS[name]
    half, _ = train_linen(linen_state(ours()), STEPS // 2)
    read = serialization.from_bytes(linen_state(ours(), seed=2), serialization.to_bytes(half))
    chex.assert_trees_all_equal(read.opt_state, half.opt_state)
    assert jax.tree.structure(read.opt_state) == jax.tree.structure(half.opt_state)
    expected, losses = train_linen(half, STEPS // 2)
    resumed, resumed_losses = train_linen(read, STEPS // 2)
    assert resumed_losses == losses
    chex.assert_trees_all_equal(
        (resumed.params, resumed.opt_state), (expected.params, expected.opt_state)
    )


class NnxMlp(nnx.Module):
    """With batch statistics, which are no `nnx.Param`."""

    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, use_bias=False, rngs=rngs)  # the norm takes the mean away
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.last = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.tanh(self.norm(self.first(x))))


def train_nnx(tx):
    model = NnxMlp(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        value, grads = nnx.value_and_grad(lambda model: jnp.mean((model(X) - Y) ** 2))(model)
        optimizer.update(model, grads)
        return value

    return model, optimizer, [float(step(model, optimizer)) for _ in range(STEPS)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nnx_optimizer_learns_as_with_optax(name):
    ours, theirs = OPTIMIZERS[name]
    model, optimizer, losses = train_nnx(ours())
    with jax.numpy_dtype_promotion("standard"):
        twin, _, expected = train_nnx(theirs())
    assert losses[-1] < losses[0] / 2
    assert optimizer.step[...] == STEPS
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    got, wanted = (nnx.to_pure_dict(nnx.state(m)) for m in (model, twin))
    chex.assert_trees_all_close(got, wanted, rtol=1e-3, atol=1e-4)
    assert np.abs(got["norm"]["mean"]).max() > 0
