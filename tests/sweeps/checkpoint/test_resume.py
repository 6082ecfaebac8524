"""What survives: kills, interruptions, damaged files; and what a directory refuses."""

import dataclasses
import math
import os
import pickle
import random
import re
import signal
from pathlib import Path

import chex
import jax
import numpy as np
import processes
import pytest
from sweeps import small, tiny

import jefficient as jf
from jefficient._core import arithmetic
from jefficient.results import Status
from jefficient.sweeps.checkpoint import _checkpointer, _directory
from jefficient.sweeps.checkpoint._checkpointer import versions
from jefficient.sweeps.scheduler import _compiler, _memory


@pytest.fixture(scope="module")
def whole():
    """The sweep without interruption."""
    return small.sweep()


def assert_same(result, expected):
    """Bit for bit, the weights included; timings are no part of that."""
    for name, values in expected.dataset.drop_vars("seconds").variables.items():
        np.testing.assert_array_equal(result.dataset[name].values, values.values, err_msg=str(name))
    assert result.weights.keys() == expected.weights.keys()
    chex.assert_trees_all_equal_shapes_and_dtypes(dict(result.weights), dict(expected.weights))
    chex.assert_trees_all_equal(dict(result.weights), dict(expected.weights))


def crashed(directory, segments, **changes):
    with pytest.raises(tiny.CrashError):
        small.sweep(
            directory=directory, snapshot_every=0.0, progress=tiny.crash_after(segments), **changes
        )


def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path):
    script = Path(__file__).with_name("killed.py")

    def run(directory, output, seconds):
        path = {"PYTHONPATH": str(script.parents[2])}
        return processes.run(script, tmp_path / directory, tmp_path / output, seconds, env=path)

    assert run("uninterrupted", "expected", -1).returncode == 0
    draw, kills = random.Random(0), 0
    for _ in range(3):
        kills += run("killed", "unused", draw.uniform(0.0, 0.15)).returncode == -signal.SIGKILL
    assert kills >= 2
    last = run("killed", "got", -1)
    assert last.returncode == 0, last.stderr
    (expected, weights), (got, kept) = (
        pickle.loads((tmp_path / name).read_bytes()) for name in ("expected", "got")
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    chex.assert_trees_all_equal(kept, weights)


@pytest.mark.parametrize("segments", [1, 12])
def test_after_a_crash_the_same_call_goes_on(tmp_path, whole, segments):
    crashed(tmp_path, segments)
    done = []
    result = small.sweep(directory=tmp_path, progress=done.append)
    assert done[0].steps_done > 0 or segments == 1  # it went on from there, not from the start
    assert_same(result, whole)
    again = []
    assert_same(small.sweep(directory=tmp_path, progress=again.append), whole)
    assert len(again) == 1  # nothing was left to do


@pytest.mark.parametrize(("seconds", "turns"), [(0, 44), (math.inf, 9)])
def test_several_programs_go_on_where_each_was(tmp_path, monkeypatch, seconds, turns):
    """Killed in the second program: results of the first one are not computed again."""
    tiny.series_of(monkeypatch, seconds)
    settings = {
        "the_space": small.space(10) * jf.grid(batch_size=[4, 8]),
        "batch_size": None,
        "stop": None,
    }
    whole = small.sweep(**settings)
    crashed(tmp_path, turns, **settings)
    done = []
    assert_same(small.sweep(directory=tmp_path, progress=done.append, **settings), whole)
    assert done[0].trials_done >= 40


def test_ctrl_c_ends_with_a_partial_result(tmp_path, whole):
    def interrupting(progress):
        if progress.trials_done >= 10 and not asked:
            asked.append(progress)
            signal.raise_signal(signal.SIGINT)

    asked = []
    with pytest.warns(
        jf.JefficientWarning,
        match="interrupted by Ctrl-C with .* of 96 trials done; .* goes on from here",
    ):
        part = small.sweep(directory=tmp_path, progress=interrupting)
    status = part.dataset["status"].values
    assert {"interrupted", "finished"} <= set(status.ravel())
    seen = np.isfinite(part.dataset["train_loss"].values)
    np.testing.assert_array_equal(
        part.dataset["train_loss"].values[seen], whole.dataset["train_loss"].values[seen]
    )
    assert set(part.table().index[:1]) == {part.best().config}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_same(small.sweep(directory=tmp_path), whole)


def test_a_larger_space_runs_only_what_is_new(tmp_path):
    """Finished configurations stay, wherever they stand in the new space."""
    values = small.space(24).columns["learning_rate"]
    few, more = jf.grid(learning_rate=values[::2]), jf.grid(learning_rate=values[::-1])
    first = small.sweep(the_space=few, directory=tmp_path, stop=None)
    seen = []
    second = small.sweep(the_space=more, directory=tmp_path, stop=None, progress=seen.append)
    assert seen[0].trials_done == 48
    assert seen[-1].steps_done - seen[0].steps_done == 12 * 4 * 60
    for i, value in enumerate(few.columns["learning_rate"]):
        j = more.columns["learning_rate"].index(value)
        np.testing.assert_array_equal(
            second.dataset["valid_loss"][j], first.dataset["valid_loss"][i]
        )
    assert second.params() is not None
    assert (second.dataset["status"] == "finished").all()


def test_a_smaller_space_is_refused_and_loses_nothing(tmp_path):
    whole = small.sweep(n=4, directory=tmp_path, stop=None)
    with pytest.raises(
        jf.JefficientError, match=r"the space lacks 3 of its configurations \(add to"
    ):
        small.sweep(the_space=jf.grid(learning_rate=[1.0]), directory=tmp_path, stop=None)
    assert_same(small.sweep(n=4, directory=tmp_path, stop=None), whole)


def test_out_of_memory_before_a_crash_goes_on_at_the_halved_width(tmp_path, monkeypatch):
    settings = {"stop": None, "keep_configs": 99}
    compile_for = _compiler.Compiler._check_memory

    def limited(self, segment):
        width = self._queues[0].width
        if width > 4:
            raise _memory.TooLargeError("eight lanes do not fit")
        return compile_for(self, segment)

    monkeypatch.setattr(_compiler.Compiler, "_check_memory", limited)
    with pytest.warns(jf.JefficientWarning, match="out of memory with 8 lanes"):
        crashed(tmp_path, 20, **settings)
    done = []
    result = small.sweep(
        directory=tmp_path, progress=done.append, **settings
    )  # no warning: nothing is too large
    assert done[0].steps_done > 0
    assert set(result.dataset["block_width"].values) == {4}
    with pytest.warns(jf.JefficientWarning, match="out of memory with 8 lanes"):
        assert_same(result, small.sweep(**settings))


def test_another_plan_starts_again_what_is_not_finished_and_says_so(tmp_path, monkeypatch):
    tiny.series_of(monkeypatch, 0)
    crashed(tmp_path, 12, stop=None)
    plan = jf.plan(small.task(), jf.adam, small.space(), **small.SETTINGS | {"stop": None})
    narrow = dataclasses.replace(plan, programs=(dataclasses.replace(plan.programs[0], width=3),))
    with pytest.warns(
        jf.JefficientWarning,
        match=r"cannot go on exactly as it was: the plan is another. \d+ config",
    ):
        result = small.sweep(directory=tmp_path, plan=narrow, stop=None)
    assert 3 in result.dataset["block_width"].values
    assert not np.isin(result.dataset["status"], ["running", "interrupted"]).any()


def test_after_an_upgrade_what_is_finished_stays(tmp_path, whole, monkeypatch):
    crashed(tmp_path, 20)
    stored = _stored(tmp_path).arrays
    done = (stored["record/status"] == Status.FINISHED).all(axis=(1, 2))
    now = _checkpointer.versions()
    monkeypatch.setattr(_checkpointer, "versions", lambda: {**now, "jax": "99.0"})
    with pytest.warns(
        jf.JefficientWarning,
        match=r"exactly as it was: jax was [\d.]+, is 99.0 \(whose .*\. \d+ config",
    ):
        result = small.sweep(directory=tmp_path)
    assert done.any()
    assert not done.all()
    np.testing.assert_array_equal(
        result.dataset["valid_loss"].values[done], stored["record/evaluations/valid_loss"][done]
    )
    np.testing.assert_allclose(
        result.dataset["train_loss"][..., 0], whole.dataset["train_loss"][..., 0], rtol=1e-5
    )
    assert not np.isin(result.dataset["status"], ["running", "interrupted"]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}, "XLA_FLAGS was .*, is .*fast_math=true"),
        ({"NVIDIA_TF32_OVERRIDE": "0"}, "NVIDIA_TF32_OVERRIDE was None, is 0"),
        ({"cores": 64}, "cores was .*, is 64"),
    ],
)
def test_what_changes_arithmetic_is_said_by_name(directory_of_one, change, message, monkeypatch):
    """What is finished stays, nothing is trained on with other arithmetic."""
    stored = _stored(directory_of_one)
    ((name, value),) = change.items()
    if name == "cores":
        monkeypatch.setattr(arithmetic, "cores", lambda: value)
    else:
        monkeypatch.setenv(name, value)
    assert re.search(message, arithmetic.difference(stored.body["versions"], versions()))


