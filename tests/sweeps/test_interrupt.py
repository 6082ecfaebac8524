"""What ends a sweep early: `progress`, `time_limit`; in one process, in parts, in searches."""

import asyncio
import os
import signal
import types
from concurrent.futures import Executor, Future

import numpy as np
import pytest
from sweeps import sources, tiny

import jefficient as jf
from jefficient.sweeps import _interrupt
from jefficient.sweeps.parts import _part, _whole

SPACE = jf.grid(learning_rate=[0.0, 0.01, 0.03, 0.1])
SETTINGS = {"steps": 12, "eval_every": 3}


def sweep(space=SPACE, the_task=None, **changes):
    task = the_task or tiny.task(validation=0.2)
    with tiny.lanes(1):
        return tiny.sweep(task, space, **{**SETTINGS, **changes})


def statuses(result):
    return result.dataset["status"].values.ravel().tolist()


@pytest.fixture(scope="module")
def whole():
    return sweep()


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the epoch, as a list of one number, which a test moves on."""
    now = [1000.0]
    fake = types.SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0])
    monkeypatch.setattr(_interrupt, "time", fake)
    monkeypatch.setattr(_part, "time", fake)
    monkeypatch.setattr(_whole, "time", fake)
    return now


def raises_interrupt(progress):
    if progress.trials_done == 2:
        raise KeyboardInterrupt


def returns_true(progress):
    return progress.trials_done == 2


def returns_numpy_s_true(progress):
    return np.bool_(progress.trials_done == 2)


@pytest.mark.parametrize("ask", [raises_interrupt, returns_true, returns_numpy_s_true])
def test_progress_ends_the_sweep_with_what_is_done(ask, whole):
    with pytest.warns(jf.JefficientWarning, match="interrupted by progress with 2 of 4 trials"):
        part = sweep(progress=ask)
    assert statuses(part) == ["finished", "finished", "interrupted", "interrupted"]
    np.testing.assert_array_equal(part.dataset["valid_loss"][:2], whole.dataset["valid_loss"][:2])
    assert np.isnan(part.dataset["valid_loss"][2:]).all()
    assert part.best().config == 1


def test_what_a_progress_function_returns_otherwise_says_nothing():
    for answer in (None, 1, "True", [True]):
        assert "interrupted" not in statuses(sweep(progress=lambda _, answer=answer: answer))


def test_a_second_ctrl_c_raises_from_progress():
    def impatient(progress):
        if progress.trials_done:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sweep(progress=lambda progress: impatient(progress) or impatient(progress))


def asks_by(number):
    def ask(progress):
        if progress.trials_done == 2 and not asked:
            asked.append(progress)
            signal.raise_signal(number)

    asked = []
    return ask


def test_sigterm_ends_the_sweep_as_ctrl_c_does(whole, tmp_path):
    with pytest.warns(jf.JefficientWarning, match="interrupted by SIGTERM with 2 of 4 trials"):
        part = sweep(progress=asks_by(signal.SIGTERM), directory=tmp_path)
    assert statuses(part) == ["finished", "finished", "interrupted", "interrupted"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    result = sweep(directory=tmp_path)
    np.testing.assert_array_equal(result.dataset["valid_loss"], whole.dataset["valid_loss"])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")
def test_the_second_sigterm_ends_the_process():
    child = os.fork()
    if not child:
        with _interrupt.EndRequest().on_interrupt():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_a_part_leaves_sigterm_alone():
    before = signal.getsignal(signal.SIGTERM)
    with _interrupt.EndRequest(is_part=True).on_interrupt():
        assert signal.getsignal(signal.SIGTERM) is before
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler


def test_a_part_ends_when_the_process_that_began_it_is_gone(monkeypatch):
    parent = types.SimpleNamespace(is_alive=lambda: alive.pop())
    monkeypatch.setattr(_interrupt, "parent_process", lambda: parent)
    alive = [False, True]
    end = _interrupt.EndRequest(is_part=True)
    assert [end(), end()] == [False, True]
    assert end.reason == "since the process that began it is gone"
    assert not _interrupt.EndRequest()()


def test_ctrl_c_under_asyncio_returns_what_is_done():
    async def main():
        with pytest.warns(jf.JefficientWarning, match="interrupted by Ctrl-C with 2 of 4 trials"):
            part = sweep(progress=asks_by(signal.SIGINT))
        await asyncio.sleep(0)
        return part

    part = asyncio.run(main())
    assert statuses(part) == ["finished", "finished", "interrupted", "interrupted"]


def test_a_program_s_own_handler_is_left_alone():
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append("own"))
    try:
        assert "interrupted" not in statuses(sweep(progress=asks_by(signal.SIGTERM)))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen == ["own"]


def test_after_the_limit_no_segment_begins(clock, tmp_path, whole, monkeypatch):
    """Each segment takes a second; a resumed sweep has the time again, and ends alike."""
    tiny.series_of(monkeypatch, 0)

    def a_second_later(progress):
        clock[0] += progress.steps_done > 0

    limited = {"progress": a_second_later, "time_limit": 5.5, "directory": tmp_path}
    for evaluations in (6, 11):  # a report before the first segment is a second too
        with pytest.warns(
            jf.JefficientWarning, match=r"by time_limit=5\.5 with . of 4 .* goes on from here"
        ):
            part = sweep(**limited)
        assert np.isfinite(part.dataset["valid_loss"].values).sum() == evaluations

    part = sweep(directory=tmp_path, time_limit=60)
    for name in ("valid_loss", "train_loss", "status"):
        np.testing.assert_array_equal(part.dataset[name], whole.dataset[name])


def test_without_time_for_a_segment_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr("jefficient.sweeps.scheduler._compiler.compiled", None)
    with pytest.warns(jf.JefficientWarning, match="by time_limit=1e-09 with 0 of 4 trials done"):
        part = sweep(time_limit=1e-9)
    assert set(statuses(part)) == {"interrupted"}


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), "1"])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(jf.JefficientError, match=r"jf\.sweep: time_limit .* got time_limit="):
        sweep(time_limit=limit)


def test_a_source_s_sweep_ends_between_chunks(clock, tmp_path):
    def a_second_later(progress):
        clock[0] += progress.steps_done > 0

    task = sources.task(tmp_path, validation=0.2)
    with pytest.warns(jf.JefficientWarning, match="by time_limit=1 with 0 of 4"):
        part = sweep(the_task=task, progress=a_second_later, time_limit=1)
    assert (part.dataset["steps_taken"].values == 3).sum() == part.dataset.sizes["config"]


class Batches(jf.Search):
    """Two configurations at a time."""

    batch = 2

    def __init__(self):
        self.left = [[0.0, 0.01], [0.03, 0.1], [0.2, 0.3]]
        self.told = []

    def example(self):
        return jf.grid(learning_rate=[0.1])

    def ask(self):
        return jf.grid(learning_rate=self.left.pop(0)) if self.left else None

    def tell(self, dataset):
        self.told.append(dataset["status"].values.ravel().tolist())


@pytest.mark.parametrize(
    ("done", "told"),
    [
        (2, [["finished"] * 2]),  # between two batches
        (3, [["finished"] * 2, ["finished", "interrupted"]]),
    ],
)
def test_a_search_ends_between_batches_and_inside(clock, done, told):
    def slow(progress):
        clock[0] += 60 * (progress.trials_done == done)

    search = Batches()
    with pytest.warns(jf.JefficientWarning, match="interrupted by time_limit=30 "):
        result = sweep(space=search, progress=slow, time_limit=30)
    assert search.told == told
    assert statuses(result) == [status for batch in told for status in batch]


class Few(Executor):
    """Runs some parts at once, in this process, and lets the others wait for ever."""

    def __init__(self, runs, before=lambda: None):
        self.runs, self.before = runs, before

    def submit(self, function, /, *arguments):
        future = Future()
        if self.runs:
            self.runs -= 1
            self.before()
            future.set_result(function(*arguments))
        return future


def test_parts_that_have_not_begun_do_not_begin(tmp_path, whole):
    place = {"parts": 2, "directory": tmp_path}
    with pytest.warns(jf.JefficientWarning, match="by progress with 2 of 4 .* goes on from here"):
        part = sweep(executor=Few(1), progress=returns_true, **place)
    assert statuses(part) == ["finished", "finished", "interrupted", "interrupted"]

    part = sweep(executor=Few(2), **place)
    for name in ("valid_loss", "train_loss", "status"):
        np.testing.assert_array_equal(part.dataset[name], whole.dataset[name])


def test_a_part_in_a_worker_knows_the_limit(clock):
    def a_minute_later():
        clock[0] += 60

    with pytest.warns(jf.JefficientWarning, match="by time_limit=90 with 1 of 4 trials"):
        part = sweep(executor=Few(4, a_minute_later), parts=4, time_limit=90)
    assert statuses(part) == ["finished", "interrupted", "interrupted", "interrupted"]
