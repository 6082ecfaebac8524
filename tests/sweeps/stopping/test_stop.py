"""Early stopping: the rules against oracles written from their papers, then inside of sweeps."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps.planted import check_like_engine
from sweeps.tiny import lanes, sweep, task

import jefficient as jf
from jefficient import Observation
from jefficient.sweeps.programs._groups import TrialLength
from jefficient.sweeps.stopping import PrunerLog
from jefficient.sweeps.stopping._hyperband import Hyperband

# The oracles. Both get everything that was observed, in order, and work out all of it again for
# each answer.


class Told(NamedTuple):
    """An observation and its logical time; `progress` is exact: a Fraction of epochs or updates."""

    time: int
    config: int
    step: int
    progress: Fraction
    score: float


def halving(told: list[Told], now: Told, eta: Fraction, first: Fraction) -> bool:
    """Whether asynchronous successive halving stops.

    Li et al. 2020, algorithm 2, in the form without resuming.

    Of the |rung k| configurations that have reached first·etaᵏ by the end of this logical time,
    ⌊|rung k| / eta⌋ are let through, and one in any case.
    """
    known = [t for t in told if t.time <= now.time]
    rungs = [first * eta**k for k in range(60) if first * eta**k <= now.progress]

    def entry(config: int, rung: Fraction) -> Told | None:
        return next((t for t in known if t.config == config and t.progress >= rung), None)

    entered = [rung for rung in rungs if entry(now.config, rung) is now]
    if not entered:
        return False
    entries = [entry(config, entered[-1]) for config in {t.config for t in known}]
    scores = [t.score for t in entries if t is not None]
    better = sum(score < now.score for score in scores)
    return now.score == math.inf or better >= max(1, math.floor(len(scores) / eta))


def median(told: list[Told], now: Told, min_steps: int, min_configs: int) -> bool:
    """Whether the median stopping rule stops; what has diverged is stopped at once.

    Golovin et al. 2017, section 3.2.2. In exact numbers: one as good as the median goes on.
    """
    if now.score == math.inf:
        return True
    known = [t for t in told if t.time <= now.time]
    others = []
    for config in {t.config for t in known} - {now.config}:
        of_config = [t for t in known if t.config == config]
        up_to_here = [t.score for t in of_config if t.progress <= now.progress]
        if up_to_here and max(t.progress for t in of_config) >= now.progress:
            others.append(
                math.inf
                if math.inf in up_to_here
                else sum(map(Fraction, up_to_here)) / len(up_to_here)
            )
    best = min(t.score for t in known if t.config == now.config and t.progress <= now.progress)
    return now.step >= min_steps and len(others) >= min_configs and best > statistics.median(others)


def keras(told: list[Told], now: Told, patience: int, min_delta: float) -> bool:
    """Whether `keras.callbacks.EarlyStopping` stops, mode "min": its loop, line by line.

    What has diverged is stopped at once; there Keras would go on waiting.
    """
    wait, best, stop_training = 0, math.inf, False
    for current in [t.score for t in told if t.config == now.config and t.step <= now.step]:
        wait += 1
        if current - -min_delta < best:  # monitor_op(monitor_value - self.min_delta, best)
            best = current
            wait = 0
            continue
        stop_training = wait >= patience
    return now.score == math.inf or (wait > 0 and stop_training)


class Runs(NamedTuple):
    """Configurations as a sweep records them: a curve each, and the updates of its evaluations."""

    scores: np.ndarray  # (configs, evaluations), float32
    steps: np.ndarray  # (configs, evaluations), rising
    per_epoch: list[Fraction]  # updates in an epoch, for each configuration
    order: np.random.Generator

    def times(self):
        """Yield, for each logical time, the next evaluations of some configurations at random.

        ``send`` tells which configurations were stopped.
        """
        configs, evaluations = self.scores.shape
        at, going = np.zeros(configs, int), set(range(configs))
        while going:
            chosen = sorted(c for c in going if self.order.random() < 0.6)
            reports = []
            for c in chosen:
                for _ in range(self.order.choice([1, 1, 1, 2, 3])):
                    if at[c] < evaluations:
                        reports.append((c, int(self.steps[c, at[c]]), float(self.scores[c, at[c]])))
                        at[c] += 1
            stopped = yield reports
            going -= {*stopped, *(c for c in chosen if at[c] == evaluations)}


@st.composite
def runs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    configs, evaluations = draw(st.integers(1, 14)), draw(st.integers(1, 9))
    level = rng.normal(size=(configs, 1)) + rng.exponential(1, size=(configs, 1)) * np.exp(
        -0.5 * np.arange(evaluations)
    )
    scores = level + 0.2 * rng.normal(size=level.shape)
    if draw(st.booleans()):
        scores = np.round(scores, 1)  # ties
    if draw(st.booleans()):
        diverges_at = rng.integers(0, 3 * evaluations, size=(configs, 1))
        scores = np.where(np.arange(evaluations) >= diverges_at, np.inf, scores)
    scores = scores.astype(np.float32)  # as the engine has them
    if draw(st.booleans()):  # all evaluate the same updates
        steps = np.cumsum(
            np.broadcast_to(rng.integers(1, 6, size=evaluations), scores.shape), axis=1
        )
    else:
        steps = np.cumsum(rng.integers(1, 6, size=scores.shape), axis=1)
    rows = draw(st.sampled_from([7, 9, 30]))
    per_epoch = [Fraction(rows, int(size)) for size in rng.choice([1, 2, 7], size=configs)]
    return Runs(scores, steps, per_epoch, rng)


def compare(rule, oracle, recorded: Runs, in_epochs: bool):
    """The rule and the oracle, side by side, on one history."""
    log, told, source = PrunerLog(rule), [], recorded.times()
    reports = next(source)
    for number in range(10_000):
        news = [
            Told(
                number,
                c,
                step,
                step / recorded.per_epoch[c] if in_epochs else Fraction(step),
                score,
            )
            for c, step, score in reports
        ]
        told += news
        given_epochs = [
            now.step / float(recorded.per_epoch[now.config]) if in_epochs else math.nan
            for now in news
        ]
        answers = log.stops(
            [
                Observation(now.config, now.step, epoch, now.score)
                for now, epoch in zip(news, given_epochs, strict=True)
            ]
        )
        assert answers == [oracle(told, now) for now in news]
        try:
            reports = source.send(
                {now.config for now, stops in zip(news, answers, strict=True) if stops}
            )
        except StopIteration:
            return log, told
    raise AssertionError("never ends")


property_test = settings(max_examples=150, deadline=None)


@property_test
@given(runs(), st.sampled_from([2, 3, 4, Fraction(3, 2), Fraction(11, 10)]), st.integers(1, 6))
def test_halving_in_updates_is_what_the_paper_says(recorded, eta, min_steps):
    rule = jf.successive_halving(
        float(eta) if isinstance(eta, Fraction) else eta, min_steps=min_steps
    )
    oracle = functools.partial(halving, eta=Fraction(eta), first=Fraction(min_steps))
    compare(rule, oracle, recorded, in_epochs=False)


@property_test
@given(runs(), st.sampled_from([2, 3]), st.sampled_from([Fraction(1), Fraction(1, 3), Fraction(7)]))
def test_halving_in_epochs_compares_batch_sizes(recorded, eta, min_epochs):
    """Epochs are fractions that floating point rounds: an evaluation at epoch 7 is at epoch 7."""
    rule = jf.successive_halving(eta, min_epochs=float(min_epochs))
    oracle = functools.partial(halving, eta=Fraction(eta), first=min_epochs)
    compare(rule, oracle, recorded, in_epochs=True)


@property_test
@given(runs(), st.integers(1, 12), st.integers(1, 5), st.booleans())
def test_the_median_rule_is_what_the_paper_says(recorded, min_steps, min_configs, in_epochs):
    rule = jf.median_stop(min_steps=min_steps, min_configs=min_configs)
    oracle = functools.partial(median, min_steps=min_steps, min_configs=min_configs)
    compare(rule, oracle, recorded, in_epochs)


@property_test
@given(runs(), st.integers(1, 4), st.sampled_from([0.0, 0.1, 0.5]))
def test_patience_is_what_keras_calls_early_stopping(recorded, evaluations, min_delta):
    rule = jf.patience(evaluations=evaluations, min_delta=min_delta)
    oracle = functools.partial(keras, patience=evaluations, min_delta=min_delta)
    compare(rule, oracle, recorded, in_epochs=False)


class Watched(Hyperband):
    """Hyperband whose state can be looked at: the deal is its own, what follows is the oracle's."""

    def init(self):
        object.__setattr__(self, "state", super().init())
        return self.state


