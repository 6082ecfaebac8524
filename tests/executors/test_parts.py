"""Parts in processes of their own: the same bits as one process, and a lost part is run again."""

import functools
import os
import re
import signal
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from multiprocessing import get_context
from pathlib import Path

import chex
import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import processes
import pytest
from sweeps import small, tiny

import jefficient as jf
from jefficient.sweeps.checkpoint import _directory, _labels
from jefficient.sweeps.parts import _part
from jefficient.sweeps.parts._executor import split_configs
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings

SPACE = jf.grid(
    learning_rate=[0, 1e-3, 1e-2, 0.1, 0.3], batch_size=[4, 8]
)  # 0 is whole, the others are not
SETTINGS = {"the_space": SPACE, "stop": None, "batch_size": None, "steps": 20}


WORKER = "JEFFICIENT_TEST_WORKER"


class Inline(Executor):
    """Runs in this process, at once; the first `lost` futures say that their worker is gone."""

    def __init__(self, lost=0):
        self.lost, self.calls = lost, 0

    def submit(self, function, /, *arguments, **named):
        self.calls += 1
        future = Future()
        if self.calls <= self.lost:
            future.set_exception(BrokenExecutor("the worker is gone"))
        else:
            os.environ[WORKER] = "yes"
            future.set_result(function(*arguments, **named))
            del os.environ[WORKER]
        return future


def assert_same(result, expected):
    assert result.dataset.sizes == expected.dataset.sizes
    for name, x in expected.dataset.drop_vars("seconds").variables.items():
        np.testing.assert_array_equal(result.dataset[name].values, x.values, err_msg=str(name))
        assert result.dataset[name].dtype == x.dtype
    assert result.weights.keys() == expected.weights.keys()
    chex.assert_trees_all_equal(dict(result.weights), dict(expected.weights))
    assert result.table().equals(expected.table())


@pytest.fixture(scope="module")
def whole():
    return small.sweep(**SETTINGS)


def test_programs_are_kept_together():
    prepared = prepare(small.task(), jf.adam, SPACE, Settings(steps=4, folds=2))
    assert [x.tolist() for x in split_configs(prepared, 2)] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    parts = split_configs(prepared, 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(10))
    assert len(split_configs(prepared, 99)) == 10


def test_parts_are_put_together_bit_for_bit(whole):
    seen, executor = [], Inline(lost=2)
    result = small.sweep(**SETTINGS, executor=executor, parts=3, progress=seen.append)
    assert_same(result, whole)
    assert executor.calls == 3 + 2
    assert [progress.trials_done for progress in seen] == sorted(
        progress.trials_done for progress in seen
    )
    last = seen[-1]
    assert (last.trials_done, last.trials, last.steps_done, last.steps) == (40, 40, 800, 800)
    assert last.best == whole.best().score
    again = result.replay(seed=1, fold=1)
    chex.assert_trees_all_equal(again.params, whole.params(seed=1, fold=1))


def test_more_parts_than_configurations_are_one_each():
    given, executor = (tiny.task(), jf.grid(learning_rate=[0.1, 0.2])), Inline()
    settings = {"steps": 4, "metric": "train_loss"}
    whole = tiny.sweep(*given, **settings)
    assert_same(tiny.sweep(*given, **settings, executor=executor, parts=99), whole)
    assert executor.calls == 2


class Ending(Executor):
    """Runs one part and then ends, in one of the ways in which executors do."""

    def __init__(self, how):
        self.how, self.calls = how, 0

    def submit(self, function, /, *arguments):
        self.calls += 1
        future = Future()
        if self.calls == 1:
            future.set_result(function(*arguments))
        elif self.how == "shut down":
            raise RuntimeError("cannot schedule new futures after shutdown")
        elif self.how == "cancels, and tells":
            future.cancel()
            future.set_running_or_notify_cancel()
        elif self.how == "cancels":
            future.cancel()
        elif self.how == "breaks":
            future.set_exception(BrokenExecutor("the workers are gone"))
        elif self.how == "returns rubbish":
            future.set_result(b"rubbish")
        elif self.how == "returns another thing":
            future.set_result(cloudpickle.dumps(3))
        elif self.how == "returns no future":
            return None
        return future


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shut down", "it takes no work any more .*after shutdown"),
        ("cancels, and tells", "part 1 was lost 3 times, last by CancelledError"),
        ("cancels", "part 1 was lost 3 times, last by CancelledError"),
        ("breaks", "part 1 was lost 3 times, last by BrokenExecutor"),
        ("returns rubbish", "part 1 was lost 3 times, last by UnpicklingError"),
        ("returns another thing", "part 1 was lost 3 times, last by TypeError.*3 is not"),
        ("returns no future", "its submit returned None, which is no Future"),
    ],
)
def test_an_executor_that_ends_is_one_error_with_what_was_finished(how, message):
    given = tiny.task(), jf.grid(learning_rate=[0.1, 0.2])
    settings = {"steps": 4, "metric": "train_loss"}
    with pytest.raises(jf.ExecutorError, match=message) as caught:
        tiny.sweep(*given, **settings, executor=Ending(how), parts=2)
    result = caught.value.result
    assert result.dataset["status"].values.ravel().tolist() == ["finished", "interrupted"]
    assert result.best().config == 0


