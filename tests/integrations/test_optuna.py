"""Optuna proposes, sweeps train: real studies, real databases, real processes."""

import collections
import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from integrations import worker
from integrations.bowl import LOOKS, RANGES, TRIAL, score, sweep
from optuna.trial import TrialState
from results.made import made
from sweeps import tiny
from sweeps.tiny import sweep as tiny_sweep
from sweeps.tiny import task as tiny_task

import jefficient as jf
from jefficient.integrations._optuna_record import distribution
from jefficient.results import Status, outcomes

optuna.logging.set_verbosity(optuna.logging.WARNING)

COMPLETE, PRUNED, FAIL, WAITING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.WAITING,
)


def search(n=12, sampler=None, batch=4, **changes):
    sampler = optuna.samplers.RandomSampler(seed=2) if sampler is None else sampler
    if not isinstance(sampler, optuna.Study):
        changes.setdefault("storage", None)
    return jf.optuna(sampler, n, batch=batch, **{**RANGES, **changes})


def states(study):
    return collections.Counter(trial.state for trial in study.get_trials(deepcopy=False))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A sweep whose study is in a file, what it compiled in each round, and the file read again."""
    path, compiled, rounds = tmp_path_factory.mktemp("told") / "study.db", [], []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        asked = search(20, storage=f"sqlite:///{path}", study_name="told")
        ask = asked.ask
        asked.ask = lambda: rounds.append(len(compiled)) or ask()
        result = sweep(asked, seeds=2)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return (
        result,
        optuna.load_study(study_name="told", storage=worker.opened(f"sqlite:///{path}")),
        rounds,
    )


def test_trials_are_told_what_the_formula_says(told):
    result, study, _ = told
    trials = study.get_trials()
    assert (
        [trial.number for trial in trials]
        == result.dataset["optuna_trial"].values.tolist()
        == list(range(20))
    )
    assert states(study)[FAIL] >= 1
    for trial, rate, share in zip(
        trials, *(result.dataset[name].values for name in RANGES), strict=True
    ):
        np.testing.assert_allclose(
            [rate, share], [trial.params["rate"], trial.params["share"]], rtol=1e-7
        )
        if rate > 0.1:
            assert (trial.state, trial.value, trial.intermediate_values) == (FAIL, None, {})
            assert trial.user_attrs == {"failed": "diverged at update 0"}
            continue
        assert (trial.state, trial.user_attrs) == (COMPLETE, {})
        np.testing.assert_allclose(trial.value, score(rate, share), rtol=1e-5)
        assert tuple(trial.intermediate_values) == LOOKS
        np.testing.assert_allclose(
            list(trial.intermediate_values.values()),
            [score(rate, share, t) for t in LOOKS],
            rtol=1e-5,
        )


def test_later_rounds_compile_nothing(told):
    rounds = told[2]
    assert len(rounds) == 6  # five batches of four, and the question that is answered by None
    assert rounds[1] > rounds[0]
    assert rounds[1:] == [rounds[1]] * 5


def test_the_result_is_that_of_a_table_of_the_same_configurations(told):
    result, study, _ = told
    space = jf.Space(dict(result.space))
    table = sweep(space, seeds=2)
    assert table.dataset["hash"].values.tolist() == result.dataset["hash"].values.tolist()
    np.testing.assert_array_equal(
        table.dataset["valid_loss"].values, result.dataset["valid_loss"].values
    )
    assert result.best().config == table.best().config
    assert result.dataset["optuna_trial"].values[result.best().config] == study.best_trial.number
    assert (result.dataset.attrs["proposal_batches"], result.dataset.attrs["optuna_study"]) == (
        5,
        "told",
    )
    assert (
        np.diff(
            result.dataset["seconds"].max(["seed", "fold", "evaluation"]).values[[0, 4, 8, 12, 16]]
        )
        > 0
    ).all()


def test_weights_are_those_of_the_best_of_all_rounds():
    result = tiny_sweep(
        tiny_task(test=(np.ones((4, 3), np.float32), np.ones(4, np.float32)), validation=0.3),
        jf.optuna(
            optuna.samplers.RandomSampler(seed=0),
            9,
            batch=3,
            storage=None,
            learning_rate=jf.LogUniform(1e-3, 1e-1),
        ),
        steps=20,
        seeds=2,
        keep_configs=2,
    )
    best = result.table().index[:2].tolist()
    assert sorted({config for config, _, _ in result.weights}) == sorted(best)
    assert result.test is not None
    for config in best:
        for seed in range(2):
            again = result.replay(config, seed)
            np.testing.assert_array_equal(again.params, result.params(config, seed))


def test_a_value_is_the_mean_over_seeds_and_folds():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    result = tiny_sweep(
        tiny_task(),
        jf.optuna(
            study, 3, batch=2, learning_rate=jf.LogUniform(1e-3, 1e-1), batch_size=jf.Choice([4, 8])
        ),
        steps=10,
        seeds=2,
        folds=3,
        batch_size=None,
    )
    curves = result.dataset["valid_loss"].values.astype(float)
    assert curves.shape[:3] == (3, 2, 3)
    evaluations = (result.dataset["step"].values >= 0).sum(axis=1)
    last = [
        curve[..., evaluation - 1].mean()
        for curve, evaluation in zip(curves, evaluations, strict=True)
    ]
    np.testing.assert_allclose([t.value for t in study.trials], last, rtol=1e-7)


def test_values_on_the_way_have_the_updates_of_the_largest_fold():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    folds = [(np.arange(10), np.arange(20, 30)), (np.arange(20), np.arange(20, 30))]
    result = tiny_sweep(
        tiny_task(),
        jf.optuna(study, 1, learning_rate=jf.LogUniform(1e-3, 1e-1)),
        epochs=2,
        folds=folds,
        batch_size=4,
    )
    assert result.dataset["steps_taken"].values.tolist() == [[[5, 10]]]
    assert list(study.trials[0].intermediate_values) == [5, 10]


def test_labels_of_static_values_are_what_optuna_sees():
    kinds = jf.static({"near": lambda x: x, "far": lambda x: x + 1})

    def evaluation(t, data, kind, depth, rate):
        assert depth.dtype == jnp.int32
        return {"valid_loss": kind(rate) + depth.astype(jnp.float32)}

    trial = jf.Trial(TRIAL.init, TRIAL.step, evaluation)
    ranges = {
        "rate": jf.Choice([0.0625, 0.03125]),
        "kind": kinds,
        "depth": jf.Uniform(1, 3, integer=True),
    }
    asked = jf.optuna(optuna.samplers.RandomSampler(seed=2), 12, batch=4, storage=None, **ranges)
    result = sweep(asked, trial)
    assert {t.params["kind"] for t in asked.study.trials} == {"near", "far"}
    for t in asked.study.trials:
        assert t.value == t.params["rate"] + (t.params["kind"] == "far") + t.params["depth"]
    assert set(result.dataset["kind"].values) == {"near", "far"}
    assert isinstance(result.best().hyperparameters["depth"], int)


def test_ranges_are_optunas_distributions():
    made_of = {
        jf.Uniform(0, 2): optuna.distributions.FloatDistribution(0.0, 2.0),
        jf.LogUniform(1, 2): optuna.distributions.FloatDistribution(1.0, 2.0, log=True),
        jf.Uniform(0, 2, integer=True): optuna.distributions.IntDistribution(0, 2),
        jf.LogUniform(1, 8, integer=True): optuna.distributions.IntDistribution(1, 8, log=True),
    }
    assert {given: distribution(given) for given in made_of} == made_of
    choices = [jf.Choice([1, 0.5]), jf.Choice(jf.static([16, 32])), jf.Choice([None, True, "a"])]
    assert [distribution(x).choices for x in choices] == [(1, 0.5), (16, 32), ("None", "True", "a")]


def test_what_is_proposed_again_is_trained_once_and_told_to_all():
    asked = search(9, batch=3, rate=jf.Choice([0.01, 0.1]), share=jf.Choice([0.25]))
    with pytest.warns(
        jf.JefficientWarning,
        match=r"jf\.optuna: n trials of different points .* n=9 and ranges of 2 conf.* after 2\.",
    ):
        result = sweep(asked)
    assert result.dataset.sizes["config"] == 2
    known = dict(
        zip(
            result.dataset["rate"].values,
            result.dataset["valid_loss"].values[:, 0, 0, -1],
            strict=True,
        )
    )
    assert set(states(asked.study)) == {COMPLETE}
    assert [t.value for t in asked.study.trials] == [
        known[t.params["rate"]] for t in asked.study.trials
    ]


GRID = {"rate": [0.001, 0.01, 0.1], "share": [0.25, 0.5]}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["grid", "brute force"])
def test_a_sampler_without_more_to_propose_ends_the_search(name):
    if name == "grid":
        asked = search(20, optuna.samplers.GridSampler(GRID, seed=0))
    else:
        choices = {name: jf.Choice(values) for name, values in GRID.items()}
        asked = search(20, optuna.samplers.BruteForceSampler(seed=0), **choices)
    with pytest.warns(
        jf.JefficientWarning,
        match=r"jf\.optuna: n trials of different points were .*, got n=20 and a (Grid|Brute)",
    ):
        result = sweep(asked)
    assert sorted(
        zip(result.dataset["rate"].values, result.dataset["share"].values, strict=True)
    ) == sorted((rate, share) for rate in GRID["rate"] for share in GRID["share"])
    assert set(states(asked.study)) == {COMPLETE}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", [optuna.samplers.TPESampler, optuna.samplers.QMCSampler])
def test_other_samplers(sampler):
    asked = search(16, sampler(seed=0), batch=8)
    sweep(asked)
    assert sum(states(asked.study).values()) == 16


def test_scores_to_maximise():
    trial = jf.Trial(
        TRIAL.init, TRIAL.step, lambda t, data, rate, share: {"height": -((share - 0.5) ** 2)}
    )
    asked = search(8)
    result = sweep(asked, trial, metric="height", mode="max")
    assert asked.study.direction == optuna.study.StudyDirection.MAXIMIZE
    done = [t for t in asked.study.trials if t.state == COMPLETE]
    assert abs(asked.study.best_params["share"] - 0.5) == min(
        abs(t.params["share"] - 0.5) for t in done
    )
    assert (
        result.dataset["optuna_trial"].values[result.best().config] == asked.study.best_trial.number
    )


def test_outcomes_of_every_status():
    nan, done, over = np.nan, Status.FINISHED, Status.DIVERGED
    curves = [
        [[4, 2], [6, 3]],
        [[4, 2], [nan, nan]],
        [[5, nan]] * 2,
        [[nan, nan]] * 2,
        [[4, nan], [4, 4]],
    ]
    status = [
        [done, done],
        [done, over],
        [Status.STOPPED] * 2,
        [Status.INTERRUPTED, done],
        [done, done],
    ]
    curves, status = np.array(curves, float)[:, :, None], np.array(status)[:, :, None]
    found = outcomes(
        made(
            curves[..., -1],
            {"rate": [1, 2, 3, 4, 5]},
            evaluations={"valid_loss": curves},
            status=status,
        ).dataset
    )
    assert [x.state for x in found] == [COMPLETE, FAIL, PRUNED, None, FAIL]
    assert [x.value for x in found] == [2.5, None, None, None, None]
    assert [x.seen for x in found] == [[(10, 5.0), (20, 2.5)], [], [(10, 5.0)], [], [(10, 4.0)]]
    assert [x.failed for x in found] == [
        None,
        "diverged at update 5",
        None,
        None,
        "its score is not finite",
    ]


def test_a_larger_n_goes_on_with_the_study(tmp_path):
    place = {"storage": f"sqlite:///{tmp_path}/study.db", "study_name": "long"}
    sweep(search(4, **place))
    asked = search(10, optuna.samplers.RandomSampler(seed=3), **place)
    assert sweep(asked).dataset["optuna_trial"].values.tolist() == [4, 5, 6, 7, 8, 9]
    with pytest.raises(
        jf.ArgumentError, match=r"n must be more than the study's trials, got n=10 and 10 trials"
    ):
        sweep(search(10, **place))
    with pytest.raises(
        jf.ArgumentError, match=r"a study must stay with one sweep, got steps=4 .* begun with 6"
    ):
        sweep(search(20, **place), steps=4)
    with pytest.raises(
        jf.ArgumentError, match=r"the study must maximize one score, got .*'minimize'"
    ):
        sweep(search(20, **place), mode="max")


def test_two_processes_share_a_study_and_one_is_killed(tmp_path):
    worker.check_two_of_which_one_is_killed(f"sqlite:///{tmp_path}/study.db", n=28, folder=tmp_path)


def test_ctrl_c_keeps_what_is_done_and_proposes_the_rest_again(tmp_path, monkeypatch):
    tiny.series_of(monkeypatch, 0)
    place = {"storage": f"sqlite:///{tmp_path}/study.db", "study_name": "cut"}
    place["rate"] = jf.LogUniform(1e-4, 0.1)  # nothing diverges

    cuts = []

    def cut(progress):
        if progress.trials_done == 4 and progress.steps_done > 4 * LOOKS[-1] and not cuts:
            cuts.append(progress)
            os.kill(os.getpid(), signal.SIGINT)

    asked = search(12, **place)
    with pytest.warns(jf.JefficientWarning, match="interrupted by Ctrl-C with"):
        result = sweep(asked, progress=cut)
    interrupted = (result.dataset["status"] == "interrupted").any(["seed", "fold"]).values
    waiting = [t.system_attrs["fixed_params"] for t in asked.study.trials if t.state == WAITING]
    assert len(waiting) == interrupted.sum() > 0
    numbers = result.dataset["optuna_trial"].values[interrupted]
    assert waiting == [asked.study.trials[i].params for i in numbers]
    again = search(12, **place)
    sweep(again)
    ended = [t for t in again.study.trials if t.state == COMPLETE or "failed" in t.user_attrs]
    assert len(ended) == 12
    assert not states(again.study)[WAITING]


def test_what_others_have_given_up_is_not_told():
    """As when this process slept for longer than its heartbeats may be missing."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def give_up(progress):
        if study.trials[1].state == TrialState.RUNNING:
            study.tell(1, state=FAIL)

    result = sweep(search(4, study), progress=give_up)
    assert study.trials[1].state == FAIL
    assert study.trials[1].intermediate_values == {}
    assert sum(states(study).values()) == 5  # another came in its place
    assert result.dataset["optuna_trial"].values.tolist() == [0, 1, 2, 3, 4]