@property_test
@given(runs(), st.sampled_from([2, 3]), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_hyperband_is_halving_within_each_bracket(recorded, eta, first, rungs, in_epochs):
    most = first * eta**rungs
    ends = (None, None, first, most) if in_epochs else (first, most, None, None)
    rule = Watched(eta, *ends)

    def oracle(told, now):
        bracket = rule.state.bracket_of
        own = [t for t in told if bracket.get(t.config) == bracket[now.config]]
        begins = Fraction(most) / eta ** bracket[now.config]
        return now.score == math.inf or halving(own, now, Fraction(eta), begins)

    compare(rule, oracle, recorded, in_epochs)


def test_hyperband_s_table_is_the_paper_s():
    """Li et al. 2018, table 1: R = 81 and eta = 3."""
    rule = jf.hyperband(eta=3, min_steps=1, max_steps=81)
    assert rule.brackets == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    assert rule.configs == 143


def test_hyperband_stops_as_many_as_the_paper_s_table():
    """All side by side: what is left after each rung is the table's sum over the brackets."""
    rule = Watched(3, 1, 81, None, None)
    scores = np.random.default_rng(0).permutation(143).astype(float)
    log, left, seen = PrunerLog(rule), set(range(143)), {}
    for step in (1, 3, 9, 27):
        batch = [Observation(c, step, math.nan, scores[c]) for c in sorted(left)]
        stops = log.stops(batch)
        left -= {now.config for now, stop in zip(batch, stops, strict=True) if stop}
        seen[step] = len(left)
    assert seen == {
        1: 27 + 34 + 15 + 8 + 5,
        3: 9 + 11 + 15 + 8 + 5,
        9: 3 + 3 + 5 + 8 + 5,
        27: 1 + 1 + 1 + 2 + 5,
    }
    assert rule.state.counts == [5, 8, 15, 34, 81]
    of_bracket = [[c for c, s in rule.state.bracket_of.items() if s == b] for b in range(5)]
    best = [
        sorted(each, key=lambda c: scores[c])[: [5, 2, 1, 1, 1][b]]
        for b, each in enumerate(of_bracket)
    ]
    assert left == {c for each in best for c in each}


@pytest.mark.parametrize("eta", [2, 3, 1.1, 1.7])
def test_one_in_eta_goes_on(eta):
    """Also where n / eta is a whole number that floating point misses: 33 / 1.1."""
    for n in range(1, 120):
        log = PrunerLog(jf.successive_halving(eta, min_steps=10))
        stops = log.stops([Observation(c, 10, math.nan, c / n) for c in range(n)])
        best = max(1, math.floor(n / Fraction(str(eta))))
        assert stops == [c >= best for c in range(n)]


def test_an_evaluation_at_an_epoch_reaches_the_rung_of_that_epoch():
    """9 updates of 7 examples are 7 epochs of 9, though 9 / (9 / 7) < 7 in floating point."""
    for rows in range(2, 40):
        for size in range(1, rows + 1):
            per_epoch = rows / size
            length = TrialLength(steps=None, epochs=20, eval_every=None)
            [evaluations] = length.evaluations(np.array([per_epoch])).tolist()
            for epoch in (1, 7, 15):
                log = PrunerLog(jf.successive_halving(2, min_epochs=epoch))
                reached = evaluations[epoch - 1]
                before = [
                    Observation(c, reached - 1, (reached - 1) / per_epoch, c) for c in range(2)
                ]
                at = [Observation(c, reached, reached / per_epoch, c) for c in range(2)]
                assert log.stops(before) == [False, False]
                assert log.stops(at) == [False, True]


def test_the_median_rule_passes_over_those_not_evaluated_so_far():
    """A batch size first evaluated at epoch 1.07 has nothing to compare with one at epoch 1."""
    log = PrunerLog(jf.median_stop(min_configs=1))
    assert log.stops([Observation(0, 16, 16 / 15, 0.0), Observation(1, 1, 1.0, 9.0)]) == [
        False,
        False,
    ]
    assert log.stops([Observation(1, 2, 2.0, 9.0)]) == [False]  # 0 has not got as far
    assert log.stops([Observation(0, 32, 32 / 15, 0.0), Observation(1, 3, 2.1, 9.0)]) == [
        False,
        True,
    ]


def test_the_best_score_so_far_is_not_one_to_come():
    """Of two evaluations observed together, the first is compared by the best at the first."""
    log = PrunerLog(jf.median_stop(min_configs=1))
    log.stops([Observation(0, 1, math.nan, 1.0), Observation(0, 2, math.nan, 1.0)])
    assert log.stops([Observation(1, 1, math.nan, 2.0), Observation(1, 2, math.nan, 0.0)]) == [
        True,
        False,
    ]


@pytest.mark.parametrize("score", [0.1, 0.3, 0.7, -0.9, 1e-3])
def test_curves_that_stay_at_one_score_are_as_good_as_each_other(score):
    """The engine's scores are float32: many of them add up exactly in float64."""
    log = PrunerLog(jf.median_stop(min_configs=1))
    for evaluation in range(1, 100):
        assert not any(
            log.stops(
                [Observation(c, evaluation, math.nan, float(np.float32(score))) for c in range(4)]
            )
        )


def test_what_has_diverged_does_not_go_on():
    """Alone at a rung or with others; it counts at its rung, and is above every median."""
    log = PrunerLog(jf.successive_halving(2, min_steps=1))
    assert log.stops([Observation(0, 1, math.nan, math.inf)]) == [True]
    assert log.stops([Observation(1, 1, math.nan, 5.0)]) == [False]  # the best of two
    assert log.stops([Observation(2, 1, math.nan, 6.0)]) == [True]
    assert log.stops([Observation(3, 1, math.nan, 7.0)]) == [True]
    log = PrunerLog(jf.median_stop(min_configs=2))
    batch = [
        Observation(0, 1, math.nan, 1.0),
        Observation(1, 1, math.nan, math.inf),
        Observation(2, 1, math.nan, math.inf),
    ]
    assert log.stops(batch) == [False, True, True]  # though the median of 1 and inf is inf
    assert log.stops([Observation(3, 1, math.nan, 1.0)]) == [False]
    assert log.stops([Observation(4, 1, math.nan, 1.5)]) == [False]
    assert log.stops([Observation(5, 1, math.nan, math.inf)]) == [True]  # of 1, inf, inf, 1, 1.5


def test_a_log_without_configurations_is_one_that_never_observed_them():
    rule = jf.successive_halving(2, min_steps=1)
    rng = np.random.default_rng(0)
    batches = [
        [Observation(c, step, math.nan, rng.normal()) for c in rng.permutation(6)]
        for step in (1, 2, 4)
    ]
    log, other = PrunerLog(rule), PrunerLog(rule)
    for batch in batches[:2]:
        log.stops(batch)
        other.stops([seen for seen in batch if seen.config not in (1, 4)])
    log = log.without({1, 4})
    assert log.batches == other.batches
    assert log.stops(batches[2]) == other.stops(batches[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: jf.successive_halving(),
            "exactly one of min_steps and min_epochs must be given, got min_steps=None",
        ),
        (
            lambda: jf.successive_halving(min_steps=1, min_epochs=1),
            "exactly one .* got min_steps=1, min_epochs=1",
        ),
        (lambda: jf.successive_halving(1, min_steps=1), "eta > 1 must hold, got eta=1"),
        (
            lambda: jf.successive_halving(math.inf, min_steps=1),
            "-inf < eta < inf must hold, got eta=inf",
        ),
        (lambda: jf.successive_halving(math.nan, min_steps=1), "got eta=nan"),
        (lambda: jf.successive_halving("3", min_steps=1), "eta must be a number, got eta='3'"),
        (lambda: jf.successive_halving(min_steps=0), "min_steps >= 1 must hold, got min_steps=0"),
        (
            lambda: jf.successive_halving(min_steps=2.0),
            "min_steps must be a whole number, got min_steps=2.0",
        ),
        (
            lambda: jf.successive_halving(min_epochs=0),
            "0 < min_epochs < inf must hold, got min_epochs=0",
        ),
        (lambda: jf.successive_halving(min_epochs=math.inf), "got min_epochs=inf"),
        (
            lambda: jf.median_stop(min_steps=0),
            "jf.median_stop: min_steps >= 1 must hold, got min_steps=0",
        ),
        (lambda: jf.median_stop(min_configs=0), "min_configs >= 1 must hold, got min_configs=0"),
        (
            lambda: jf.median_stop(min_configs=2.5),
            "min_configs must be a whole number, got min_configs=2.5",
        ),
        (lambda: jf.hyperband(), "jf.hyperband: min_steps and max_steps, or .* got min_steps=None"),
        (lambda: jf.hyperband(min_steps=1), "must be given, got min_steps=1, max_steps=None"),
        (lambda: jf.hyperband(min_steps=1, max_epochs=9), "must be given"),
        (lambda: jf.hyperband(min_steps=1, max_steps=9, min_epochs=1), "must be given"),
        (lambda: jf.hyperband(1, min_steps=1, max_steps=9), "eta > 1 must hold, got eta=1"),
        (lambda: jf.hyperband(min_steps=0, max_steps=9), "min_steps >= 1 must hold"),
        (lambda: jf.hyperband(min_steps=4, max_steps=9), "max_steps >= eta · min_steps must hold"),
        (lambda: jf.hyperband(min_epochs=0.0, max_epochs=9), "0 < min_epochs < inf must hold"),
        (
            lambda: jf.patience(evaluations=0),
            "jf.patience: evaluations >= 1 must hold, got evaluations=0",
        ),
        (
            lambda: jf.patience(evaluations=1, min_delta=-0.1),
            "jf.patience: 0 <= min_delta < inf must hold, got min_delta=-0.1",
        ),
    ],
)
def test_arguments(make, message):
    with pytest.raises(jf.JefficientError, match=message):
        make()