class Closing(ThreadPoolExecutor):
    """One thread, which shuts its executor down when it begins, and runs on."""

    def __init__(self, parts):
        super().__init__(1)
        self.missing = threading.Semaphore(0)
        self.parts = parts

    def submit(self, function, /, *arguments):
        future = super().submit(self.run, function, arguments)
        self.missing.release()
        return future

    def run(self, function, arguments):
        for _ in range(self.parts):
            self.missing.acquire()
        self.shutdown(wait=False, cancel_futures=True)
        return function(*arguments)


def test_an_executor_that_is_shut_down_beside_a_sweep_ends_it(tmp_path):
    """The part under way is waited for and taken; the call then goes on elsewhere."""
    given = tiny.task(), jf.grid(learning_rate=[0.1, 0.2, 0.3])
    settings = {"steps": 4, "metric": "train_loss"}
    in_parts = {**settings, "directory": tmp_path, "parts": 3}
    with pytest.raises(jf.ExecutorError, match="it takes no work any more") as caught:
        tiny.sweep(*given, **in_parts, executor=Closing(3))
    status = caught.value.result.dataset["status"].values.ravel().tolist()
    assert status == ["finished", "interrupted", "interrupted"]
    result = tiny.sweep(*given, **in_parts, executor=Inline())
    assert_same(result, tiny.sweep(*given, **settings))


def test_parts_of_unlike_machines_are_said(monkeypatch):
    kinds = iter(["1", "2", "2"])
    monkeypatch.setattr(_labels, "arithmetic", lambda: {"cores": next(kinds)})
    with pytest.warns(jf.JefficientWarning, match="cores was 1, is 2|cores was 2, is 1"):
        tiny.sweep(
            tiny.task(),
            jf.grid(learning_rate=[0.1, 0.2]),
            steps=2,
            metric="train_loss",
            executor=Inline(),
            parts=2,
        )


def test_what_the_task_raises_is_raised_once():
    executor = Inline()

    def fails(params, batch):
        if WORKER in os.environ:
            raise RuntimeError("only in a worker")
        return tiny.loss(params, batch)

    with pytest.raises(RuntimeError, match="only in a worker"):
        tiny.sweep(
            tiny.task(loss=fails, validation=0.2),
            jf.grid(learning_rate=[0.1]),
            steps=1,
            executor=executor,
        )
    assert executor.calls == 1


def test_layers_that_parts_do_not_share_have_the_same_bits():
    def deep(key, depth):
        return {f"layer{i}": jax.random.normal(key, (3, 3)) for i in range(depth)}

    def deep_loss(params, batch, depth):
        x, y = batch
        for i in range(depth):
            x = jnp.tanh(x @ params[f"layer{i}"])
        return jnp.mean((x.sum(1) - y) ** 2)

    task = tiny.task(init=deep, loss=deep_loss, validation=0.2)
    space = jf.grid(learning_rate=[0.1, 0.2], depth=jf.static([3, 1]))
    whole = tiny.sweep(task, space, steps=6, layers=True)
    assert_same(tiny.sweep(task, space, steps=6, layers=True, executor=Inline(), parts=2), whole)


def test_test_rows_are_looked_at_once_and_the_winner_is_that_of_all_parts():
    given = (
        tiny.task(validation=0.2, test=(tiny.X, tiny.Y)),
        jf.grid(learning_rate=[1e-3, 0.1, 1e-2]),
    )
    whole = tiny.sweep(*given, steps=20)
    result = tiny.sweep(*given, steps=20, executor=Inline(), parts=3, keep_configs=1)
    np.testing.assert_array_equal(result.test["test_loss"], whole.test["test_loss"])
    assert {config for config, _, _ in result.weights} == {result.best().config}


