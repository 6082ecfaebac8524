"""Messages of broken transforms, schedules and train steps name the law, number and leaf."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf
from jefficient.testing import (
    SCHEDULE_LAWS,
    TRAIN_STEP_LAWS,
    TRANSFORM_LAWS,
    LawError,
    verify_schedule,
    verify_train_step,
    verify_transform,
)

RATE = {"rate": (0.1, 0.5)}


@pytest.fixture(autouse=True)
def _standard_promotion():
    """As users have it: under strict promotion most mistakes do not even run."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def transform(update, init=lambda params: optax.EmptyState()):
    return optax.GradientTransformation(init, update)


def elementwise(function):
    """A transform without state whose updates are ``function(g)``."""
    return transform(lambda updates, state, params=None: (jax.tree.map(function, updates), state))


def promotes(rate):
    return elementwise(lambda g: g * rate)


def compares(rate):
    return elementwise(lambda g: g * rate if rate > 0.2 else g)


def rounds_static(rate):
    factor = rate if isinstance(rate, jax.Array) else 1.001 * rate
    return elementwise(lambda g: (g * factor).astype(g.dtype))


def divides_by_zero(rate):
    return elementwise(lambda g: (rate * g / jnp.abs(g)).astype(g.dtype))


def root_at_zero(rate):
    return elementwise(lambda g: (jnp.sqrt(rate * jnp.abs(g)) * jnp.sign(g)).astype(g.dtype))


def stops_gradient(rate):
    return elementwise(lambda g: (g * jax.lax.stop_gradient(rate)).astype(g.dtype))


def state_by_value(rate):
    def init(params):
        return {"m": jnp.zeros(())} if isinstance(rate, float) and rate > 0.2 else {}

    return transform(lambda updates, state, params=None: (updates, state), init)


def weak_state(rate):
    def update(updates, state, params=None):
        return updates, {"last": {"rate": state["last"]["rate"] * 1.0}}

    return transform(update, lambda params: {"last": {"rate": jnp.asarray(0.0)}})


def same_array_twice(rate):
    def init(params):
        zero = jnp.zeros((), jnp.int32)
        return {"count": zero, "skipped": zero}

    return transform(lambda updates, state, params=None: (updates, state), init)


def needs_every_leaf(rate):
    def update(updates, state, params=None):
        sizes = [g.size for g in jax.tree.leaves(updates, is_leaf=lambda x: x is None)]
        return jax.tree.map(lambda g: g / sum(sizes), updates), state

    return transform(update)


def drifts(rate):
    """A state of float16 that becomes float32 at the first update."""

    def update(updates, state, params=None):
        state = jax.tree.map(lambda m, g: m + jnp.float32(0.5) * g, state, updates)
        return updates, state

    return transform(update, lambda params: jax.tree.map(jnp.zeros_like, params))


def differs_under_jit(rate):
    def init(params):
        is_traced = isinstance(jax.tree.leaves(params)[0], jax.core.Tracer)
        return {"rate": jnp.full((), 2 * rate if is_traced else rate)}

    return transform(lambda updates, state, params=None: (updates, state), init)


def reads_values_in_init(rate):
    def init(params):
        return {"norm": jnp.asarray(np.linalg.norm(jax.tree.leaves(params)[0]))}

    return transform(lambda updates, state, params=None: (updates, state), init)


def commits_a_part(rate):
    """A count that `init` puts on a device: after an update, so is all that was free before."""

    def init(params):
        return {"m": jnp.zeros(()), "t": jax.device_put(jnp.int32(0), jax.devices()[0])}

    def update(updates, state, params=None):
        return updates, {"m": state["m"] + 1, "t": state["t"] + 1}

    return transform(update, init)


def forgets_sharding_of_state(rate):
    def update(updates, state, params=None):
        return updates, jax.tree.map(lambda m, g: m + g, state, updates)

    return transform(update, lambda params: jax.tree.map(lambda p: jnp.zeros(p.shape), params))


def forgets_sharding_of_updates(rate):
    return elementwise(lambda g: jnp.full(g.shape, rate, g.dtype))


