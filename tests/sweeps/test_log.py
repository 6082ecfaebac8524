"""What loggers are told, live, afterwards, after a crash, by searches and in parts."""

import collections
import json
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest
from sweeps import small, tiny

import jefficient as jf

SETTINGS = {"n": 6, "diverged_above": 30.0}


class Lines(jf.Logger):
    """Keeps what it is told; two of them are the same logger to a directory."""

    def __init__(self, fails_after=np.inf):
        self.evaluations, self.ends, self.trials = collections.defaultdict(list), {}, {}
        self.closed, self.count, self.fails_after = 0, 0, fails_after

    def log(self, trial, step, values):
        self.count += 1
        if self.count > self.fails_after:
            raise OSError("the server is gone")
        self.trials[trial.key] = trial
        self.evaluations[trial.config, trial.seed, trial.fold].append((step, dict(values)))

    def end(self, trial, status):
        self.ends[trial.config, trial.seed, trial.fold] = status

    def close(self):
        self.closed += 1


def expected(dataset):
    """What a dataset says of every trial that was evaluated: steps and finite values."""
    names = ["train_loss", "valid_loss", "valid_far", "zeros"]
    names = [name for name in names if name in dataset]
    told = {}
    for trial in np.ndindex(*(dataset.sizes[x] for x in ("config", "seed", "fold"))):
        own = dataset.isel(dict(zip(("config", "seed", "fold"), trial, strict=True)))
        made = np.flatnonzero(np.isfinite(own["seconds"].values))
        values = [{x: float(own[x].values[i]) for x in names} for i in made]
        finite = [{k: x for k, x in each.items() if np.isfinite(x)} for each in values]
        if len(made):
            told[trial] = list(zip(own["step"].values[made].tolist(), finite, strict=True))
    return told


def statuses(dataset):
    return dict(np.ndenumerate(dataset["status"].values))


@pytest.fixture(scope="module")
def told():
    lines = Lines()
    return small.sweep(log=lines, **SETTINGS), lines


def test_every_evaluation_and_every_end_is_told(told):
    result, lines = told
    assert lines.evaluations == expected(result.dataset)
    assert lines.ends == statuses(result.dataset)
    assert set(lines.ends.values()) == {"finished", "stopped", "diverged"}
    assert lines.closed == 1
    assert len(lines.trials) == 24  # each has a key of its own
    for trial in lines.trials.values():
        assert trial.hyperparameters == {
            "learning_rate": result.space["learning_rate"][trial.config]
        }
        assert trial.hash == result.dataset["hash"].values[trial.config]


def test_the_numbers_are_those_without_a_logger(told):
    result = small.sweep(**SETTINGS)
    for name, x in result.dataset.drop_vars("seconds").variables.items():
        np.testing.assert_array_equal(told[0].dataset[name].values, x.values, err_msg=str(name))


def test_a_finished_result_tells_the_same(told, tmp_path):
    result, lines = told
    for each in (result, jf.load(result.save(tmp_path / "sweep.nc"))):
        after = Lines()
        each.log(after)
        assert (after.evaluations, after.ends, after.closed) == (lines.evaluations, lines.ends, 1)
        assert not set(after.trials) & set(lines.trials)  # under a new name of the sweep


@pytest.mark.parametrize("segments", [2, 4])
def test_a_resumed_sweep_tells_nothing_twice(told, tmp_path, segments):
    """Neither what the crashed process told, nor what it told after its last snapshot."""
    before, after, again = Lines(), Lines(), Lines()
    settings = {**SETTINGS, "directory": tmp_path}
    with pytest.raises(tiny.CrashError):
        small.sweep(log=before, snapshot_every=1e6, progress=tiny.crash_after(segments), **settings)
    assert before.closed == 1
    with pytest.warns(jf.JefficientWarning, match="interrupted"):
        small.sweep(log=after, progress=lambda now: now.trials_done >= 8, **settings)
    assert "interrupted" in after.ends.values()
    small.sweep(log=again, **settings)

    together = collections.defaultdict(list)
    for lines in (before, after, again):
        for trial, evaluations in lines.evaluations.items():
            together[trial] += evaluations
    assert together == told[1].evaluations
    assert before.ends | after.ends | again.ends == told[1].ends
    keys = [set(lines.trials) for lines in (before, after, again)]
    assert all(keys)
    assert len(set.union(*keys)) == 24
    over = Lines()
    small.sweep(log=over, **settings)
    assert not over.evaluations
    assert not over.ends