def test_a_result_joins_that_of_a_table():
    proposed, table = sweep(search(3)), sweep(jf.grid(rate=[0.01, 0.02], share=[0.5]))
    for whole, numbers in (
        (proposed + table, [0, 1, 2, -1, -1]),
        (table + proposed, [-1, -1, 0, 1, 2]),
    ):
        assert whole.dataset["optuna_trial"].values.tolist() == numbers
        assert whole.dataset["optuna_trial"].attrs == proposed.dataset["optuna_trial"].attrs


def test_stopped_configurations_are_pruned():
    asked = search(16, batch=8)
    result = sweep(asked, stop=jf.median_stop(min_configs=2), seeds=2)
    stopped = (result.dataset["status"] == "stopped").any(["seed", "fold"]).values
    pruned = [t for t in asked.study.trials if t.state == PRUNED]
    assert [t.number for t in pruned] == np.flatnonzero(stopped).tolist() != []
    for t in pruned:  # Optuna takes the last intermediate value
        np.testing.assert_allclose(
            t.value, score(**t.params, t=max(t.intermediate_values)), rtol=1e-5
        )


def test_a_search_in_which_everything_diverges():
    asked = search(3, batch=2, rate=jf.LogUniform(0.2, 1.0))
    result = sweep(asked)
    assert states(asked.study) == {FAIL: 3}
    assert (result.dataset["status"] == "diverged").all()