def counts_on_the_host():
    calls = []

    def factory(rate):
        def update(updates, state, params=None):
            calls.append(1)
            return jax.tree.map(lambda g: g * len(calls), updates), state

        return transform(update)

    return factory


@pytest.mark.parametrize(
    ("factory", "law", "message"),
    [
        (
            promotes,
            "dtype",
            r"law 'dtype' is broken.*\nParameters of dtype bfloat16:(.|\n)*(float32|carry)",
        ),
        (
            drifts,
            "dtype",
            r"law 'dtype' is broken.*\nParameters of dtype bfloat16:\nIt raised TypeError"
            r"(.|\n)*carry",
        ),
        (
            compares,
            "traced",
            r"law 'traced' is broken.*\nNumber rate = .*\nIt raised TracerBoolConversionError",
        ),
        (
            rounds_static,
            "traced",
            r"law 'traced' is broken.*\nNumber rate, traced 0.1.* against static:(.|\n)*'a'",
        ),
        (stops_gradient, "gradient", r"law 'gradient' is broken.*\nNumber rate at 0.1:"),
        (
            divides_by_zero,
            "zero",
            r"law 'zero' is broken.*\nParameters of dtype bfloat16:\nan update must be finite.*'a'",
        ),
        (
            root_at_zero,
            "zero",
            r"law 'zero' is broken.*\nthe gradient in a number must be finite, got 1 of 1 .*'rate'",
        ),
        (state_by_value, "state", r"law 'state' is broken(.|\n)*trees 0 and 1 do not match"),
        (
            weak_state,
            "state",
            r"the state must be strongly typed, got a weakly typed float32 at \['last'\]\['rate'\]",
        ),
        (
            same_array_twice,
            "state",
            r"must not hold an array twice, got the same at \['count'\] and \['skipped'\]",
        ),
        (needs_every_leaf, "none", r"law 'none' is broken.*\nIt raised AttributeError"),
        (counts_on_the_host(), "pure", r"law 'pure' is broken"),
        (differs_under_jit, "init", r"law 'init' is broken.*\nUnder jit:(.|\n)*'rate'"),
        (
            reads_values_in_init,
            "init",
            r"law 'init' is broken.*\nUnder jax.eval_shape:\nIt raised TracerArrayConversionError",
        ),
        (commits_a_part, "compiled", r"law 'compiled' is broken.*\nthe second update must compile"),
        (
            forgets_sharding_of_state,
            "sharding",
            r"the state must keep its sharding, P\(None, None\), got P\('x', None\) at \['a'\]",
        ),
        (
            forgets_sharding_of_updates,
            "sharding",
            r"an update must keep its sharding, P\('x', None\), got P\(None, None\) at \['a'\]",
        ),
    ],
    ids=lambda x: getattr(x, "__name__", x if isinstance(x, str) and " " not in x else ""),
)
def test_a_broken_transform_is_reported(factory, law, message):
    with pytest.raises(LawError, match=message):
        verify_transform(factory, RATE, laws=[law])


def test_a_promotion_of_numbers_in_x64_is_reported():
    def widens(rate):
        def update(updates, state, params=None):
            return jax.tree.map(lambda g: g * np.float64(rate), updates), state

        return transform(update)

    def narrows_traced(rate):
        return elementwise(
            lambda g: (g * rate).astype(rate.dtype if isinstance(rate, jax.Array) else g.dtype)
        )

    for factory, where in (
        (widens, r"float32, static numbers:(.|\n)*got float64"),
        (narrows_traced, r"float64, traced numbers:(.|\n)*got float32"),
    ):
        with pytest.raises(LawError, match=rf"law 'x64' is broken.*\nParameters of dtype {where}"):
            verify_transform(factory, RATE, laws=["x64"])