def test_a_sweep_takes_a_rule_and_nothing_else():
    with pytest.raises(
        jf.JefficientError,
        match=r"stop must be a jf.StopRule, got stop=3",
    ):
        sweep(task(), jf.grid(learning_rate=[0.1]), steps=1, stop=3)
    trial = jf.Trial(
        init=lambda key: key,
        step=lambda x, data, t, key: (x, {}),
        evaluate=lambda x, data: {"a": 1.0},
    )
    with pytest.raises(
        jf.JefficientError,
        match=r"a jf.Trial must come without a rule that counts in epochs, got stop=Succ",
    ):
        jf.sweep(
            trial,
            space=jf.grid(steps=[1]),
            metric="a",
            mode="min",
            stop=jf.successive_halving(min_epochs=1),
        )


# Whole sweeps. The oracle of the engine's order goes through what a sweep without stopping has
# recorded, trial by trial and evaluation by evaluation, as lanes would, and says what the same
# sweep must record with stopping.


@dataclasses.dataclass
class OnPaper:
    """A sweep on paper: lanes in blocks side by side, refilled from the queue of their program.

    Trials are pairs (configuration, member); members are the seeds and folds of a configuration.
    """

    score: np.ndarray  # (configs, members, evaluations), smaller is better
    steps: np.ndarray  # (configs, members, evaluations): updates made there, -1 past the last one
    ends: np.ndarray  # (configs, members): updates after which a trial has finished or diverged
    diverges: np.ndarray  # (configs, members): at which evaluation, -1 for never
    decide: Callable[[list[Told], Told], bool]
    progress: Callable[[int, int], Fraction]  # of (configuration, updates)

    def __post_init__(self):
        self.evaluations, self.taken = (
            np.zeros(self.ends.shape, int),
            np.zeros(self.ends.shape, int),
        )
        self.status = np.full(self.ends.shape, "running", object)
        self.told: list[Told] = []
        self.known = np.zeros(len(self.ends), int)  # evaluations that were observed
        self.under_way: list[tuple[int, int]] = []  # when they were stopped
        self.offered = self.made = self.time = 0

    def run(self, programs, width, blocks):
        members = range(self.ends.shape[1])
        waiting = [[(c, m) for c in configs for m in members] for configs in programs]
        slots = [None] * blocks
        self.open(slots, waiting, width)
        while any(slots):
            for slot in range(blocks):
                if slots[slot] is not None:
                    program, lanes = slots[slot]
                    lanes = self.fill(self.segment(lanes), waiting[program])
                    slots[slot] = (program, lanes) if any(lanes) else None
                    self.open(slots, waiting, width)
        return self

    def open(self, slots, waiting, width):
        for slot, block in enumerate(slots):
            todo = [program for program, trials in enumerate(waiting) if trials]
            if block is None and todo:
                slots[slot] = todo[0], self.fill([None] * width, waiting[todo[0]])

    def fill(self, lanes, waiting):
        return [waiting.pop(0) if lane is None and waiting else lane for lane in lanes]

    def segment(self, lanes):
        """Train every lane to its next evaluation, those stopped meanwhile in vain."""
        trials, made = [lane for lane in lanes if lane is not None], []
        for trial in trials:
            step = min(self.steps[*trial, self.evaluations[trial]], self.ends[trial])
            made.append(step - self.taken[trial])
            if self.status[trial] == "stopped":
                self.under_way.append(trial)
            else:
                self.made += made[-1]
                self.taken[trial], self.evaluations[trial] = step, self.evaluations[trial] + 1
                if self.evaluations[trial] - 1 == self.diverges[trial]:
                    self.status[trial] = "diverged"
                elif self.evaluations[trial] == (self.steps[trial] >= 0).sum():
                    self.status[trial] = "finished"
        self.offered += len(lanes) * max(made)
        self.observe(sorted({c for c, _ in trials}))
        return [None if lane is None or self.status[lane] != "running" else lane for lane in lanes]

    def observe(self, configs):
        self.time += 1
        news = [told for c in configs for told in self.observations(c)]
        self.told += news
        for now in news:
            if self.decide(self.told, now):
                self.status[now.config][self.status[now.config] == "running"] = "stopped"

    def observations(self, c):
        """Evaluations that all members have reached, but for those that have diverged."""
        while self.known[c] < (self.steps[c, 0] >= 0).sum() and "stopped" not in self.status[c]:
            evaluation, diverged = self.known[c], self.status[c] == "diverged"
            if not (diverged | (self.evaluations[c] > evaluation)).all():
                return
            self.known[c] += 1
            step, score = (
                int(self.steps[c, :, evaluation].max()),  # that of the largest fold
                float(np.where(diverged, np.inf, self.score[c, :, evaluation]).mean()),
            )
            yield Told(self.time, c, step, self.progress(c, step), score)


