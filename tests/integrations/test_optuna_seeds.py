"""One seed, many processes: no point is proposed twice by chance, and copies do not count.

Nothing is trained: the searches are told made-up results.
"""

import random

import numpy as np
import optuna
import pytest
from integrations.bowl import RANGES
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState

import jefficient as jf
from jefficient.integrations import _optuna_search
from jefficient.integrations._optuna_seed import Reseeded, _generators
from jefficient.results import Status
from jefficient.sweeps import Goal
from jefficient.testing._search import _results

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
optuna.logging.set_verbosity(optuna.logging.ERROR)

GOAL = Goal("min", {"steps": 30})
GRID = {"rate": list(np.geomspace(1e-4, 1.0, 10)), "share": list(np.linspace(0.0, 1.0, 20))}
SMALL = {"rate": jf.Choice([0.1, 0.01, 0.001]), "share": jf.Uniform(1, 2, integer=True)}

DRAWING = {
    "random": RandomSampler,
    "tpe": TPESampler,
    "tpe, each alone": lambda seed: TPESampler(seed=seed, multivariate=False),
    "tpe, liar": lambda seed: TPESampler(seed=seed, constant_liar=True),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=8),
    "nsga3": lambda seed: NSGAIIISampler(seed=seed, population_size=8),
    "fixed": lambda seed: PartialFixedSampler({"share": 0.5}, RandomSampler(seed=seed)),
}
SAMPLERS = {
    **DRAWING,
    "grid": lambda seed: GridSampler(GRID, seed=seed),
    "qmc": lambda seed: QMCSampler(seed=seed),
    "qmc, scrambled": lambda seed: QMCSampler(seed=seed, scramble=True),
}

CLONING = ("nsga2", "nsga3")
"""Children that nothing has changed are copies of their parents."""


def begun(storage, n, sampler=TPESampler, batch=8, **ranges):
    """A search as in a process of its own."""
    place = {"storage": storage, "study_name": "shared"}
    search = jf.optuna(sampler(seed=0), n, batch=batch, **place, **(ranges or RANGES))
    search.begin(GOAL)
    return search


def finish(search):
    """Tell a search all that it proposes; return how many configurations that are."""
    count = 0
    while (space := search.ask()) is not None:
        search.tell(_results(space, "min"))
        count += len(space)
    search.close()
    return count


def points(study, state=TrialState.COMPLETE):
    trials = study.get_trials(deepcopy=False, states=[state])
    return [tuple(trial.params[name] for name in sorted(trial.params)) for trial in trials]


def killed_and_resumed(sampler, n, kills=9):
    """A study whose first batch was begun some times in vain before it was trained to its end."""
    storage = optuna.storages.InMemoryStorage()
    for _ in range(kills):
        killed = begun(storage, n, sampler)
        killed.ask()
        for trial in killed.study.get_trials(states=[TrialState.RUNNING]):  # as by its heartbeat
            killed.study.tell(trial.number, state=TrialState.FAIL)
            killed.study.enqueue_trial(trial.params)
    last = begun(storage, n, sampler)
    finish(last)
    return last.study


@pytest.mark.parametrize("name", SAMPLERS)
def test_killed_in_its_first_batch_a_study_proposes_no_point_twice(name):
    """Nine times; the points that were lost are those that are trained first."""
    told = points(killed_and_resumed(SAMPLERS[name], n=60))
    assert len(set(told)) == 60
    assert len(told) == 60 or name in CLONING


def test_what_goes_on_is_a_function_of_the_seed_and_the_study():
    first, second = (killed_and_resumed(TPESampler, n=90) for _ in range(2))
    assert points(first) == points(second)
    other = killed_and_resumed(lambda seed: TPESampler(seed=seed + 1), n=90)
    assert not set(points(other)) & set(points(first))


@pytest.mark.parametrize("name", SAMPLERS)
def test_two_processes_with_one_seed_propose_different_points(name):
    storage = optuna.storages.InMemoryStorage()
    pair = [begun(storage, 64, SAMPLERS[name]) for _ in range(2)]
    for _ in range(4):
        spaces = [search.ask() for search in pair]
        for search, space in zip(pair, spaces, strict=True):
            search.tell(_results(space, "min"))
    told = points(pair[0].study)
    assert len(set(told)) == 64
    assert len(told) == 64 or name in CLONING
    assert pair[0].ask() is None
    assert pair[1].ask() is None


