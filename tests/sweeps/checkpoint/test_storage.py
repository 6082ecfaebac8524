"""A disk that is full, or a directory that goes away, while a sweep runs."""

import errno
import shutil

import numpy as np
import pytest
from sweeps import tiny

import jefficient as jf
from jefficient.sweeps.checkpoint import _directory

SPACE = jf.grid(learning_rate=np.geomspace(1e-3, 0.3, 6).tolist())
SETTINGS = {"steps": 12, "batch_size": 8, "snapshot_every": 0, "eval_every": 3}


def sweep(folder, **changes):
    settings = {**SETTINGS, **changes}
    with tiny.lanes(width=2, blocks=1):
        return tiny.sweep(tiny.task(validation=0.2), SPACE, directory=folder, **settings)


def full_after(monkeypatch, snapshots):
    """The disk is full once so many snapshots have been written."""
    written = []

    def write(path, snapshot, real=_directory.write):
        if len(written) == snapshots:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        real(path, snapshot)

    monkeypatch.setattr(_directory, "write", write)
    return written


def test_a_full_disk_is_an_error_that_names_the_directory_and_loses_nothing(tmp_path, monkeypatch):
    whole = sweep(tmp_path / "other")
    with monkeypatch.context() as patch:
        full_after(patch, 3)
        with pytest.raises(
            jf.JefficientError, match="directory must be one that can be written"
        ) as e:
            sweep(tmp_path / "sweep")
    assert isinstance(e.value, OSError)
    assert str(tmp_path / "sweep") in str(e.value)
    assert "No space left on device" in str(e.value)

    seen = []
    again = sweep(tmp_path / "sweep", progress=seen.append)
    assert seen[0].steps_done > 0
    np.testing.assert_array_equal(again.dataset["valid_loss"], whole.dataset["valid_loss"])


def test_a_directory_that_goes_away_is_such_an_error_too(tmp_path):
    def remove(progress):
        if progress.steps_done:
            shutil.rmtree(tmp_path / "sweep", ignore_errors=True)

    with pytest.raises(jf.JefficientError, match="It is gone, and with it what it held"):
        sweep(tmp_path / "sweep", progress=remove)


def test_a_finished_result_is_returned_though_its_last_snapshot_cannot_be_written(
    tmp_path, monkeypatch
):
    written = full_after(monkeypatch, -1)
    whole = sweep(tmp_path / "other")
    last = len(written) - 1
    written.clear()
    full_after(monkeypatch, last)
    with pytest.warns(jf.JefficientWarning, match="The result is returned all the same"):
        result = sweep(tmp_path / "sweep")
    np.testing.assert_array_equal(result.dataset["valid_loss"], whole.dataset["valid_loss"])


def test_a_partial_result_is_returned_though_its_snapshot_cannot_be_written(tmp_path, monkeypatch):
    whole = sweep(tmp_path / "other")
    full_after(monkeypatch, 1)  # the first is written before training begins
    with pytest.warns(jf.JefficientWarning) as warned:
        part = sweep(
            tmp_path / "sweep",
            progress=lambda progress: progress.trials_done == 2,
            snapshot_every=60,
        )
    assert "The result is returned all the same" in str(warned[0].message)
    assert "interrupted by progress with 2 of 6 trials done" in str(warned[1].message)
    assert "goes on from here" not in str(warned[1].message)
    done = (part.dataset["status"] == "finished").values.ravel()
    assert done.sum() == 2
    shown = part.dataset["valid_loss"].values[done]
    np.testing.assert_array_equal(shown, whole.dataset["valid_loss"].values[done])
