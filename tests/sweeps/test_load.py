"""What a directory says while its sweep runs, when it was stopped, and when it is done."""

import shutil
import signal

import numpy as np
import pytest
import xarray as xr
from sweeps import small, tiny

import jefficient as jf


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A sweep that is loaded while it runs and interrupted halfway: directory, loads, result."""
    directory, evaluations, asked = tmp_path_factory.mktemp("sweep"), [], []

    def evaluation(progress):
        if progress.steps_done:
            evaluations.append(jf.load(directory))
        if progress.trials_done >= 40 and not asked:
            asked.append(progress)
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(jf.JefficientWarning, match="interrupted by Ctrl-C with"):
        part = small.sweep(
            24, directory=directory, snapshot_every=0.0, progress=evaluation, stop=None
        )
    return directory, evaluations, part


def test_a_running_sweep_can_be_looked_at(seen):
    _, evaluations, part = seen
    done = [int((evaluation.dataset["status"] == "finished").sum()) for evaluation in evaluations]
    assert done == sorted(done)
    assert done[-1] > done[0]
    assert "running" in evaluations[0].dataset["status"].values
    assert "interrupted" not in evaluations[-1].dataset["status"].values
    assert evaluations[-1].space == part.space
    assert evaluations[-1].best().hyperparameters["learning_rate"] in part.space["learning_rate"]
    assert len(evaluations[0].table()) == 24


def test_an_interrupted_sweep_s_directory_says_what_its_result_says(seen):
    directory, _, part = seen
    loaded = jf.load(str(directory))
    for name, x in part.dataset.variables.items():
        np.testing.assert_array_equal(loaded.dataset[name].values, x.values, err_msg=str(name))
        assert loaded.dataset[name].attrs == x.attrs
    same = set(part.dataset.attrs) - {"seconds", "ended"}
    assert {name: loaded.dataset.attrs[name] for name in same} == {
        name: part.dataset.attrs[name] for name in same
    }
    assert (loaded.dataset["status"] == "interrupted").any()
    assert loaded.table().equals(part.table())
    with pytest.raises(jf.ArgumentError, match="weights must have been checkpointed"):
        loaded.params()


def test_a_task_goes_with_a_file(seen):
    with pytest.raises(
        jf.ArgumentError, match=r"a task goes with a file, got the directory .* Run jf.sweep"
    ):
        jf.load(seen[0], task=small.task())


def test_a_directory_without_a_whole_snapshot_is_refused(seen, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(seen[0], damaged)
    for file in damaged.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(jf.JefficientError, match=r"jf.load: directory must hold a whole snapshot"):
        jf.load(damaged)
    for file in damaged.glob("*.json"):
        file.unlink()
    with pytest.raises(jf.JefficientError, match="the sweep has written none yet"):
        jf.load(damaged)


def test_what_was_joined_has_no_single_task(tmp_path):
    first, second = (
        small.sweep(the_space=jf.grid(learning_rate=[x]), stop=None) for x in (0.01, 0.1)
    )
    space = jf.grid(learning_rate=[0.01, 0.1])
    other = jf.grid(learning_rate=[0.2])
    path = (first + second).save(tmp_path / "both.nc")
    loaded = jf.load(path, task=small.task(), optimizer=jf.adam, space=space)
    assert loaded.replay(1).dataset["learning_rate"].item() == 0.1
    xr.testing.assert_identical(loaded.dataset, (first + second).dataset)
    with pytest.raises(jf.ArgumentError, match="space must be that of the sweep"):
        jf.load(path, task=small.task(), optimizer=jf.adam, space=other)


def test_refit_hands_out_numbers_of_the_kind_that_the_sweep_handed_out():
    """A whole number among others is float32 in the sweep; alone in its space it would be int32."""
    kinds = set()

    def optimizer(learning_rate):
        kinds.add(str(getattr(learning_rate, "dtype", type(learning_rate))))
        return jf.sgd(learning_rate)

    result = tiny.sweep(
        tiny.task(), jf.grid(learning_rate=[0, 0.1]), optimizer, steps=4, metric="train_loss"
    )
    assert kinds == {"float32"}
    result.refit(0)
    assert kinds == {"float32"}


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": np.int64(4), "batch_size": np.int32(8)},
        {"epochs": np.float32(1.5)},
        {"steps": 4, "folds": np.int64(2)},
    ],
)
def test_settings_that_were_numbers_of_numpy_come_back(tmp_path, settings):
    given = tiny.task(), jf.grid(learning_rate=[0.1])
    path = tiny.sweep(*given, metric="train_loss", **settings).save(tmp_path / "sweep.nc")
    loaded = jf.load(path, task=given[0], optimizer=jf.sgd, space=given[1])
    np.testing.assert_array_equal(
        loaded.replay(0).dataset["train_loss"], loaded.dataset["train_loss"][:, :, :1]
    )


@pytest.mark.parametrize("name", ["optimizer", "space", "folds"])
def test_what_goes_with_a_task_is_refused_without_one(tmp_path, name):
    with pytest.raises(
        jf.ArgumentError, match=rf"jf.load: .* go with a task, got \['{name}'\] without one"
    ):
        jf.load(tmp_path, **{name: 3})