def test_an_error_fails_what_was_asked_for():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def broken(progress):
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        sweep(search(4, study), progress=broken)
    assert states(study) == {FAIL: 4}
    assert len(sweep(search(4, study)).dataset["config"]) == 4


@pytest.mark.parametrize("name", ["plan", "directory", "executor"])
def test_what_needs_a_table_is_refused(name):
    asked = search(storage="sqlite:///nowhere/never.db")  # refused before the database is opened
    with pytest.raises(
        jf.ArgumentError, match=f"jf.sweep: {name} must be None where configurations are proposed"
    ):
        sweep(asked, **{name: "measure"})


def test_bad_arguments():
    sampler = optuna.samplers.RandomSampler()
    with pytest.raises(jf.ArgumentError, match=r"jf\.optuna: n .*, got n=0"):
        jf.optuna(sampler, 0, rate=jf.Uniform(0, 1))
    with pytest.raises(jf.ArgumentError, match=r"jf\.optuna: at least one range must be given"):
        jf.optuna(sampler, 4)
    with pytest.raises(jf.ArgumentTypeError, match=r"jf\.optuna: rate must be jf\.Uniform"):
        jf.optuna(sampler, 4, rate=[1, 2, 3])
    with pytest.raises(jf.ArgumentTypeError, match=r"jf\.optuna: study_or_sampler must be"):
        jf.optuna("TPE", 4, rate=jf.Uniform(0, 1))
    with pytest.raises(
        jf.ArgumentTypeError, match=r"jf\.optuna: storage and study_name go with a sampler"
    ):
        jf.optuna(optuna.create_study(), 4, storage=None, rate=jf.Uniform(0, 1))
    with pytest.raises(
        jf.ArgumentError, match=r"the study must minimize one score, got .*'minimize', 'maximize'"
    ):
        sweep(search(4, optuna.create_study(directions=["minimize", "maximize"])))


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(jf.JefficientError, match=r"pip install 'jefficient\[optuna\]'"):
        jf.optuna(None, 4, rate=jf.Uniform(0, 1))


def test_importing_jefficient_imports_no_optuna():
    program = "import sys, jefficient; print('optuna' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