def test_a_logger_that_raises_loses_nothing(told, tmp_path):
    broken, whole, again = Lines(fails_after=7), Other(), Lines()
    with pytest.warns(jf.JefficientWarning, match="Lines object> raised OSError: the server"):
        result = small.sweep(log=[broken, whole], directory=tmp_path, **SETTINGS)
    assert result.table().equals(told[0].table())
    assert broken.count == 8  # and it is asked no more
    assert (broken.closed, whole.closed) == (1, 1)
    assert whole.evaluations == told[1].evaluations
    small.sweep(log=again, directory=tmp_path, **SETTINGS)
    for trial, evaluations in told[1].evaluations.items():
        assert broken.evaluations[trial] + again.evaluations[trial] == evaluations
    with pytest.raises(OSError, match="the server is gone"):
        result.log(Lines(fails_after=0))


class Other(Lines):
    pass


def test_a_line_that_was_cut_is_not_read(tmp_path):
    small.sweep(log=Lines(), directory=tmp_path, **SETTINGS)
    path = tmp_path / "logged.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:9])
    again = Lines()
    small.sweep(log=again, directory=tmp_path, **SETTINGS)
    status = json.loads(lines[-1])[-1]
    assert len(again.ends) == 1
    assert list(again.ends.values()) == [status]
    path.write_text('"20260101')  # cut before anything was told
    anew = Lines()
    small.sweep(log=anew, directory=tmp_path, **SETTINGS)
    assert len(anew.ends) == 24
    path.write_text("[]\n")
    with pytest.raises(jf.JefficientError, match=r"whose logged.jsonl is damaged"):
        small.sweep(log=again, directory=tmp_path, **SETTINGS)


class Tens(jf.Search):
    batch = 2

    def __init__(self):
        self.rates = [[0.1, 0.2], [0.01], [0.02, 1e6]]

    def example(self):
        return jf.grid(learning_rate=[0.1])

    def ask(self):
        return jf.grid(learning_rate=self.rates.pop(0)) if self.rates else None

    def tell(self, dataset):
        pass


def test_a_search_tells_the_numbers_of_the_whole():
    lines = Lines()
    task = tiny.task(validation=0.3)
    result = tiny.sweep(task, Tens(), steps=20, eval_every=10, seeds=2, log=lines)
    assert lines.evaluations == expected(result.dataset)
    assert lines.ends == statuses(result.dataset)
    assert len({trial.sweep for trial in lines.trials.values()}) == 1


def test_parts_are_told_with_their_numbers(tmp_path):
    lines, again = Lines(), Lines()
    space = jf.grid(learning_rate=[0.1, 0.2, 0.3])
    settings = {"steps": 20, "eval_every": 10, "seeds": 2, "directory": tmp_path}
    with ThreadPoolExecutor(1) as executor:
        settings |= {"executor": executor, "parts": 2}
        task = tiny.task(validation=0.3)
        result = tiny.sweep(task, space, log=lines, **settings)
        tiny.sweep(task, space, log=again, **settings)
    assert lines.evaluations == expected(result.dataset)
    assert lines.ends == statuses(result.dataset)
    assert not again.evaluations


def test_hyperparameters_are_what_loggers_can_write():
    def scheduled(rates, momentum, kind):
        del kind
        return jf.sgd(jf.interpolated_schedule(jnp.array([0, 10]), rates), momentum)

    space = jf.grid(
        rates=[np.array([0.1, 0.01])], momentum=jf.static([None]), kind=jf.static([np.sin])
    )
    lines = Lines()
    tiny.sweep(
        tiny.task(validation=0.3), space, scheduled, steps=4, eval_every=4, layers=True, log=lines
    )
    (trial,) = lines.trials.values()
    given = {"rates[0]": 0.1, "rates[1]": 0.01, "momentum": None, "kind": "sin"}
    assert trial.hyperparameters == pytest.approx(given)
    ((_, values),) = lines.evaluations[0, 0, 0]
    assert {"train_loss", "grad_norm/params"} <= set(values)
    assert trial.group == "rates[0]=0.1, rates[1]=0.01, momentum=None, kind=sin"
    long = trial._replace(hyperparameters={f"name{i}": i for i in range(50)})
    assert len(long.group) <= 100
    assert long.group.endswith(f"… {trial.hash[:8]}")


@pytest.mark.parametrize("log", ["runs", [Lines(), print], Lines])
def test_what_is_no_logger_is_refused(log):
    with pytest.raises(jf.ArgumentTypeError, match=r"jf.sweep: log must be a jf.Logger or several"):
        small.sweep(log=log)
