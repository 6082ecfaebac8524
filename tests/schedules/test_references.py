"""Every step of a hundred, and the boundaries, against float64 references."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references as r

import jefficient as jf

SCHEDULES = {
    "constant": (jf.constant_schedule(0.3), lambda t: 0.3),
    "exponential": (
        jf.exponential_decay(0.5, 7, 0.9, 5),
        lambda t: r.exponential_decay(t, 0.5, 7, 0.9, 5),
    ),
    "exponential_staircase": (
        jf.exponential_decay(0.5, 7, 0.9, 5, staircase=True, end_value=0.2),
        lambda t: r.exponential_decay(t, 0.5, 7, 0.9, 5, True, 0.2),
    ),
    "exponential_growing": (
        jf.exponential_decay(0.5, 7, 1.1, end_value=0.8),
        lambda t: r.exponential_decay(t, 0.5, 7, 1.1, end=0.8),
    ),
    "inverse_time": (
        jf.inverse_time_decay(0.5, 7, 0.9, 5),
        lambda t: r.inverse_time_decay(t, 0.5, 7, 0.9, 5),
    ),
    "inverse_time_staircase": (
        jf.inverse_time_decay(0.5, 7, 0.9, 5, staircase=True, end_value=0.1),
        lambda t: r.inverse_time_decay(t, 0.5, 7, 0.9, 5, True, 0.1),
    ),
    "cosine": (jf.cosine_decay_schedule(0.5, 90), lambda t: r.cosine_decay(t, 0.5, 90)),
    "cosine_floor": (
        jf.cosine_decay_schedule(0.5, 90, 0.1, 2.0),
        lambda t: r.cosine_decay(t, 0.5, 90, 0.1, 2.0),
    ),
    "warmup_cosine": (
        jf.warmup_cosine_decay_schedule(0.01, 1.0, 10, 90, 0.001),
        lambda t: r.warmup_cosine_decay(t, 0.01, 1.0, 10, 90, 0.001),
    ),
    "warmup_cosine_without_warmup": (
        jf.warmup_cosine_decay_schedule(0.0, 1.0, 0, 90),
        lambda t: r.warmup_cosine_decay(t, 0.0, 1.0, 0, 90),
    ),
    "warmup_cosine_from_zero_peak": (
        jf.warmup_cosine_decay_schedule(0.0, 0.0, 10, 90, 0.1),
        lambda t: r.warmup_cosine_decay(t, 0.0, 0.0, 10, 90, 0.1),
    ),
    "polynomial": (
        jf.polynomial_schedule(0.5, 0.02, 2.5, 60, 7),
        lambda t: r.polynomial(t, 0.5, 0.02, 2.5, 60, 7),
    ),
    "linear": (jf.linear_schedule(0.5, 0.0, 60, 7), lambda t: r.polynomial(t, 0.5, 0.0, 1, 60, 7)),
    "piecewise": (
        jf.piecewise_constant_schedule(0.5, {10: 0.3, 40: 2.0}),
        lambda t: r.piecewise_constant(t, 0.5, (10, 40), (0.3, 2.0)),
    ),
    "piecewise_arrays": (
        jf.piecewise_constant_schedule(0.5, (np.array([10, 40]), np.array([0.3, 2.0]))),
        lambda t: r.piecewise_constant(t, 0.5, (10, 40), (0.3, 2.0)),
    ),
    "piecewise_none": (jf.piecewise_constant_schedule(0.5), lambda t: 0.5),
    "warmup_constant": (
        jf.warmup_constant_schedule(0.1, 1.0, 30),
        lambda t: r.warmup_constant(t, 0.1, 1.0, 30),
    ),
    "warmup_stable_decay": (
        jf.warmup_stable_decay_schedule(0.1, 1.0, 20, 30, 40, 0.01),
        lambda t: r.warmup_stable_decay(t, 0.1, 1.0, 20, 30, 40, 0.01),
    ),
    "warmup_stable_decay_root": (
        jf.warmup_stable_decay_schedule(0.0, 1.0, 20, 30, 40, power=0.5),
        lambda t: r.warmup_stable_decay(t, 0.0, 1.0, 20, 30, 40, power=0.5),
    ),
    "onecycle": (
        jf.cosine_onecycle_schedule(83, 2.0, 0.35, 20.0, 100.0),
        lambda t: r.cosine_onecycle(t, 83, 2.0, 0.35, 20.0, 100.0),
    ),
    "sgdr": (
        jf.sgdr_schedule(
            [
                {
                    "init_value": 0.1,
                    "peak_value": 1.0,
                    "warmup_steps": 5,
                    "decay_steps": 30,
                    "end_value": 0.05,
                },
                {"init_value": 0.0, "peak_value": 0.5, "warmup_steps": 0, "decay_steps": 20},
                {
                    "init_value": 0.2,
                    "peak_value": 0.7,
                    "warmup_steps": 9,
                    "decay_steps": 45,
                    "end_value": 0.1,
                },
            ]
        ),
        lambda t: r.sgdr(t, [(0.1, 1.0, 5, 30, 0.05), (0.0, 0.5, 0, 20), (0.2, 0.7, 9, 45, 0.1)]),
    ),
    "interpolated": (
        jf.interpolated_schedule([3, 10, 11, 60, 80], [1e-4, 0.5, 0.2, 0.2, 1e-3]),
        lambda t: r.interpolated(t, [3, 10, 11, 60, 80], [1e-4, 0.5, 0.2, 0.2, 1e-3]),
    ),
    "interpolated_linear": (
        jf.interpolated_schedule(np.array([0.5, 20.25, 99]), np.array([-1.0, 0.0, 3.0]), log=False),
        lambda t: r.interpolated(t, [0.5, 20.25, 99], [-1.0, 0.0, 3.0], log=False),
    ),
    "interpolated_two": (
        jf.interpolated_schedule((0, 50), (0.1, 0.001)),
        lambda t: r.interpolated(t, [0, 50], [0.1, 0.001]),
    ),
    "rsqrt": (jf.rsqrt_schedule(0.5, 12), lambda t: r.rsqrt(t, 0.5, 12)),
    "join": (
        jf.join_schedules(
            [
                jf.linear_schedule(0.0, 0.5, 12),
                jf.rsqrt_schedule(0.5, 12),
                jf.constant_schedule(0.01),
            ],
            [12, 70],
        ),
        lambda t: (
            r.warmup_constant(t, 0.0, 0.5, 12)
            if t < 12
            else r.rsqrt(t - 12, 0.5, 12)
            if t < 70
            else 0.01
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_step(name):
    schedule, reference = SCHEDULES[name]
    steps = np.arange(100)
    np.testing.assert_allclose(schedule(steps), [reference(t) for t in steps], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("length", [7, 1000, 2**24 + 1, 2**31 - 2])
def test_boundaries_are_exact(length):
    """At t-1, t, t+1 of each boundary, where float32 can no longer count."""
    t = np.array([length - 1, length, length + 1], np.int64).astype(np.int32)
    stairs = jf.exponential_decay(1.0, length, 0.5, staircase=True)
    assert stairs(t).tolist() == [1.0, 0.5, 0.5]
    assert stairs(np.int32(2**31 - 1)) == 0.5 ** ((2**31 - 1) // length)
    late = jf.inverse_time_decay(1.0, 1, 1.0, transition_begin=length)
    assert late(t).tolist() == [1.0, 1.0, 0.5]
    cosine = np.asarray(jf.cosine_decay_schedule(1.0, length)(t))
    assert cosine[0] > 0
    assert cosine[1:].tolist() == [0.0, 0.0]
    warmup = np.asarray(jf.warmup_cosine_decay_schedule(0.0, 1.0, length - 1, length)(t))
    assert warmup.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("length", [7, 1000, 2**24 + 1, 2**31 - 2])
def test_a_curve_is_exact_at_its_knots(length):
    """Traced knots, too, and an array of values."""
    t = np.array([0, 2, length - 1, length, length + 1], np.int64).astype(np.int32)

    def at(knots, values):
        return jf.interpolated_schedule(knots, values, log=length != 7)(t)

    values = jnp.array([0.3, 0.1, 7e-4])
    expected = r.interpolated(t.astype(float), [0, 2, length], values, length != 7)
    for got in (at([0, 2, length], values), jax.jit(at)(jnp.array([0, 2, length]), values)):
        assert got[:2].tolist() == values[:2].tolist()
        assert got[3:].tolist() == [values[2]] * 2
        np.testing.assert_allclose(got, expected, rtol=1e-5)
        assert length > 2**16 or got[2] != values[2]


def test_a_curve_has_the_gradients_of_its_knots_and_values():
    """Against central differences of NumPy, within segments and beyond the ends."""
    knots, values = np.array([2.0, 8.0, 20.0]), np.array([0.1, 0.5, 0.02])
    steps = np.array([0.5, 4.5, 11.0, 30.0])
    with jax.enable_x64(True):
        given = jnp.asarray(knots), jnp.asarray(values)
        at = jnp.asarray(steps)
        jacobians = jax.jacobian(lambda *x: jf.interpolated_schedule(*x)(at), (0, 1))(*given)
    for which, jacobian in enumerate(jacobians):
        for i in range(3):
            shift = 1e-6 * np.eye(3)[i]
            ends = [
                r.interpolated(
                    steps,
                    *(
                        (x + sign * shift) if j == which else x
                        for j, x in enumerate((knots, values))
                    ),
                )
                for sign in (1, -1)
            ]
            np.testing.assert_allclose(jacobian[:, i], (ends[0] - ends[1]) / 2e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("knots", "values", "error", "match"),
    [
        ([0, 5], [0.1], ValueError, "equally many, and two at least, got 2 and 1"),
        ([5], [0.1], ValueError, "equally many, and two at least, got 1 and 1"),
        (jnp.arange(3), jnp.ones(2), ValueError, "got 3 and 2"),
        ([0, 5, 5], [0.1] * 3, ValueError, "knots must increase, got 5 after 5"),
        ([0, 5], [0.1, 0.0], ValueError, "0 < values < inf must hold, got values=0.0"),
        (np.array([0, -5]), np.ones(2), ValueError, "0 <= knots < inf must hold, got knots=-5"),
        (
            np.ones((2, 2)),
            np.ones(2),
            ValueError,
            r"knots must have shape \(k,\), got shape \(2, 2\)",
        ),
        ([0, 5], 0.1, TypeError, "values must be a sequence of numbers, got values=0.1"),
    ],
)
def test_what_is_no_curve_is_refused(knots, values, error, match):
    with pytest.raises(error, match=match) as raised:
        jf.interpolated_schedule(knots, values)
    assert isinstance(raised.value, jf.JefficientError)


@pytest.mark.parametrize("b", [7, 1000, 2**24 + 1, 2**31 - 2])
@pytest.mark.parametrize("traced", [False, True])
def test_jumps_and_ends_are_at_their_step(b, traced):
    """At b-1, b, b+1 of each boundary; near 2³¹ float32 counts in steps of 128."""
    t = np.array([b - 1, b, b + 1], np.int64).astype(np.int32)

    def values(make):
        return (jax.jit(lambda n: make(n)(t))(jnp.int32(b)) if traced else make(b)(t)).tolist()

    assert values(lambda n: jf.piecewise_constant_schedule(1.0, ([n], [0.5]))) == [1.0, 0.5, 0.5]
    one, two = jf.constant_schedule(1.0), jf.constant_schedule(2.0)
    assert values(lambda n: jf.join_schedules([one, two], [n])) == [1.0, 2.0, 2.0]
    counted = jf.linear_schedule(0.0, 4.0, 4)  # each counts from its own beginning
    assert values(lambda n: jf.join_schedules([one, counted], [n])) == [1.0, 0.0, 1.0]

    down = values(lambda n: jf.linear_schedule(1.0, 0.0, n))
    assert down[0] > 0
    assert down[1:] == [0.0, 0.0]
    late = values(lambda n: jf.linear_schedule(1.0, 0.0, 4, transition_begin=n))
    assert late == [1.0, 1.0, 0.75]
    curve = values(lambda n: jf.polynomial_schedule(1.0, 0.25, 2.0, n))
    assert curve[0] >= 0.25
    assert curve[1:] == [0.25, 0.25]
    warm = values(lambda n: jf.warmup_constant_schedule(0.5, 0.1, n))
    assert warm[0] >= np.float32(0.1)
    assert warm[1:] == [np.float32(0.1)] * 2
    stable = values(lambda n: jf.warmup_stable_decay_schedule(0.0, 0.7, n, 1, 4))
    assert stable[1:] == [np.float32(0.7)] * 2
    decayed = values(lambda n: jf.warmup_stable_decay_schedule(0.0, 0.7, 0, 0, n, 0.2))
    assert decayed[0] >= np.float32(0.2)
    assert decayed[1:] == [np.float32(0.2)] * 2
    cycle = {"init_value": 0.25, "peak_value": 1.0, "warmup_steps": 1}
    restart = values(
        lambda n: jf.sgdr_schedule([cycle | {"decay_steps": n}, cycle | {"decay_steps": 9}])
    )
    assert restart[1:] == [0.25, 1.0]
    onecycle = values(lambda n: jf.cosine_onecycle_schedule(n, 0.3, 0.5, 4.0, 16.0))
    assert onecycle[0] >= onecycle[1]
    assert onecycle[1:] == [np.float32(0.3) / 64] * 2


def test_the_peak_of_onecycle_is_at_its_step():
    schedule = jf.cosine_onecycle_schedule(100, 0.3, 0.3)
    values = np.asarray(schedule(np.arange(101)))
    assert values.argmax() == 30
    assert values[30] == np.float32(0.3)
    assert values[0] == np.float32(0.3) / 25


@pytest.mark.parametrize("length", [100, 200, 1000, 5000])
def test_the_top_of_onecycle_is_at_the_step_that_was_meant(length):
    """In float32 0.53 · 100 is 52.999996, and in float64 0.29 · 100 is 28.999999999999996."""
    percents = np.arange(1, 100)
    tops = percents * length // 100  # in integers

    def around(share, top):
        return jf.cosine_onecycle_schedule(length, 1.0, share)(top + jnp.array([-1, 0, 1]))

    traced = jax.jit(jax.vmap(around))(jnp.float32(percents / 100), jnp.int32(tops))
    static = jnp.stack(
        [around(percent / 100, top) for percent, top in zip(percents, tops, strict=True)]
    )
    for values in (traced, static):
        assert (values[:, 1] == 1).all()
        assert (values.argmax(axis=1) == 1).all()


def test_boundaries_and_scales_may_be_traced_arrays():
    boundaries, scales = jnp.array([[10, 40], [20, 21]]), jnp.array([[0.3, 2.0], [0.5, 0.0]])
    steps = jnp.arange(60)

    def jumps(boundaries, scales):
        return jf.piecewise_constant_schedule(0.5, (boundaries, scales))(steps)

    def pieces(boundaries, scales):
        constants = [jf.constant_schedule(1.0), *(jf.constant_schedule(scale) for scale in scales)]
        return jf.join_schedules(constants, boundaries)(steps)

    for made, start, combined in ((jumps, 0.5, np.multiply), (pieces, 1.0, lambda _, scale: scale)):
        lanes = jax.jit(jax.vmap(made))(boundaries, scales)
        for lane, b, f in zip(lanes, np.asarray(boundaries), np.asarray(scales), strict=True):
            second = combined(start, f[0])
            expected = np.repeat(
                np.float32([start, second, combined(second, f[1])]), np.diff([0, *b, 60])
            )
            np.testing.assert_allclose(lane, expected, rtol=1e-6)


def test_steps_and_boundaries_at_the_largest_count():
    last = np.int32(2**31 - 1)
    assert jf.rsqrt_schedule(1.0, 2**31 - 1)(last) == pytest.approx(0.5**0.5, rel=1e-6)
    assert jf.warmup_stable_decay_schedule(0.0, 1.0, 2**30, 2**30 - 9, 8)(last) == 0
    assert jf.warmup_cosine_decay_schedule(0.0, 1.0, 10, 2**31 - 1)(last) == 0


def test_branches_that_are_not_taken_do_not_overflow():
    """The value is right either way; a NaN would come in by the gradient."""

    def joined(value, rate):
        growing = jf.exponential_decay(value, 1, rate)
        return jf.join_schedules([growing, jf.constant_schedule(1.0)], [10])(jnp.int32(200))

    def stopped(value, rate):
        return jf.exponential_decay(value, 1, rate, end_value=1.0)(jnp.int32(200))

    for schedule in (joined, stopped):
        value, slopes = jax.value_and_grad(schedule, (0, 1))(1e-3, 2.0)
        assert value == 1
        assert slopes == (0, 0)


@pytest.mark.parametrize(
    "step", [np.int64(3_000_000_000), np.uint32(3_000_000_000), jnp.uint32(3_000_000_000)]
)
def test_steps_that_int32_does_not_hold_are_late_not_early(step):
    assert jf.linear_schedule(1.0, 0.0, 10)(step) == 0
    with jax.enable_x64(True):
        assert jf.linear_schedule(1.0, 0.0, 10)(jnp.int64(3_000_000_000)) == 0


def test_a_length_beyond_int32_is_a_length():
    assert float(jf.cosine_decay_schedule(1.0, 10**12)(5)) == 1.0


def test_warmup_must_be_shorter_than_the_whole():
    with pytest.raises(
        jf.JefficientError,
        match="warmup_steps < decay_steps must hold, got warmup_steps=5, decay_steps=5",
    ):
        jf.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5)


def test_structure_cannot_be_a_number():
    with pytest.raises(TypeError, match="staircase must be True or False"):
        jf.exponential_decay(1.0, 5, 0.5, staircase=0.5)


def test_what_pieces_are_not_given():
    one = jf.constant_schedule(1.0)
    with pytest.raises(
        ValueError, match="must be one boundary between two schedules, got 2 schedules and 0"
    ):
        jf.join_schedules([one, one], [])
    with pytest.raises(ValueError, match="boundaries must increase, got 5 after 5"):
        jf.join_schedules([one, one, one], [5, 5])
    with pytest.raises(TypeError, match=r"every schedule must be a function of the step, got 0\.1"):
        jf.join_schedules([one, 0.1], [5])
    with pytest.raises(ValueError, match="boundaries and scales must be equally many, got 2 and 1"):
        jf.piecewise_constant_schedule(1.0, ([1, 2], [0.5]))
    with pytest.raises(
        TypeError, match=r"must be a dict or a pair \(boundaries, scales\), got 0\.5"
    ):
        jf.piecewise_constant_schedule(1.0, 0.5)
    with pytest.raises(ValueError, match=r"boundaries must have shape \(k,\), got shape \(\)"):
        jf.piecewise_constant_schedule(1.0, (np.array(3), np.array([0.5])))
    with pytest.raises(
        ValueError, match=r"sgdr_schedule: every cycle must have \['decay_steps', 'warmup_steps'\]"
    ):
        jf.sgdr_schedule([{"init_value": 0.0, "peak_value": 1.0}])
    with pytest.raises(
        ValueError, match=r"exponential_decay: 0 < decay_rate < inf must hold, got decay_rate=inf"
    ):
        jf.exponential_decay(1.0, 10, float("inf"))
    with pytest.raises(ValueError, match="there must be at least one cycle"):
        jf.sgdr_schedule([])
    with pytest.raises(
        ValueError, match=r"jf.linear_schedule: 0 < transition_steps < inf must hold, got .*=0"
    ):
        jf.linear_schedule(1.0, 0.0, 0)


def test_schedules_of_optax_are_joined_with_ours():
    theirs = optax.join_schedules(
        [optax.linear_schedule(0.0, 1.0, 10), optax.cosine_decay_schedule(1.0, 20)], [10]
    )
    ours = jf.join_schedules(
        [optax.linear_schedule(0.0, 1.0, 10), jf.cosine_decay_schedule(1.0, 20)], [10]
    )
    with jax.numpy_dtype_promotion("standard"):
        for t in range(40):
            assert float(ours(t)) == pytest.approx(float(theirs(t)), abs=1e-6)