def flat(values):
    """(config, seed, fold, …) as (config, member, …)."""
    return values.reshape(values.shape[0], -1, *values.shape[3:])


def check_stopped(whole, stopped, programs, blocks, rule, decide, progress):
    """Compare a stopped sweep with the whole one and the oracle; return the sweep on paper."""
    curves, sign = flat(whole.dataset[whole.score.metric].values), whole.score.sign
    step = whole.dataset["step"].broadcast_like(whole.dataset["valid_loss"])
    step = flat(step.transpose("config", "seed", "fold", "evaluation").values)
    status = flat(whole.dataset["status"].values)
    first_unseen = np.isnan(curves).argmax(axis=-1)
    paper = OnPaper(
        score=sign * curves.astype(float),
        steps=step,
        ends=flat(whole.dataset["steps_taken"].values),
        diverges=np.where(status == "diverged", first_unseen, -1),
        decide=decide,
        progress=progress,
    ).run(programs, int(whole.dataset["block_width"][0]), blocks)
    data = stopped.dataset
    np.testing.assert_array_equal(flat(data["status"].values), paper.status)
    np.testing.assert_array_equal(flat(data["steps_taken"].values), paper.taken)
    is_seen = np.arange(step.shape[2]) < paper.evaluations[..., None]
    for name in ("train_loss", "valid_loss", whole.score.metric):
        expected = np.where(is_seen, flat(whole.dataset[name].values), np.nan)
        np.testing.assert_array_equal(flat(data[name].values), expected)
    assert data.attrs["utilization"] == paper.made / paper.offered
    check_like_engine(rule, whole, stopped)
    return paper