@pytest.mark.parametrize(
    ("factory", "numbers", "law", "message"),
    [
        (
            lambda peak: optax.warmup_cosine_decay_schedule(0.0, peak, 5, 20),
            {"peak": (1.0, 0.5)},
            "traced",
            "peak",
        ),
        (
            lambda steps: optax.linear_schedule(1.0, 0.0, steps),
            {"steps": (10, 20)},
            "traced",
            "steps",
        ),
        (
            lambda value: lambda step: value,
            {"value": (1.0, 0.5)},
            "shape",
            r"strongly typed float32 of shape \(\)",
        ),
        (
            lambda steps: lambda t: jnp.maximum(1 - jnp.asarray(t, jnp.float32) / steps, 0) ** 0.5,
            {"steps": (10.0, 20.0)},
            "gradient",
            "Number steps at 10.0:(.|\n)*finite",
        ),
        (lambda a: lambda t: a * jnp.ones(()), {"a": (1.0, 2.0)}, "steps", "law 'steps' is broken"),
    ],
)
def test_a_broken_schedule_is_reported(factory, numbers, law, message):
    with pytest.raises(LawError, match=message):
        verify_schedule(factory, numbers, laws=[law])


def quadratic(params, batch):
    return jnp.mean((params["w"] * batch - 1) ** 2)


STEP = {"params": {"w": jnp.array([1.0, -0.5, 0.2])}, "batch": jnp.array([0.5, 1.0, 2.0])}


def test_our_train_step_obeys_with_keys_and_model_state():
    def noisy(params, batch, key):
        return quadratic(params, batch) + 0.1 * jax.random.normal(key)

    verify_train_step(
        lambda learning_rate, l2: jf.train_step(
            noisy, jf.chain(jf.l2_decay(l2), jf.adam(learning_rate))
        ),
        {"learning_rate": (0.1, 0.01), "l2": (0.0, 0.1)},
        **STEP,
        key=jax.random.key(0),
    )

    def with_state(params, model_state, batch):
        return quadratic(params, batch), {"seen": model_state["seen"] + 1}

    verify_train_step(
        lambda rate: jf.train_step(with_state, jf.sgd(rate), model_state=True),
        {"rate": (0.1, 0.01)},
        **STEP,
        model_state={"seen": jnp.int32(0)},
    )


def pair(update):
    return jf.TrainStep(lambda params: {"params": params, "t": jnp.int32(0)}, update)


def gradient_step(state, batch, rate):
    grads = jax.grad(quadratic)(state["params"], batch)
    return {
        "params": jax.tree.map(lambda p, g: p - rate * g, state["params"], grads),
        "t": state["t"],
    }


@pytest.mark.parametrize(
    ("update", "law", "message"),
    [
        (
            lambda s, b, r: (gradient_step(s, b, r), {"loss": jnp.ones(2)}),
            "metrics",
            r"metric loss .* got shape \(2,\)",
        ),
        (lambda s, b, r: ({**s, "t": s["t"] + 0.5}, {}), "state", "law 'state' is broken"),
        (
            lambda s, b, r: (gradient_step(s, b, r) if r > 0 else s, {}),
            "traced",
            "Number rate = (.|\n)*Tracer",
        ),
    ],
)
def test_a_broken_train_step_is_reported(update, law, message):
    with pytest.raises(LawError, match=message):
        verify_train_step(
            lambda rate: pair(lambda state, batch: update(state, batch, rate)),
            {"rate": (0.1, 0.01)},
            laws=[law],
            **STEP,
        )


def test_equal_nans_are_no_agreement():
    """NaN equals NaN for chex, which alone would let the law hold."""
    with pytest.raises(LawError, match=r"law 'steps' is broken(.|\n)*must be finite"):
        verify_schedule(lambda: lambda t: jnp.full(jnp.shape(t), jnp.nan))
    with pytest.raises(LawError, match=r"Number rate = 0.5:\nthe result must be finite"):
        verify_transform(
            lambda rate: jf.scale(jnp.where(rate > 0.3, jnp.nan, rate)), RATE, laws=["traced"]
        )
    with pytest.raises(LawError, match="must be finite"):
        verify_train_step(
            lambda rate: jf.train_step(quadratic, jf.scale(rate)), {"rate": (1e30, 2e30)}, **STEP
        )


def test_updates_of_another_shape_are_reported():
    means = lambda rate: elementwise(lambda g: (rate * jnp.mean(g)).astype(g.dtype))  # noqa: E731
    with pytest.raises(LawError, match="shape"):
        verify_transform(means, RATE, laws=["dtype"])


