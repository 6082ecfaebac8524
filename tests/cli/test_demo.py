"""`jefficient demo`: a small one is trained; what is missing and Ctrl-C are said."""

import functools
import importlib.util

import pytest

import jefficient as jf
from jefficient.cli import _demo, main


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(
        _demo, "demo", functools.partial(_demo.demo, rates=2, sizes=(512,), epochs=2)
    )


@pytest.mark.usefixtures("_small")
def test_it_writes_result_and_report_and_goes_on_from_its_directory(tmp_path, capsys):
    arguments = ["demo", "--output", str(tmp_path / "out"), "--directory", str(tmp_path / "sweep")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    result = jf.load(tmp_path / "out" / "sweep.nc")
    assert f"best: {result.best()}" in out
    assert str(tmp_path / "out" / "report.html") in out
    assert "Digits: a demo" in (tmp_path / "out" / "report.html").read_text()
    assert jf.load(tmp_path / "sweep").best().score == result.best().score


@pytest.mark.parametrize(
    ("directory", "next_step"), [(None, "With --directory DIR"), ("sweep", "The same command")]
)
def test_after_ctrl_c_what_there_was_is_written(
    directory, next_step, tmp_path, monkeypatch, capsys
):
    def stopped(directory):
        from results.made import made

        from jefficient.results import Status

        return made(
            [[[0.5]], [[0.6]]],
            {"l2": [0.0, 0.1]},
            status=[[[Status.FINISHED]], [[Status.INTERRUPTED]]],
        )

    monkeypatch.setattr(_demo, "demo", stopped)
    arguments = ["--directory", directory] if directory else []
    assert main(["demo", "--output", str(tmp_path), *arguments]) == 130
    assert next_step in capsys.readouterr().out
    assert "best configuration so far" in (tmp_path / "report.html").read_text()


def test_ctrl_c_before_there_is_anything(tmp_path, monkeypatch, capsys):
    def interrupted(directory):
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "demo", interrupted)
    assert main(["demo", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "jefficient: stopped by Ctrl-C.\n"


def test_what_must_be_installed_is_said(tmp_path, monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name)
    )
    assert main(["demo", "--output", str(tmp_path)]) == 1
    assert (
        "needs scikit-learn, which is not installed. Run: pip install 'jefficient[all]'"
        in capsys.readouterr().err
    )