@pytest.fixture(scope="module")
def halved():
    """The same sweep whole, with stopping, with stopping again, and what the second is on paper.

    Six trials a configuration in blocks of four: blocks hold parts of configurations, and are
    refilled mid-way.
    """
    rates = [0.3, 1e30, *np.random.default_rng(1).permutation(np.geomspace(1e-4, 0.25, 22))]
    space = jf.grid(learning_rate=rates)
    arguments = {
        "folds": 3,
        "seeds": 2,
        "steps": 16,
        "eval_every": 2,
        "keep_configs": 99,
        "diverged_above": 38.0,
    }
    rule = jf.successive_halving(2, min_steps=2)
    with lanes(4, blocks=2):
        whole = sweep(task(), space, **arguments)
        one, again = (sweep(task(), space, stop=rule, **arguments) for _ in range(2))
    decide = functools.partial(halving, eta=Fraction(2), first=Fraction(2))
    paper = check_stopped(
        whole, one, [list(range(24))], 2, rule, decide, lambda _, step: Fraction(step)
    )
    return whole, one, again, paper


def test_a_sweep_stops_what_the_paper_says_and_whole_configurations(halved):
    _, _, _, paper = halved
    kinds = {frozenset(of_config) for of_config in paper.status}
    assert kinds >= {
        frozenset(["finished"]),
        frozenset(["stopped"]),
        frozenset(["diverged", "stopped"]),
    }
    for of_config, taken in zip(paper.status, paper.taken, strict=True):
        if "stopped" in of_config:  # the rest had come to its end, or was beyond help
            assert all(
                s in ("stopped", "diverged") or t == 16
                for s, t in zip(of_config, taken, strict=True)
            )


