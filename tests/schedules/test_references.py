"""Every step of a hundred, and the boundaries, against float64 references."""

import numpy as np
import pytest
import references as r

import jefficient as jf

SCHEDULES = {
    "constant": (jf.constant_schedule(0.3), lambda t: 0.3),
    "exponential": (jf.exponential_decay(0.5, 7, 0.9, 5), lambda t: r.exponential_decay(t, 0.5, 7, 0.9, 5)),
    "exponential_staircase": (
        jf.exponential_decay(0.5, 7, 0.9, 5, staircase=True, end_value=0.2),
        lambda t: r.exponential_decay(t, 0.5, 7, 0.9, 5, True, 0.2),
    ),
    "exponential_growing": (
        jf.exponential_decay(0.5, 7, 1.1, end_value=0.8),
        lambda t: r.exponential_decay(t, 0.5, 7, 1.1, end=0.8),
    ),
    "inverse_time": (jf.inverse_time_decay(0.5, 7, 0.9, 5), lambda t: r.inverse_time_decay(t, 0.5, 7, 0.9, 5)),
    "inverse_time_staircase": (
        jf.inverse_time_decay(0.5, 7, 0.9, 5, staircase=True, end_value=0.1),
        lambda t: r.inverse_time_decay(t, 0.5, 7, 0.9, 5, True, 0.1),
    ),
    "cosine": (jf.cosine_decay_schedule(0.5, 90), lambda t: r.cosine_decay(t, 0.5, 90)),
    "cosine_floor": (jf.cosine_decay_schedule(0.5, 90, 0.1, 2.0), lambda t: r.cosine_decay(t, 0.5, 90, 0.1, 2.0)),
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


def test_a_length_beyond_int32_is_a_length():
    assert float(jf.cosine_decay_schedule(1.0, 10**12)(5)) == 1.0


def test_warmup_must_be_shorter_than_the_whole():
    with pytest.raises(
        jf.JefficientError, match="warmup_steps < decay_steps must hold, got warmup_steps=5, decay_steps=5"
    ):
        jf.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5)


def test_structure_cannot_be_a_number():
    with pytest.raises(TypeError, match="staircase must be True or False"):
        jf.exponential_decay(1.0, 5, 0.5, staircase=0.5)
