"""jf.tune: its three looks on a small line, and how it ends when there is no time."""

import pytest
from sweeps import tiny

import jefficient as jf
from jefficient.sweeps import _tune

RANGES = {"learning_rate": jf.LogUniform(1e-3, 3.0)}


def tuned(**changes):
    task = tiny.task(validation=0.3)
    settings = {"ranges": RANGES, "steps": 30, "batch_size": 8, "time_limit": 600}
    return jf.tune(task, jf.sgd, **{**settings, **changes})


@pytest.fixture(scope="module")
def found():
    return tuned(progress=False)


def test_each_look_follows_from_the_one_before(found):
    wide, close, ties = (found.results[name] for name in ("wide", "close", "ties"))
    proposed = wide.next_space()
    assert wide.dataset.sizes["config"] == _tune.WIDE
    assert close.space["learning_rate"] == proposed.columns["learning_rate"]
    assert close.dataset.sizes["seed"] == proposed.seeds == 5
    could_be = close.ties().index[: _tune.TIES]
    assert set(ties.dataset["hash"].values) == set(close.dataset["hash"].values[could_be])
    assert ties.dataset.sizes["seed"] == 10
    assert found.best() == ties.best()
    # the best of 64 draws of one seed, and the best of seven in five seeds, are of one bowl
    assert 0.02 < found.best().hyperparameters["learning_rate"] < 0.5


def test_it_says_what_it_did(found, capsys):
    text = str(found)
    assert text.count("best: learning_rate=") == 3
    assert str(found.results["wide"].next_space()) in text
    assert "twice the seeds for" in text
    assert capsys.readouterr().out == ""


def test_without_time_nothing_is_trained_and_it_says_so(capsys):
    nothing = tuned(time_limit=1e-9)
    assert list(nothing.results) == ["wide"]
    assert "nothing finished; interrupted" in capsys.readouterr().out
    with pytest.raises(jf.JefficientError, match="got none such of 64"):
        nothing.best()


def test_where_time_ends_after_the_wide_look_its_best_is_the_answer(monkeypatch):
    monkeypatch.setitem(_tune.SHARES, "close", 0.0)
    monkeypatch.setitem(_tune.SHARES, "wide", 1.0)
    short = tuned(progress=False)
    assert list(short.results) == ["wide", "close"]
    assert short.result is short.results["wide"]


def test_the_starting_space_is_that_of_the_optimizer():
    assert set(_tune._ranges(jf.adamw, None)) == {"learning_rate", "weight_decay"}
    task = tiny.task(validation=0.3)
    with pytest.raises(jf.ArgumentError, match="ranges must be given"):
        jf.tune(task, lambda rate: jf.sgd(rate), steps=10)
    with pytest.raises(jf.ArgumentError, match="time_limit"):
        jf.tune(task, jf.adam, time_limit=0, steps=10)