def test_late_steps_count_in_the_gradient():
    @jax.custom_jvp
    def wrong_after_500(value, t):
        return value * jnp.ones_like(t)

    @wrong_after_500.defjvp
    def _jvp(primals, tangents):
        value, t = primals
        return wrong_after_500(value, t), tangents[0] * jnp.where(t > 500, 5, 1).astype(t.dtype)

    def factory(value):
        return lambda t: wrong_after_500(
            jnp.asarray(value), jnp.asarray(t, jnp.result_type(value, float(0)))
        )

    with pytest.raises(LawError, match="law 'gradient' is broken"):
        verify_schedule(factory, {"value": (1.0, 2.0)}, steps=range(1000), laws=["gradient"])


def test_a_state_that_differs_when_traced_is_reported():
    def factory(rate):
        def update(state, batch):
            hidden = state["t"] + (1 if isinstance(rate, float) else 2)
            return {**gradient_step(state, batch, rate), "t": hidden}, {}

        return pair(update)

    with pytest.raises(LawError, match="law 'traced' is broken"):
        verify_train_step(factory, {"rate": (0.1, 0.01)}, laws=["traced"], **STEP)


def test_the_user_s_own_trace_counts_are_left_alone():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def own(x):
        return x

    own(jnp.ones(2))
    verify_transform(jf.scale, {"step_size": (1.0, 2.0)}, laws=["traced"])
    with pytest.raises(AssertionError, match="traced > 1 times"):
        own(jnp.ones(3))


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match=r"factory must be a function of the numbers, got Gradient"):
        verify_transform(jf.sgd(0.1))
    with pytest.raises(TypeError, match=r"factory must take the numbers \['speed'\] by name"):
        verify_transform(jf.sgd, {"speed": (0.1, 0.2)})
    with pytest.raises(
        TypeError, match="what factory returns must be a gradient transformation, got 3"
    ):
        verify_transform(lambda: 3)
    with pytest.raises(TypeError, match=r"numbers must be a dict .*, got \['learning_rate'\]"):
        verify_transform(jf.sgd, ["learning_rate"])
    with pytest.raises(TypeError, match="laws must be a list of names, got laws='dtype'"):
        verify_transform(jf.sgd, {"learning_rate": (0.1, 0.2)}, laws="dtype")
    with pytest.raises(ValueError, match=r"laws must be some of .*, got none"):
        verify_transform(jf.sgd, {"learning_rate": (0.1, 0.2)}, laws=[])
    with pytest.raises(
        ValueError, match=r"values of a number must differ, got learning_rate=\(0.1, 0.1\)"
    ):
        verify_transform(jf.sgd, {"learning_rate": (0.1, 0.1)})
    with pytest.raises(TypeError, match=r"parameters must be floating, got dtype int32 at \['n'\]"):
        verify_transform(jf.sgd, {"learning_rate": (0.1, 0.2)}, params={"n": jnp.arange(3)})
    with pytest.raises(
        ValueError, match=r"verify_transform: laws must be among \['dtype', .*, got 'speed'"
    ):
        verify_transform(jf.sgd, {"learning_rate": (0.1, 0.2)}, laws=["speed"])
    with pytest.raises(
        TypeError, match=r"each number must have two valid values, got learning_rate=0\.1"
    ):
        verify_transform(jf.sgd, {"learning_rate": 0.1})


def test_every_law_has_a_text():
    for laws in (TRANSFORM_LAWS, SCHEDULE_LAWS, TRAIN_STEP_LAWS):
        assert all(law.__doc__ for law in laws.values())


def test_transforms_of_optax_obey_most_laws():
    """The laws are not made for our own code alone."""
    verify_transform(
        optax.ema,
        {"decay": (0.9, 0.5)},
        laws=["traced", "gradient", "state", "pure", "x64"],
        rtol=1e-4,
    )
    verify_transform(
        optax.sgd,
        {"learning_rate": (0.1, 0.01)},
        laws=["traced", "gradient", "zero", "empty", "pure"],
    )
    with pytest.raises(LawError, match="law 'dtype' is broken"):
        verify_transform(lambda b1: optax.adam(0.1, b1), {"b1": (0.9, 0.5)}, laws=["dtype"])
