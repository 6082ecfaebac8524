"""What `jefficient show` and `jefficient report` print, write and refuse; what help says."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from results.made import made

from jefficient.cli import main
from jefficient.results import Status

SCORES = np.array([[[0.5], [0.7]], [[0.2], [0.3]], [[np.nan], [0.1]]])


@pytest.fixture
def saved(tmp_path):
    return str(made(SCORES, {"learning_rate": [0.1, 0.2, 0.3]}).save(tmp_path / "sweep.nc"))


def test_show_prints_best_first_by_tabs(saved, capsys):
    assert main(["show", saved]) == 0
    header, *rows = (
        line.split("\t") for line in capsys.readouterr().out.split("\n\n")[0].splitlines()
    )
    assert header[:3] == ["config", "learning_rate", "valid_loss"]
    assert [row[:3] for row in rows] == [
        ["1", "0.2", "0.25"],
        ["0", "0.1", "0.6"],
        ["2", "0.3", "0.1"],
    ]


def test_show_says_what_it_leaves_out_and_how_sure_the_best_is(saved, capsys):
    assert main(["show", saved, "--top", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 more configurations: --top 3 prints all." in out
    assert "best: learning_rate=0.2: valid_loss 0.25 ± 0.05" in out  # std 0.0707 / sqrt(2)
    # Differences 0.3 and 0.4: t = 0.35 / 0.05 = 7 with one degree of freedom, p = 0.09.
    assert "1 other configuration cannot be distinguished from it." in out
    assert "warning, diverged:" in out


def test_show_says_where_the_optimum_is(tmp_path, capsys):
    rates = np.geomspace(0.001, 1, 10)
    noise = 0.01 * np.random.default_rng(0).normal(size=(10, 5, 1))
    scores = 0.4 + 0.05 * np.log(rates / 0.03)[:, None, None] ** 2 + noise
    result = made(scores, {"learning_rate": rates.tolist(), "l2": [0.1] * 10})
    assert main(["show", str(result.save(tmp_path / "sweep.nc"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count(str(result.optimum("learning_rate"))) == 1
    assert sum("95 % interval" in line for line in lines) == 1  # one value has no optimum


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_table_fits_the_terminal_and_names_what_does_not(saved, monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["show", saved]) == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 60
    table, named = " ".join(" ".join(lines).split()).split("no room for: ")
    assert "learning_rate" in table
    assert "diverged" not in table
    assert "trials, stopped, diverged" in named


HOSTILE = ["a\tb\n\\c", "\x1b]52;c;aGk=\x07\x1b[2J\x9b\u202e"]


@pytest.fixture
def hostile(tmp_path):
    return str(made(SCORES[:2], {"\x1b[8m": HOSTILE, "b\nc": [1, 2]}).save(tmp_path / "sweep.nc"))


def test_a_table_of_tabs_stays_one(hostile, capsys):
    assert main(["show", hostile]) == 0
    out = capsys.readouterr().out
    header, *rows = (line.split("\t") for line in out.split("\n\n")[0].split("\n"))
    assert {len(header), *map(len, rows)} == {len(header)}

    def meant(cell):
        return cell.encode("latin-1", "backslashreplace").decode("unicode_escape")

    names = [meant(x) for x in header]
    assert set(names[1:3]) == {"\x1b[8m", "b\nc"}
    assert [meant(row[names.index("\x1b[8m")]) for row in rows] == HOSTILE[::-1]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out)


def test_a_terminal_is_shown_labels_and_obeys_none(hostile, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["show", hostile]) == 0
    own = re.compile(r"\x1b\[[0-9;]*m")  # rich's colours
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", own.sub("", terminal.getvalue()))
    assert "\x1b[8m" not in terminal.getvalue()
    assert terminal.getvalue().count(r"\x1b]52;c;aGk=\x07\x1b[2J\x9b\u202e") == 2


def test_a_sweep_under_way_is_best_so_far(tmp_path, capsys):
    status = np.where(np.arange(2)[:, None, None] == 0, Status.FINISHED, Status.RUNNING)
    path = made(np.ones((2, 1, 1)), {"learning_rate": [0.1, 0.2]}, status=status).save(
        tmp_path / "sweep.nc"
    )
    assert main(["show", str(path)]) == 0
    assert "best so far, 1 of 2 trials are over: learning_rate=0.1" in capsys.readouterr().out


def test_without_a_best_one_the_next_step_is_said(tmp_path, capsys):
    path = made(np.full((2, 1, 1), np.nan), {"learning_rate": [0.1, 0.2]}).save(
        tmp_path / "sweep.nc"
    )
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "no best configuration" in out
    assert "Lower the learning rates" in out


def test_report_writes_the_page_and_says_where(saved, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert main(["report", saved, "--output", str(output), "--title", "A & B"]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert "<h1>A &amp; B</h1>" in output.read_text()


@pytest.mark.parametrize("command", ["show", "report"])
def test_what_cannot_be_read_is_one_line_on_stderr(command, tmp_path, capsys):
    assert main([command, str(tmp_path / "missing.nc")]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("jefficient: jf.load: ")
    assert "missing.nc" in err
    assert "Traceback" not in err


def test_a_page_that_cannot_be_written_is_one_line_on_stderr(saved, tmp_path, capsys):
    assert main(["report", saved, "--output", str(tmp_path / "no" / "page.html")]) == 1
    assert capsys.readouterr().err.startswith("jefficient: jf.Result.report: ")


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_a_wrong_number_of_configurations_is_a_wrong_argument(top, saved, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["show", saved, "--top", top])
    assert ended.value.code == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "show", "report", "info"])
def test_help_has_an_example_and_what_comes_next(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"example: jefficient {command}" in out
    assert "next:" in out


def test_help_needs_nothing_heavy():
    program = (
        "import sys; from jefficient.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit:\n"
        "    late = 'xarray', 'pandas', 'rich', 'matplotlib'\n"
        "    print([m for m in late if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