def test_a_precision_that_changes_arithmetic_is_said_by_name():
    before = versions()
    with jax.default_matmul_precision("float32"):
        said = arithmetic.difference(before, versions())
    assert said == "jax_default_matmul_precision was None, is float32"


def test_flags_that_change_no_number_are_not_compared(monkeypatch):
    before = versions()
    flags = os.environ.get("XLA_FLAGS", "")
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=x {flags}  --xla_dump_hlo_as_text")
    assert arithmetic.difference(before, versions()) is None


def _stored(path):
    directory = _directory.Directory("test", path)
    try:
        return directory.latest()
    finally:
        directory.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 4}, "batch_size was 8, is 4"),
        ({"key": jax.random.key(1)}, r"key was \[0, 0\], is \[0, 1\]"),
        ({"the_task": small.task(data={**small.DATA, "y": small.X})}, "the data .* are others"),
        ({"folds": 3}, "the data .* are others"),
        ({"the_task": small.task(metrics={})}, "what is measured were .*valid_far.*, are"),
        (
            {
                "the_task": small.task(
                    loss=lambda params, batch, key: 2 * small.loss(params, batch, key)
                )
            },
            "the functions of the task or optimizer are others",
        ),
    ],
)
def test_another_sweep_is_refused_and_told_what_differs(directory_of_one, changes, message):
    with pytest.raises(
        jf.JefficientError, match=f"directory must be of the same sweep, got .*{message}"
    ):
        small.sweep(n=2, directory=directory_of_one, **changes)


@pytest.fixture(scope="module")
def directory_of_one(tmp_path_factory):
    path = tmp_path_factory.mktemp("one")
    small.sweep(n=2, directory=path)
    return path


def test_one_process_at_a_time(directory_of_one):
    held = _directory.Directory("test", directory_of_one)
    with pytest.raises(
        jf.JefficientError,
        match=rf"free, got .*, which a running sweep holds \(process {os.getpid()} on ",
    ):
        small.sweep(n=2, directory=directory_of_one)
    held.close()
    small.sweep(n=2, directory=directory_of_one)


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        jf.JefficientError, match=r"directory must be one that can be written, got .*file"
    ):
        small.sweep(n=2, directory=tmp_path / "file")
