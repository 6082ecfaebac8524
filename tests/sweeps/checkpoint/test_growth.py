"""A sweep in a directory grows: seeds, updates; what was trained is not trained again."""

import math

import chex
import numpy as np
import pytest
from sweeps import tiny

import jefficient as jf

SPACE = jf.grid(learning_rate=np.geomspace(1e-3, 0.3, 4).tolist())
LONGER = {"batch_size": 8, "eval_every": 4, "seeds": 2, "keep_configs": 9, "keep_states": "last"}


def lengthened(path, steps=None, optimizer=jf.adam, space=SPACE, the_task=None, **changes):
    """Of a sweep in blocks of two lanes."""
    task = tiny.task(validation=0.2) if the_task is None else the_task
    settings = {**LONGER, "steps": steps, "directory": path, **changes}
    with tiny.lanes(2):
        return tiny.sweep(task, space, optimizer, **settings)


def test_seeds_are_added_and_no_trial_is_trained_again(tmp_path):
    """Bit for bit those of a sweep that had them from the start, at the same width."""
    space = jf.grid(learning_rate=np.geomspace(1e-3, 0.3, 4).tolist())
    settings = {"steps": 12, "batch_size": 8, "keep_configs": 4}
    seen = []
    with tiny.lanes(width=2, blocks=1):
        whole = tiny.sweep(tiny.task(validation=0.2), space, seeds=3, **settings)
        first = tiny.sweep(
            tiny.task(validation=0.2), space, seeds=1, directory=tmp_path / "s", **settings
        )
        grown = tiny.sweep(
            tiny.task(validation=0.2),
            space,
            seeds=3,
            directory=tmp_path / "s",
            progress=seen.append,
            **settings,
        )
    assert seen[0].trials_done >= 4
    for name in ("valid_loss", "train_loss", "status", "steps_taken"):
        np.testing.assert_array_equal(grown.dataset[name], whole.dataset[name], err_msg=name)
        np.testing.assert_array_equal(grown.dataset[name][:, :1], first.dataset[name])
    np.testing.assert_array_equal(  # not trained again: their times are those of the first call
        grown.dataset["seconds"][:, :1], first.dataset["seconds"]
    )
    assert grown.weights.keys() == whole.weights.keys()
    for trial, params in whole.weights.items():
        np.testing.assert_array_equal(grown.weights[trial], params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "seeds was 2, is 1"),
        ({"seeds": 3, "stop": jf.successive_halving(min_steps=2)}, "none can be added under stop="),
    ],
)
def test_what_cannot_grow_is_refused_by_name(tmp_path, changes, message):
    space = jf.grid(learning_rate=[0.1, 0.2])
    settings = {"steps": 6, "batch_size": 8, "seeds": 2, "directory": tmp_path / "s"}
    settings |= {"stop": changes["stop"]} if "stop" in changes else {}
    tiny.sweep(tiny.task(validation=0.2), space, **settings)
    with pytest.raises(jf.JefficientError, match=message):
        tiny.sweep(tiny.task(validation=0.2), space, **{**settings, **changes})


@pytest.mark.parametrize("changes", [{}, {"keep": "best", "select": "best"}])
def test_trials_that_had_finished_train_on(tmp_path, changes):
    """Bit for bit those of a sweep that was as long from the start, at the same width."""
    path = tmp_path / "s"
    seen = []
    whole = lengthened(None, 16, **changes)
    first = lengthened(path, 8, **changes)
    longer = lengthened(path, 16, progress=seen.append, **changes)
    assert seen[0].steps_done == first.dataset["steps_taken"].sum()
    assert seen[-1].steps_done == seen[-1].steps == whole.dataset["steps_taken"].sum()
    for name in ("valid_loss", "train_loss", "status", "steps_taken", "started_at", "step"):
        np.testing.assert_array_equal(longer.dataset[name], whole.dataset[name], err_msg=name)
    np.testing.assert_array_equal(longer.dataset["seconds"][..., :2], first.dataset["seconds"])
    chex.assert_trees_all_equal(dict(longer.weights), dict(whole.weights))
    chex.assert_trees_all_equal(dict(longer.states), dict(whole.states))


@pytest.mark.parametrize(("seconds", "turns"), [(0, 1), (0, 3), (0, 5), (math.inf, 1)])
def test_a_longer_sweep_survives_its_process(tmp_path, monkeypatch, seconds, turns):
    tiny.series_of(monkeypatch, seconds)
    path = tmp_path / "s"
    lengthened(path, 8)
    with pytest.raises(tiny.CrashError):
        lengthened(path, 16, progress=tiny.crash_after(turns), snapshot_every=0)
    longer = lengthened(path, 16)
    whole = lengthened(None, 16)
    for name in ("valid_loss", "train_loss", "status", "steps_taken"):
        np.testing.assert_array_equal(longer.dataset[name], whole.dataset[name], err_msg=name)


