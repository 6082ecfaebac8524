"""`jefficient show --follow`: what is drawn of a sweep under way, and how it ends."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from results.made import made
from rich.console import Console
from sweeps import tiny

import jefficient as jf
from jefficient.cli import _follow, main
from jefficient.cli._follow import sparklines, standing, view
from jefficient.results import Result, Status

R, F, D, S, W = Status.RUNNING, Status.FINISHED, Status.DIVERGED, Status.STOPPED, Status.INTERRUPTED


def under_way(status, taken, **changes):
    """Four configurations of two seeds, of 100 updates each, evaluated every 10."""
    scores = np.array([0.4, 0.3, 0.2, 0.1])[:, None, None] + np.zeros((4, 2, 1))
    result = made(
        scores,
        {"learning_rate": [0.1, 0.2, 0.3, 0.4], "kind": ["a", "\x1b[2J", "c", "d"]},
        status=np.array(status)[:, None, None] + np.zeros((4, 2, 1), int),
        seconds=30.0,
        utilization=0.75,
        **changes,
    )
    dataset = result.dataset.copy(deep=True)
    dataset["steps_taken"][:] = np.array(taken)[:, None, None]
    for config, steps in enumerate(taken):
        dataset["valid_loss"][config, :, :, steps // 10 :] = np.nan
    return Result(dataset)


def drawn(result, width=100, **changes):
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(view(result, 10, "here", width=width, **changes))
    return console.export_text()


def test_it_says_how_far_the_sweep_is():
    now = standing(under_way([F, R, R, D], [100, 50, 0, 10]))
    assert (now.over, now.trials, now.diverged, now.stopped) == (4, 8, 2, 0)
    assert now.steps_done == 2 * (100 + 50 + 10)
    assert now.steps_left == 2 * (50 + 100)
    assert now.seconds_left == pytest.approx(30.0 * 300 / 320)
    np.testing.assert_array_equal(now.lanes, [0.5, 0.5])
    assert str(now) == "4 of 8 trials are over, 2 diverged, 30 s so far, about 28 s left"
    assert str(standing(under_way([F] * 4, [100] * 4))).endswith("30 s so far, done")
    interrupted = standing(under_way([F, S, W, W], [100, 20, 0, 0]))
    assert str(interrupted) == "4 of 8 trials are over, 2 stopped, 30 s so far, interrupted"
    assert str(standing(under_way([R] * 4, [0] * 4))) == "0 of 8 trials are over, 30 s so far"


def test_it_draws_lanes_ranking_and_what_diverged():
    text = drawn(under_way([F, R, R, D], [100, 50, 0, 10]), age=7.0)
    assert "here: 4 of 8 trials are over" in text
    assert "2 trials under way: ▅▅" in text
    assert "lanes are 75% busy; as of 7 s ago" in text
    rows = [line.split() for line in text.splitlines() if re.match(r" +\d ", line)]
    assert [row[0] for row in rows] == ["0", "1", "3", "2"]
    assert rows[0][:2] == ["0", "0.4"]
    assert rows[0][2] == "█▅▃▂▁▁▁▁▁▁"
    assert rows[1][2].endswith("·····")
    assert rows[3][2] == "··········"
    assert "diverged: 3 (learning_rate=0.4, kind=d)" in text
    assert "\x1b[2J" not in text
    assert r"\x1b[2J" in text


def test_it_fits_the_terminal():
    lines = drawn(under_way([F, R, R, F], [100, 50, 0, 100]), width=44).splitlines()
    assert max(map(len, lines)) <= 44
    assert "no room for: learning_rate, kind" in "\n".join(lines)
    assert "under way" not in drawn(under_way([F] * 4, [100] * 4))


def test_curves_share_a_scale_that_may_be_logarithmic():
    assert sparklines(np.array([[0.0, 1.0], [0.5, np.nan]])) == ["▁█", "▅·"]
    assert sparklines(np.array([[1.0, 10.0, 100.0]])) == ["▁▅█"]
    assert sparklines(np.array([[2.0, 2.0]])) == ["▁▁"]
    assert sparklines(np.full((2, 3), np.nan)) == ["···", "···"]
    assert len(sparklines(np.ones((1, 1000)))[0]) == _follow.CURVE


class Terminal(io.StringIO):
    def isatty(self):
        return True


def follow_while_it_runs(monkeypatch, output, directory):
    """Follow a sweep that another thread begins and ends; return the exit code."""
    monkeypatch.setattr(_follow, "MOMENT", 0.02)
    monkeypatch.setattr(sys, "stdout", output)
    tiny.series_of(monkeypatch, 0)
    begun = threading.Event()

    def report(progress):
        begun.set()
        time.sleep(0.1)

    def train():
        rates = jf.grid(learning_rate=[0.01, 0.02, 0.05, 0.1])
        task = tiny.task(validation=0.3)
        settings = {"steps": 100, "eval_every": 10, "snapshot_every": 0.0, "progress": report}
        tiny.sweep(task, rates, directory=directory, **settings)

    thread = threading.Thread(target=train)
    thread.start()
    assert begun.wait(60)
    try:
        return main(["show", str(directory), "--follow"])
    finally:
        thread.join()


def test_a_terminal_is_redrawn_until_the_sweep_ends(tmp_path, monkeypatch):
    output = Terminal()
    monkeypatch.setenv("COLUMNS", "100")
    assert follow_while_it_runs(monkeypatch, output, tmp_path) == 0
    text = output.getvalue()
    assert "4 trials under way" in text
    assert "s left" in text
    assert "4 of 4 trials are over" in text
    assert text.rindex("best: learning_rate=") > text.rindex("done")


def test_a_pipe_gets_a_line_for_each_snapshot(tmp_path, monkeypatch):
    output = io.StringIO()
    assert follow_while_it_runs(monkeypatch, output, tmp_path) == 0
    lines = output.getvalue().splitlines()
    own = [line for line in lines if "trials are over" in line]
    assert len(own) >= 2
    assert own[0].startswith("0 of 4 trials are over, ")
    assert own[-1].endswith("done")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("interrupted")
    with pytest.warns(jf.JefficientWarning, match="interrupted"), tiny.lanes(1):
        tiny.sweep(
            tiny.task(validation=0.3),
            jf.grid(learning_rate=[0.01, 0.1]),
            steps=100,
            eval_every=10,
            directory=directory,
            progress=lambda now: now.trials_done == 1,
        )
    return directory


def test_an_interrupted_sweep_has_an_exit_code_of_its_own(interrupted, capsys):
    assert main(["show", str(interrupted), "--follow"]) == 3
    assert "interrupted" in capsys.readouterr().out.splitlines()[0]


def test_the_command_draws_in_a_terminal(interrupted):
    ours, theirs = pty.openpty()
    program = "import sys; from jefficient.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "show", str(interrupted), "--follow"],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90"},
    )
    os.close(theirs)
    read = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        read += chunk
    os.close(ours)
    assert process.wait() == 3
    assert "█".encode() in read
    assert b"interrupted" in read


def test_what_is_no_sweep_is_said(tmp_path, capsys):
    assert main(["show", str(tmp_path / "missing"), "--follow"]) == 1
    assert "missing" in capsys.readouterr().err
