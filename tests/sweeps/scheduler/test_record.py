"""Ranks, weights and observations of many configurations at once, and of one after another."""

import time

import numpy as np
import pytest

from jefficient.results import Score, Status, at_evaluations, last_evaluation
from jefficient.sweeps.programs import Evaluation, Group
from jefficient.sweeps.scheduler._record import Place, Record

EVALUATIONS, SEEDS, FOLDS = 4, 2, 3


def group_of(configs):
    """Folds make 1, 2 or 3 updates between two evaluations."""
    lengths = np.random.default_rng(0).integers(1, EVALUATIONS + 1, configs)
    per_epoch = np.arange(1, FOLDS + 1)
    evaluations = tuple(np.outer(per_epoch, np.arange(1, n + 1)) for n in lengths)
    return Group(
        configs=np.arange(configs),
        static={},
        labels={},
        numbers={"rate": np.ones(configs, np.float32)},
        fold_numbers={},
        steps=np.outer(lengths, per_epoch),
        evaluations=evaluations,
        steps_per_epoch=per_epoch.astype(float),
        seeds=SEEDS,
        folds=FOLDS,
    )


def record(group, keep, select="last"):
    score = Score("valid_loss", "min", select)
    return Record(len(group.configs), [group], [8], score, ("valid_loss",), {}, keep)


def filled(group, keep, at_a_time, select="last", seed=0):
    """A record whose trials are evaluated in a random order, `at_a_time` of them at once."""
    draw, it = np.random.default_rng(seed), record(group, keep, select)
    at, values = (
        np.zeros(group.trials, int),
        draw.normal(size=(group.trials, EVALUATIONS)).astype(np.float32),
    )
    diverges = draw.random(values.shape) < 0.1
    going = np.arange(group.trials)
    while len(going):
        trials = np.sort(draw.permutation(going)[:at_a_time])
        row, member_seed, fold = group.place(trials)
        index = at[trials]
        steps, is_lost = group.until(row, fold, index), diverges[trials, index]
        status = np.where(
            is_lost,
            Status.DIVERGED,
            np.where(steps == group.steps[row, fold], Status.FINISHED, Status.RUNNING),
        )
        seen = {"valid_loss": np.where(is_lost, np.nan, values[trials, index])}
        it.add(
            Place(row, member_seed, fold),
            index,
            Evaluation(
                seen, status, steps, np.where(is_lost, steps, -1), seconds=np.zeros(len(steps))
            ),
            8,
        )
        for i in np.flatnonzero(status != Status.RUNNING):
            if it.leaderboard.wants(int(row[i])):
                it.weights[int(row[i]), int(member_seed[i]), int(fold[i])] = trials[i]
        at[trials] += 1
        going = np.setdiff1d(going, trials[status != Status.RUNNING])
    return it


def ranked(it, score):
    """All configurations by their rank, each worked out alone."""
    curves, ranks = it.curves, []
    for config in range(len(curves.step)):
        values, status, taken = (
            curves.measured["valid_loss"][config],
            curves.status[config],
            curves.steps_taken[config],
        )
        evaluations = score.evaluations(values, status, last_evaluation(curves.step[config], taken))
        [rank] = score.rank(
            *(x.reshape(1, -1) for x in (at_evaluations(values, evaluations), status, taken))
        )
        ranks.append((rank, config))
    return sorted(ranks)


@pytest.mark.parametrize("select", ["last", "best"])
@pytest.mark.parametrize("keep", [1, 5, 1000])
@pytest.mark.parametrize("at_a_time", [1, 7, 500])
def test_the_best_are_kept_with_all_their_weights_and_nobody_else_s(select, keep, at_a_time):
    group = group_of(40)
    it = filled(group, keep, at_a_time, select)
    best = ranked(it, Score("valid_loss", "min", select))[:keep]
    assert it.leaderboard._ranked == best
    assert {c for c, _, _ in it.weights} == {config for _, config in best}
    assert len(it.weights) == len(best) * SEEDS * FOLDS
    finite = [mean for (without, _, mean), _ in best if without == 0]
    assert it.progress().best == (min(finite) if finite else None)


def test_a_record_that_is_restored_has_the_same_ranks():
    group = group_of(40)
    it, other = filled(group, 5, 7), record(group, 5)
    everything = np.arange(40)
    other.restore(it.arrays(), everything, everything)
    assert other.leaderboard._ranked == it.leaderboard._ranked
    assert not len(other.unfinished())


@pytest.mark.parametrize("select", ["last", "best"])
def test_observations_of_many_are_those_of_each(select):
    group = group_of(40)
    together, alone = (filled(group, 5, 7, select) for _ in range(2))
    everything = np.arange(40)
    counts = group.evaluation_count(everything)
    assert counts.tolist() == [evaluations.shape[1] for evaluations in group.evaluations]
    found = together.unobserved(everything, counts)
    assert found == [
        (config, *observed[1:])
        for config in everything.tolist()
        for observed in alone.unobserved(everything[[config]], counts[[config]])
    ]
    assert not together.unobserved(everything, counts)
    assert any(np.isinf(score) for _, _, score in found)
    assert any(np.isfinite(score) for _, _, score in found)
    curves = together.curves
    for config, evaluation, score in found:
        if (curves.status[config] == Status.FINISHED).all():
            values = curves.measured["valid_loss"][config]
            scores = (
                values[..., : evaluation + 1].min(axis=-1)
                if select == "best"
                else values[..., evaluation]
            )
            assert score == float(scores.mean())


def test_the_rate_leaves_compilation_out():
    group = group_of(2)
    it = record(group, 1)
    assert it.progress().rate == 0.0
    time.sleep(0.02)  # compilation
    it.training_begins()
    first = Place(np.array([0]), np.array([0]), np.array([0]))
    steps = np.array([group.until(0, 0, 0)])
    it.add(
        first,
        np.array([0]),
        Evaluation(
            {"valid_loss": np.array([0.5])},
            np.array([Status.RUNNING]),
            steps,
            steps,
            seconds=np.zeros(1),
        ),
        8,
    )
    progress = it.progress()
    assert progress.rate > progress.steps_done / progress.seconds > 0
    left = progress.steps - progress.steps_done
    assert progress.seconds_left == left / progress.rate