def test_epochs_seeds_and_configurations_grow_at_once(tmp_path):
    path = tmp_path / "s"
    settings = {"eval_every": None}
    lengthened(path, epochs=2, **settings)
    more = {**settings, "epochs": 4, "seeds": 3, "space": SPACE + jf.grid(learning_rate=[0.2])}
    longer = lengthened(path, **more)
    whole = lengthened(None, **more)
    for name in ("valid_loss", "train_loss", "status", "steps_taken"):
        np.testing.assert_array_equal(longer.dataset[name], whole.dataset[name], err_msg=name)


def test_a_diverged_trial_stays_diverged(tmp_path):
    changes = {"optimizer": jf.sgd, "space": jf.grid(learning_rate=[0.1, 1e9])}
    lengthened(tmp_path, 8, **changes)
    longer = lengthened(tmp_path, 16, **changes)
    assert longer.dataset["status"].values[:, 0, 0].tolist() == ["finished", "diverged"]
    assert longer.dataset["steps_taken"].values[:, 0, 0].tolist()[0] == 16


def decaying(learning_rate, steps):
    return jf.sgd(jf.linear_schedule(learning_rate, 0.0, steps))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ({}, {"steps": 4}, "steps was 8, is 4 .*longer trials must be evaluated where they were"),
        ({"eval_every": 3}, {}, "the last time after 8 updates: choose steps"),
        ({"optimizer": decaying}, {}, "optimizer requests `steps`: what was trained"),
        ({"keep_states": None}, {}, "8 trials have no state to go on from: begin with keep_states"),
        ({"keep_configs": 3}, {}, "2 trials have no state to go on from"),
        ({"stop": jf.successive_halving(min_steps=4)}, {}, "under stop=, which has decided"),
    ],
)
def test_what_cannot_train_on_is_refused_by_name(tmp_path, before, after, message):
    lengthened(tmp_path, 8, **before)
    with pytest.raises(jf.JefficientError, match=message):
        lengthened(tmp_path, **{"steps": 16, **before, **after})


def test_longer_trials_of_another_plan_are_trained_anew_and_said(tmp_path):
    """Bits depend on the width: what was trained in other blocks cannot go on."""
    lengthened(tmp_path, 8)
    task = tiny.task(validation=0.2)
    with tiny.lanes(2):
        wider = jf.plan(task, jf.adam, SPACE, **{**LONGER, "steps": 16}).with_widths([4])
    with pytest.warns(jf.JefficientWarning, match="the plan is another. 0 .* stay, 4 start again"):
        longer = lengthened(tmp_path, 16, plan=wider)
    assert (longer.dataset["steps_taken"] == 16).all()
    assert not np.isnan(longer.dataset["valid_loss"]).any()


def test_interrupted_while_training_on_there_are_no_weights_of_before(tmp_path):
    """And the next, still longer, goes on from the states of the first."""
    lengthened(tmp_path, 8)
    seen = []

    def ask(progress):
        seen.append(progress)
        return progress.steps_done > seen[0].steps_done

    with pytest.warns(jf.JefficientWarning, match="interrupted by progress"):
        part = lengthened(tmp_path, 16, progress=ask)
    assert "interrupted" in part.dataset["status"].values
    for trial in part.weights:
        assert part.dataset["status"].values[trial] == "finished"
    again = []
    longest = lengthened(tmp_path, 20, progress=again.append)
    whole = lengthened(None, 20)
    for name in ("valid_loss", "train_loss", "status", "steps_taken"):
        np.testing.assert_array_equal(longest.dataset[name], whole.dataset[name], err_msg=name)
    assert again[0].steps_done >= 8 * 8


def test_seeds_are_added_to_a_sweep_that_starts_from_weights(tmp_path):
    weights = np.zeros(3, np.float32)
    first = lengthened(tmp_path, 8, start=weights)
    more = lengthened(tmp_path, 8, start=weights, seeds=3)
    np.testing.assert_array_equal(more.dataset["valid_loss"][:, :2], first.dataset["valid_loss"])
    with pytest.raises(jf.JefficientError, match=r"start from \(start\) is other"):
        lengthened(tmp_path, 8, start=weights + 1, seeds=3)