def test_freed_lanes_are_used(halved):
    whole, one, _, paper = halved
    assert whole.dataset.attrs["utilization"] > 0.95
    assert one.dataset.attrs["utilization"] > 0.85
    assert paper.offered < 0.6 * whole.dataset["steps_taken"].sum()


def test_what_was_stopped_ranks_behind_what_finished_and_before_what_diverged(halved):
    _, one, _, paper = halved
    order = one.table().index
    places = {"finished": 0, "stopped": 1}
    kinds = [max(places.get(status, 2) for status in paper.status[c]) for c in order]
    assert kinds == sorted(kinds)
    assert one.best().config == order[0]
    stopped = [c for c, kind in zip(order, kinds, strict=True) if kind == 1]
    furthest = [int(paper.taken[c].min()) for c in stopped]
    assert furthest == sorted(furthest, reverse=True)
    assert (
        one.table()["stopped"].sort_index().tolist()
        == (paper.status == "stopped").sum(axis=1).tolist()
    )


def test_decisions_repeat_exactly(halved):
    _, one, again, _ = halved
    first, second = (x.dataset.drop_vars("seconds").drop_attrs() for x in (one, again))
    assert first.identical(second)
    assert one.weights.keys() == again.weights.keys()


def test_weights_of_what_was_stopped_are_those_of_its_last_evaluation(halved):
    """A trial under way when its configuration was stopped has gone further than is recorded."""
    _, one, _, paper = halved
    (config, member), *_ = paper.under_way
    others = [
        c
        for c in np.flatnonzero((paper.status == "stopped").all(axis=1))
        if (c, 0) not in paper.under_way
    ]
    assert (config, *divmod(member, 3)) not in one.weights
    again = one.replay(others[0])
    np.testing.assert_array_equal(again.params, one.weights[others[0], 0, 0])


