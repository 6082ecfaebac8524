"""Stopping rules simulated on recorded curves: as the engine decides, and as counted by hand."""

import dataclasses
import math

import numpy as np
import pytest
from sweeps.planted import RULES, check_like_engine, compare, planted, random_table

import jefficient as jf


@pytest.mark.parametrize("numbers", [range(4), range(4, 8), range(8, 12)])
def test_every_trial_is_as_in_the_engine(numbers):
    """Blocks hold parts of configurations; the tests of rules compare folds and batch sizes."""
    assert any((compare(number).status == "stopped").any() for number in numbers)


def test_blocks_are_as_wide_as_a_rule_needs():
    """A lane by itself becomes two, since configurations have two trials."""
    table = random_table(np.random.default_rng(5))
    one_lane = {"width": 1, "blocks": 1}
    whole = planted(table, **one_lane)
    assert whole.dataset["block_width"].values.tolist() == [1] * 14
    check_like_engine(RULES[0], whole, planted(table, stop=RULES[0], **one_lane))


@pytest.fixture(scope="module")
def whole():
    return planted(random_table(np.random.default_rng(1)))


CURVES = np.array([[0.9, 0.5, 0.1], [0.8, 0.6, 0.4], [0.7, 0.7, 0.7]])


def test_halving_of_an_array_by_hand():
    """At the first evaluation the worst two of three stop; the one that goes on is flat."""
    found = jf.simulate(jf.successive_halving(3, min_steps=1), CURVES)
    assert (found.stopped, found.best) == ((0, 1), 2)
    assert found.cost == 5 / 9
    np.testing.assert_allclose(found.regret, 0.6, rtol=1e-6)
    assert found.steps_taken.ravel().tolist() == [1, 1, 3]
    assert found.status.ravel().tolist() == ["stopped", "stopped", "finished"]


def test_where_one_lane_trains_them_in_turn_the_first_is_the_best_so_far():
    found = jf.simulate(jf.successive_halving(3, min_steps=1), CURVES, lanes=1)
    assert found.stopped == ()  # each is better at the rung than those before it
    assert (found.cost, found.regret, found.utilization) == (1.0, 0.0, 1.0)


def test_steps_epochs_and_direction_of_an_array():
    """A rung at epoch 2, of 10 updates each: the second evaluation, after 20 or 25 updates."""
    steps = [[10, 20, 40], [5, 25, 40], [10, 20, 40]]
    rule = jf.successive_halving(3, min_epochs=2)
    found = jf.simulate(rule, -CURVES, steps=steps, steps_per_epoch=10.0, mode="max")
    assert found.stopped == (1, 2)
    assert found.cost == (40 + 25 + 20) / 120
    assert (found.best, found.regret) == (0, 0.0)


def test_what_diverges_is_stopped_by_nothing_and_is_never_the_best():
    curves = np.array([[0.5, np.nan, np.nan], [0.4, 0.3, 0.2], [0.6, 0.7, 0.9]])
    found = jf.simulate(jf.patience(evaluations=1), curves)
    assert found.status.ravel().tolist() == ["diverged", "finished", "stopped"]
    assert (found.best, found.regret) == (1, 0.0)
    assert found.cost == (2 + 3 + 2) / (2 + 3 + 3)


def test_where_nothing_finishes_there_is_no_regret():
    found = jf.simulate(jf.patience(evaluations=1), np.array([[1.0, 2.0, 0.5], [1.0, 1.0, 0.7]]))
    assert (found.best, math.isnan(found.regret), found.stopped) == (None, True, (0, 1))


def test_a_result_that_cannot_tell_is_refused(whole):
    rule = RULES[0]

    def refused(match, result, the_rule=rule, **arguments):
        with pytest.raises(jf.ArgumentError, match=f"jf.simulate: {match}"):
            jf.simulate(the_rule, result, **arguments)

    def with_attributes(**attributes):
        return dataclasses.replace(whole, dataset=whole.dataset.assign_attrs(attributes))

    status = whole.dataset["status"].copy()
    status[2, 0, 0] = "stopped"
    cut = dataclasses.replace(whole, dataset=whole.dataset.assign(status=status))
    refused("every trial .* must have finished or diverged, got trials that are stopped", cut)
    lost = xr_full(whole, "diverged")
    refused("a configuration must have finished in all its trials, got none such of 14", lost)
    one = dataclasses.replace(whole, dataset=whole.dataset.isel(evaluation=[0]))
    refused("curves must have two or more evaluations.* got 1", one)
    refused("a rule that counts in epochs", whole, jf.successive_halving(2, min_epochs=1))
    refused("steps goes with an array of curves, got steps=3 with a result", whole, steps=3)

    plan = whole.dataset.attrs["plan"]
    order = "a result must tell in which order its evaluations are observed, got one"
    refused(f"{order} joined", with_attributes(plan=f"[{plan}, {plan}]"))
    refused(f"{order} of 3 parts", with_attributes(parts=3))
    refused(f"{order} a search's", with_attributes(proposal_batches=2))
    streamed = plan.replace('"in_step": null', '"in_step": 4')
    refused(f"{order} of data that were read during", with_attributes(plan=streamed))
    refused(f"{order} without a plan", with_attributes(plan="null"))
    halved = whole.dataset["block_width"].copy()
    halved[0] = 1
    narrow = dataclasses.replace(whole, dataset=whole.dataset.assign_coords(block_width=halved))
    refused("a result must tell how wide its blocks are, got widths \\[1, \\d\\]", narrow)
    labels = dataclasses.replace(
        whole, dataset=whole.dataset.assign_coords(kind=("config", ["a"] * 14))
    )
    refused("a result must tell which configurations shared a program", labels)


def xr_full(whole, text):
    status = whole.dataset["status"].copy()
    status[:] = text
    return dataclasses.replace(whole, dataset=whole.dataset.assign(status=status))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"curves": np.zeros(3)}, r"curves must have the shape \(configs, evaluations\), got"),
        ({"curves": np.zeros((0, 3))}, r"got shape \(0, 3\)"),
        ({"curves": [["a", "b"]]}, "curves must be a jf.Result or an array of numbers, got list"),
        ({"curves": np.zeros((3, 1))}, "two or more evaluations.*, got 1"),
        ({"curves": [[1, math.nan, 2]]}, "stay so, got numbers after what is not finite in config"),
        ({"steps": [1, 2]}, r"steps must be whole numbers of shape \(3,\) or \(3, 3\), got int64"),
        ({"steps": [1.0, 2.0, 3.0]}, "steps must be whole numbers"),
        ({"steps": [0, 1, 2]}, r"steps must rise from 1 or more, got steps=\[0, 1, 2\]"),
        ({"steps_per_epoch": 0}, "0 < steps_per_epoch < inf must hold, got steps_per_epoch=0"),
        ({"mode": "low"}, "mode must be one of"),
        ({"lanes": 0}, "lanes >= 1 must hold, got lanes=0"),
        ({"stop": "halving"}, "stop must be a jf.StopRule, got stop='halving'"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(jf.JefficientError, match=f"jf.simulate: .*{message}"):
        jf.simulate(**{"stop": RULES[0], "curves": CURVES, **arguments})