@pytest.mark.parametrize("name", DRAWING)
def test_the_random_numbers_of_a_sampler_are_found(name):
    """Where a sampler keeps them is not public: this says if a version of Optuna changes it."""
    kinds = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("rate", "share")}

    def proposed(seed, number):
        study = optuna.create_study(sampler=DRAWING[name](seed=seed))
        for _ in range(number):
            study.add_trial(optuna.create_trial(value=0.0, params={}, distributions={}))
        with Reseeded(study.sampler).of(study):
            return study.ask(kinds).params["rate"]

    assert list(_generators(DRAWING[name](seed=0), set()))
    assert not list(_generators(DRAWING[name](seed=None), set()))
    assert proposed(0, 3) == proposed(0, 3)
    assert len({proposed(0, 3), proposed(0, 4), proposed(1, 3)}) == 3


def test_an_uninterrupted_study_is_reproducible_and_its_sampler_stays():
    runs = []
    for _ in range(2):
        sampler = TPESampler(seed=3)
        search = jf.optuna(sampler, 30, batch=8, storage=None, **RANGES)
        search.begin(GOAL)
        finish(search)
        assert search.study.sampler is sampler
        runs.append(points(search.study))
    assert runs[0] == runs[1]


class Own(BaseSampler):
    """A sampler of somebody's own, whose random numbers are not NumPy's."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def reseed_rng(self):
        self.random.seed()

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.random.uniform(param_distribution.low, param_distribution.high)


def test_random_numbers_of_other_kinds_begin_anew_after_trials_of_others():
    first, again = optuna.storages.InMemoryStorage(), optuna.storages.InMemoryStorage()
    for storage in (first, again):
        finish(begun(storage, 20, Own))
    study, other = (optuna.load_study(study_name="shared", storage=s) for s in (first, again))
    assert points(study) == points(other)  # nobody else proposed anything
    finish(begun(first, 40, Own))
    assert len(set(points(study))) == len(points(study)) == 40


@pytest.mark.parametrize("sampler", [TPESampler, RandomSampler, BruteForceSampler])
def test_copies_do_not_count_and_a_finite_space_ends(sampler):
    storage = optuna.storages.InMemoryStorage()
    search = begun(storage, 4, sampler, batch=2, **SMALL)
    finish(search)
    assert len(set(points(search.study))) == 4

    rest = begun(storage, 99, sampler, batch=2, **SMALL)  # as after a resumption
    with pytest.warns(jf.JefficientWarning, match=r"got n=99 and .*\. The search ends after 6\."):
        trained = finish(rest)
    assert rest.ask() is None  # and says so once
    assert trained == 2
    assert len(set(points(search.study))) == 6
    values = {p: t.value for p, t in zip(points(search.study), search.study.trials, strict=True)}
    for point, trial in zip(points(search.study), search.study.trials, strict=True):
        assert trial.value == values[point]
    with pytest.raises(jf.ArgumentError, match="a configuration without a result must be left"):
        begun(storage, 99, sampler, **SMALL)


def test_a_sampler_that_proposes_one_point_for_ever_ends(monkeypatch):
    monkeypatch.setattr(_optuna_search, "MOST_COPIES", 5)
    search = begun(None, 9, lambda seed: PartialFixedSampler(POINT, RandomSampler(seed=seed)))
    with pytest.warns(
        jf.JefficientWarning,
        match="a PartialFixedSampler that has proposed what was told 5 times in a row.* after 1",
    ):
        finish(search)
    assert len(points(search.study)) == 8 + 5  # the first batch does not know itself


POINT = {"rate": 0.01, "share": 0.5}


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.STOPPED])
def test_copies_of_what_failed_or_was_stopped_are_told_the_same(status):
    storage = optuna.storages.InMemoryStorage()
    first = begun(storage, 1)
    first.study.enqueue_trial(POINT)
    space = first.ask()
    first.tell(_results(space, "min", ended=[status]))
    first.close()

    again = begun(storage, 2, batch=1)
    again.study.enqueue_trial(POINT)
    assert again.ask().hashes != space.hashes
    original, copy = again.study.trials[:2]
    assert (original.params, original.state, original.value, original.user_attrs) == (
        copy.params,
        copy.state,
        copy.value,
        copy.user_attrs,
    )


def test_points_of_other_ranges_count_but_are_no_copies():
    """Numbers are brought into the ranges for programs: a point outside is not that at the end."""
    storage = optuna.storages.InMemoryStorage()
    wide = begun(storage, 1, share=jf.Uniform(1, 9, integer=True))
    wide.study.enqueue_trial({"share": 9})
    finish(wide)
    narrow = begun(storage, 99, share=jf.Uniform(1, 3, integer=True))
    with pytest.warns(jf.JefficientWarning, match="got n=99 and ranges of 3 .* ends after 4"):
        finish(narrow)
    assert set(points(narrow.study)) == {(9,), (1,), (2,), (3,)}