def test_rules_in_epochs_over_batch_sizes():
    """Two programs evaluated at different updates and, but for rounding up, the same epochs."""
    space = jf.grid(
        batch_size=[8, 6],
        learning_rate=np.random.default_rng(2).permutation(np.geomspace(1e-3, 0.2, 12)),
    )
    folds = [(np.arange(10, 30), np.arange(10)), (np.arange(17), np.arange(20, 30))]
    arguments = {
        "folds": folds,
        "epochs": 8,
        "batch_size": None,
        "metric": "valid_near",
        "mode": "max",
        "keep": None,
    }
    near = task(metrics={"near": lambda params, batch: -jnp.abs(batch[0] @ params - batch[1])})
    rules = {
        jf.successive_halving(3, min_epochs=1): functools.partial(
            halving, eta=Fraction(3), first=Fraction(1)
        ),
        jf.median_stop(min_configs=3, min_steps=4): functools.partial(
            median, min_configs=3, min_steps=4
        ),
    }
    with lanes(4):
        whole = sweep(near, space, **arguments)
        for rule, oracle in rules.items():
            stopped = sweep(near, space, stop=rule, **arguments)
            paper = check_stopped(
                whole,
                stopped,
                [list(range(12)), list(range(12, 24))],
                1,
                rule,
                oracle,
                lambda config, step: Fraction(step * (8 if config < 12 else 6), 20),
            )
            assert {"finished", "stopped"} == set(paper.status.ravel())
            for program in (paper.status[:12], paper.status[12:]):
                assert "stopped" in program