def test_wrong_use_is_refused(tmp_path):
    for changes, message in (
        ({"executor": "dask"}, "executor must be a concurrent.futures.Executor, got 'dask'"),
        ({"parts": 2}, "parts go with an executor"),
        ({"executor": Inline(), "parts": 0}, "parts >= 1 must hold"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            small.sweep(**SETTINGS, **changes)
    small.sweep(**SETTINGS, executor=Inline(), parts=2, directory=tmp_path)
    with pytest.raises(
        jf.ArgumentError, match=r"parts must be as when the directory was begun, got parts=3"
    ):
        small.sweep(**SETTINGS, executor=Inline(), parts=3, directory=tmp_path)


def test_a_process_pool_gives_the_same_bits(whole, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        result = small.sweep(**SETTINGS, executor=pool, parts=3, directory=tmp_path)
    assert_same(result, whole)
    assert len(list(tmp_path.iterdir())) == 3
    loaded = jf.load(tmp_path)
    assert loaded.table()["valid_loss"].tolist() == whole.table()["valid_loss"].tolist()
    assert loaded.best().hyperparameters == whole.best().hyperparameters


def test_a_broken_pool_says_what_to_do():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(BrokenExecutor):
            pool.submit(os._exit, 1).result()
        with pytest.raises(
            jf.JefficientError,
            match=r"takes no work any more .*with directory=… the same call goes on",
        ):
            small.sweep(**SETTINGS, executor=pool)


def test_a_part_that_has_written_nothing_yet_does_not_keep_the_others_from_being_read(tmp_path):
    result = small.sweep(**SETTINGS, executor=Inline(), parts=2, directory=tmp_path)
    for snapshot in (tmp_path / "part-0000-of-0002").glob("0*"):
        snapshot.unlink()
    loaded = jf.load(tmp_path)
    assert 0 < loaded.dataset.sizes["config"] < result.dataset.sizes["config"]
    assert set(loaded.dataset["hash"].values) < set(result.dataset["hash"].values)
    for snapshot in (tmp_path / "part-0001-of-0002").glob("0*"):
        snapshot.unlink()
    with pytest.raises(jf.JefficientError, match="has written none yet"):
        jf.load(tmp_path)


def test_a_directory_is_of_a_sweep_in_parts_or_of_one_without_an_executor(tmp_path):
    """Of both, jf.load could say one thing only, and the other would run all again."""
    given = tiny.task(), jf.grid(learning_rate=[0.1, 0.2])
    in_parts = {"executor": Inline(), "parts": 2}
    for begun, then, message in (
        ({}, in_parts, "of one without an executor"),
        (in_parts, {}, "part-0000-of-0002"),
    ):
        directory = tmp_path / message[:4]
        for more, raises in ((begun, None), (then, message), (begun, None)):
            call = functools.partial(
                tiny.sweep, *given, steps=4, metric="train_loss", directory=directory, **more
            )
            if raises is None:
                call()
            else:
                with pytest.raises(
                    jf.ArgumentError, match=f"jf.sweep: directory must be of a sweep .*{raises}"
                ):
                    call()


class Unportable(Exception):
    """Cannot be packed: it holds a lock."""

    def __init__(self, what):
        super().__init__(what)
        self.lock = threading.Lock()


def test_an_error_that_cannot_travel_is_told_once(monkeypatch):
    executor = Inline()

    def fails(*_, **__):
        raise Unportable("the disk, full")

    with monkeypatch.context() as patch:
        patch.setattr(_part, "RunOptions", fails)
        with pytest.raises(
            jf.JefficientError, match="a part must not fail, got Unportable: the disk, full"
        ):
            tiny.sweep(
                tiny.task(),
                jf.grid(learning_rate=[0.1]),
                steps=2,
                metric="train_loss",
                executor=executor,
            )
    assert executor.calls == 1


def test_a_worker_whose_sweep_was_killed_gives_its_folder_back(tmp_path):
    """100 million updates: it does not come to their end, nor go on with them."""
    script = Path(__file__).with_name("orphaned.py")
    path = {"PYTHONPATH": str(script.parents[1])}
    killed = processes.run(script, tmp_path, env=path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    lock = tmp_path / "part-0000-of-0001" / "lock"
    holder = lock.read_text()
    for _ in range(600):
        if not _directory._is_locked(lock):
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"{holder} holds the directory")
    (worker,) = re.findall(r"process (\d+) on", holder)
    for _ in range(1200):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.05)
    pytest.fail(f"{holder} lives on")
