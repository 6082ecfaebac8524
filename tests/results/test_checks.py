"""Each check fires on what is planted for it, alone, and on nothing else."""

import json

import numpy as np
import pytest
from results.made import made
from scipy import stats

from jefficient import JefficientWarning
from jefficient.results import Check, Checks, Result, Status
from jefficient.results._axes import scale_of
from jefficient.results.checks._reading import Curve
from jefficient.results.checks._stream import clearest_rise

RATES = np.logspace(-3, -1, 5)
VALLEY = np.array([0.5, 0.4, 0.3, 0.4, 0.5])  # symmetric about the best: nothing to gain in between
EVALUATIONS = 10
FALLING = np.concatenate(
    [2.0 ** -np.arange(9), [0.0]]
)  # a tenth of the gain comes in the last half, little at the end


class Planted:
    """A result with means, noise far smaller than their distances, and curves that fall to them."""

    def __init__(self, mode, shape):
        self.mode, self.sign, self.shape = mode, 1 if mode == "min" else -1, shape
        self.rng = np.random.default_rng(0)

    def noisy(self, means, noise=1e-5):
        means = np.asarray(means, float)
        return means[:, None, None] + noise * self.rng.normal(size=(len(means), *self.shape))

    @property
    def alternating(self):
        """(seeds, folds): 1 for every second unit, -1 for the others."""
        seeds, folds = np.indices(self.shape)
        return 1.0 - 2 * ((folds if self.shape[1] > 1 else seeds) % 2)

    def result(
        self,
        means=VALLEY,
        columns=None,
        *,
        falling=FALLING,
        train=FALLING,
        noise=1e-5,
        also=None,
        **arguments,
    ):
        """Curves are score + falling, negated for mode "max"; the training loss is 0.1 + train."""
        scores = self.noisy(means, noise) if np.ndim(means) == 1 else means
        evaluations = {
            "valid_m": self.sign * (scores[..., None] + np.asarray(falling)),
            "train_loss": 0.1 + np.asarray(train) + np.zeros(scores.shape)[..., None],
        } | (also or {})
        columns = columns or {"learning_rate": RATES[: len(means)]}
        attributes = {"metric": "valid_m", "mode": self.mode}
        return made(
            self.sign * scores, columns, evaluations=evaluations, **(attributes | arguments)
        )


@pytest.fixture(params=[(m, s) for m in ("min", "max") for s in ((4, 1), (1, 5), (2, 4))], ids=str)
def planted(request):
    """Both modes; seeds, folds, both."""
    return Planted(*request.param)


def names(result):
    return {check.name for check in result.checks()}


def only(result, name, *texts):
    """The one check there is, by its name, with these texts in what it says."""
    found = result.checks()
    assert [check.name for check in found] == [name], str(found)
    for text in texts:
        assert text in str(found[0]), str(found[0])
    return found[0]


def test_a_clean_sweep_has_nothing_to_say(planted):
    found = planted.result().checks()
    assert found == ()
    assert str(found) == "The checks found nothing."
    assert planted.result(select="best").checks() == ()


def test_boundary_high(planted):
    result = planted.result([0.5, 0.45, 0.4, 0.35, 0.3])
    check = only(
        result, "boundary", "learning_rate, 0.1, is the largest of the 5", "upwards: to about 0.316"
    )
    assert check.severity == "warning"


def test_boundary_low(planted):
    only(
        planted.result([0.3, 0.35, 0.4, 0.45, 0.5]),
        "boundary",
        "smallest",
        "downwards: to about 0.000316",
    )
    linear = {"width": [10, 20, 30, 40, 50]}
    only(planted.result([0.5, 0.45, 0.4, 0.35, 0.3], linear), "boundary", "upwards: to about 60")
    share = {"momentum": [0.0, 0.3, 0.5, 0.7, 0.9]}
    only(planted.result([0.5, 0.45, 0.4, 0.35, 0.3], share), "boundary", "upwards: to about 0.95")


def test_an_end_that_is_natural_or_matched_inside_is_none(planted):
    rising = [0.3, 0.35, 0.4, 0.45, 0.5]
    assert planted.result(rising, {"l2": [0.0, 1e-3, 1e-2, 1e-1, 1.0]}).checks() == ()
    assert planted.result(rising, {"batch_size": [1, 2, 4, 8, 16]}).checks() == ()
    assert (
        planted.result([0.3, 0.5], {"width": [1.5, 2.5]}).checks() == ()
    )  # two values are no range
    assert planted.result(rising, {"activation": list("abcde")}).checks() == ()
    only(planted.result([0.3, 0.3, 0.4, 0.45, 0.5]), "noise")


def test_where_hardly_anything_finished_the_stopping_rule_decided(planted):
    """And an end of a range says nothing, where one value alone was trained to the end."""
    status = np.full((5, *planted.shape), Status.STOPPED)
    status[4] = Status.FINISHED
    only(
        planted.result(status=status),
        "stopped",
        "1 of 5 configurations finished, 4 were stopped early",
        "begin later",
    )
    status[1:4] = Status.FINISHED
    assert "stopped" not in names(planted.result(status=status))


def test_of_drawn_values_one_is_the_last_by_chance(planted):
    """The best few must be at the same end; a range from zero has a natural end."""
    count = 40
    rate = np.geomspace(1e-4, 1e-1, count) * planted.rng.uniform(0.95, 1.05, count)
    other = planted.rng.permutation(np.linspace(0.3, 0.7, count))
    for column, way, fires in (
        (rate, -1, "largest fifth of the 40 drawn"),
        (rate, 1, "smallest fifth of the 40 drawn"),
        (np.linspace(0, 1, count), 1, None),
        (np.linspace(0, 1, count), -1, "further upwards"),
    ):
        means = 0.3 + 0.01 * (np.arange(count) if way > 0 else np.arange(count)[::-1])
        result = planted.result(means, {"learning_rate": column, "momentum": other})
        if fires:
            only(result, "boundary", "The 3 best", fires)
        else:
            assert result.checks() == ()
    means = 0.3 + 0.01 * np.abs(np.arange(count) - 20.0)
    means[-1] = 0.2  # the best is the last, but the next ones are in the middle
    assert planted.result(means, {"learning_rate": rate, "momentum": other}).checks() == ()


def test_divergence_edge(planted):
    x = {"learning_rate": np.repeat(RATES, 2), "l2": [0.0, 0.1] * 5}
    means = np.stack([[0.6, 0.5, 0.4, 0.3, np.nan], [0.65, 0.55, 0.45, 0.5, 0.6]], axis=1).ravel()
    only(
        planted.result(means, x),
        "divergence_edge",
        "0.0316",
        "at 0.1, all else the same",
        f"{np.prod(planted.shape)} of",
    )
    other = [
        0.55,
        0.45,
        0.35,
        np.nan,
        0.55,
    ]  # diverged at the next larger rate, but with another l2
    elsewhere = np.stack([other, VALLEY], axis=1).ravel()
    assert planted.result(elsewhere, x).checks() == ()


def test_diverged(planted):
    means = np.concatenate([VALLEY, [np.nan] * 2])
    x = {"learning_rate": np.concatenate([RATES, [1.0, 10.0]])}
    only(planted.result(means, x), "diverged", "2 of 7 configurations (29%)")
    assert (
        planted.result(means[:6], {"learning_rate": x["learning_rate"][:6]}).checks() == ()
    )  # 1 of 6


OVERFIT = np.array([1.0, 0.6, 0.3, 0.1, 0.0, 0.03, 0.08, 0.14, 0.21, 0.3])
LONG = np.linspace(1, 0, EVALUATIONS) ** 3


def test_overfitting(planted):
    result = planted.result(falling=OVERFIT, train=LONG)
    was, is_now = planted.sign * 0.3, planted.sign * 0.6
    check = only(
        result,
        "overfitting",
        f"best at epoch 10, {was}, and is {is_now} at epoch 20",
        "select='best'",
    )
    assert check.severity == "warning"
    spared = planted.result(falling=OVERFIT, train=LONG, select="best")
    assert only(spared, "overfitting", "The best evaluation counts here").severity == "note"
    assert names(planted.result(falling=OVERFIT, train=OVERFIT)) == {
        "rising"
    }  # then it is not the data's fault
    mild = OVERFIT * 1.0
    mild[5:] = 0.02  # below a twentieth of the gain
    assert "overfitting" not in names(planted.result(falling=mild, train=LONG))


def test_rising(planted):
    turning = np.array([1.0, 0.6, 0.3, 0.1, 0.0, 0.03, 0.08, 0.14, 0.21, 0.3])
    only(planted.result(train=turning), "rising", "from 0.1 at epoch 10 to 0.4 at epoch 20")
    only(planted.result(train=np.linspace(0, 0.4, EVALUATIONS)), "rising")


def test_improving(planted):
    check = only(
        planted.result(falling=np.linspace(1, 0, EVALUATIONS)),
        "improving",
        "22%",
        "after epoch 16, of 20",
    )
    assert check.severity == "warning"


def test_saturated(planted):
    early = np.concatenate([[1.0, 0.3, 0.05], np.zeros(EVALUATIONS - 3)])
    assert (
        only(planted.result(falling=early), "saturated", "after epoch 10, of 20", "0.0%").severity
        == "note"
    )


@pytest.mark.parametrize("evaluations", [10, 60])
@pytest.mark.parametrize("units", [1, 3])
def test_jitter_is_rarely_taken_for_overfitting_or_improvement(evaluations, units):
    """Curves fall to a plateau, with noise: the best evaluation is below the last by chance."""
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        values = np.exp(-8 * np.arange(evaluations) / evaluations) + 0.1 * rng.normal(
            size=(units, evaluations)
        )
        curve = Curve(values, [""] * evaluations, 1 / units)
        before_the_last_fifth = evaluations - evaluations // 5 - 1
        found.append(
            (
                curve.is_real(curve.mean.argmin(), evaluations - 1),
                curve.is_real(evaluations - 1, before_the_last_fifth),
            )
        )
    assert np.mean(found, axis=0).max() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("metric", ["valid_m", "window_m"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_drift(mode, metric):
    """The windowed score jumps after window 24; its running mean says nothing of a curve."""
    noise = 0.02 * np.random.default_rng(0).normal(size=50)
    windows = 0.3 + np.exp(-np.arange(50.0)) + noise + 0.1 * (np.arange(50) >= 25)
    so_far = np.cumsum(windows) / np.arange(1, 51)
    planted = Planted(mode, (1, 1))
    scores = np.zeros((5, 1, 1)) + VALLEY[:, None, None]
    for is_drifting in (True, False):
        own = planted.sign * (windows if is_drifting else windows[:25])
        curves = {"valid_m": planted.sign * so_far[: len(own)], "window_m": own, "train_loss": own}
        offset = planted.sign * VALLEY[:, None, None, None]
        result = made(
            planted.sign * scores,
            {"learning_rate": RATES},
            evaluations={name: offset + x for name, x in curves.items()},
            examples=(500, 0),
            metric=metric,
            mode=mode,
            evaluate="prequential",
        )
        found = {check.name: str(check) for check in result.checks()}
        assert found.keys() == {"noise", *(["drift"] if is_drifting else [])}, found
        if is_drifting:
            assert "after step 250: from" in found["drift"]
            assert "window_m gets worse" in found["drift"]
        assert "folds" not in found["noise"]


@pytest.mark.parametrize("windows", [12, 50])
def test_a_stream_without_drift_is_rarely_taken_for_one(windows):
    """Windows are means of a few skewed losses, and fall while the model learns."""
    rng = np.random.default_rng(0)
    for learning in (0.0, 3.0):
        falling = learning * np.exp(-np.arange(windows) / 5)
        streams = falling + rng.exponential(size=(300, windows, 4)).mean(axis=2)
        found = [clearest_rise(stream).p_value <= 0.05 for stream in streams]
        assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert clearest_rise(np.arange(9.0)) is None
    assert clearest_rise(np.zeros(20)).p_value == 1


def test_what_every_second_seed_or_fold_contradicts_is_no_finding(planted):
    scores = planted.noisy(VALLEY)
    tilts = 0.4 * planted.alternating + 0.1  # the mean curve falls, or rises, smoothly
    for way in (1, -1):
        curves = (
            scores[..., None]
            + 0.1 * FALLING
            + way * tilts[..., None] * np.linspace(1, 0, EVALUATIONS) ** 2
        )
        evaluations = {"valid_m": planted.sign * curves, "train_loss": 0.1 + FALLING}
        result = made(
            planted.sign * scores,
            {"learning_rate": RATES},
            evaluations=evaluations,
            metric="valid_m",
            mode=planted.mode,
        )
        assert not {"overfitting", "improving"} & names(result)


def test_clipped(planted):
    for share, fires in ((0.8, True), (0.3, False)):
        curves = np.full((5, *planted.shape, EVALUATIONS), share)
        curves[[0, 1, 3, 4]] = 0.9  # others than the best do not count
        curves[2, ..., -1] = np.nan
        result = planted.result(diagnostics={"clipped": curves})
        assert names(result) == ({"clipped"} if fires else set())
        if fires:
            only(result, "clipped", "80%", "max_norm")


def test_noise(planted):
    scores = planted.noisy(VALLEY)
    scores[[1, 3]] = scores[2] + 0.02 + 0.05 * planted.alternating
    result = planted.result(scores)
    unit = "4 seeds" if planted.shape == (4, 1) else f"{planted.shape[1]} folds"
    check = only(result, "noise", "within noise of 2 other configurations of 5", unit)
    assert check.severity == "note"


def test_coarse(planted):
    """0.3 - 0.04 x + 0.06 x² in half decades about 0.01 is least at 1/3, by 0.04²/0.24."""
    check = only(
        planted.result([0.5, 0.4, 0.3, 0.32, 0.5]),
        "coarse",
        "at 0.0147",
        "better by 0.0067",
        "between 0.01 and 0.03162",
    )
    assert check.severity == "note"
    narrow = planted.result([0.5, 0.4, 0.3, 0.32, 0.5], {"layers": [1, 2, 3, 4, 5]})
    assert narrow.checks() == ()  # nothing lies between whole numbers
    linear = planted.result([0.5, 0.4, 0.3, 0.32, 0.5], {"x": [0.5, 1.5, 2.5, 3.5, 4.5]})
    only(linear, "coarse", "at 2.83", "between 2.5 and 3.5")


def test_one_trial_each(planted):
    result = planted.result(VALLEY[:, None, None] + 0.003)  # no share of 20 examples
    assert only(result, "noise", "5 configurations has one trial", "seeds=3").severity == "warning"
    edge = planted.result(VALLEY[:3, None, None] + 0.003)
    assert [check.name for check in edge.checks()] == ["boundary", "noise"]
    over = {"valid_m": planted.sign * (0.5 + OVERFIT), "train_loss": 0.1 + LONG}
    alone = made([[[0.3]]], {"x": [1]}, evaluations=over, metric="valid_m", mode=planted.mode)
    assert names(alone) == {"overfitting"}  # the curve's own jitter tells


def test_nothing_finished(planted):
    nothing = planted.result(np.full(5, np.nan))
    trials = 5 * np.prod(planted.shape)
    assert (
        only(nothing, "nothing_finished", f"{trials} diverged", "Lower the learning").severity
        == "warning"
    )
    for status, advice in (
        (Status.RUNNING, "when the sweep has ended"),
        (Status.INTERRUPTED, "Run the same call again"),
        (Status.STOPPED, "stopping rule"),
    ):
        only(
            planted.result(status=np.full((5, *planted.shape), status)), "nothing_finished", advice
        )


def test_a_metric_that_nothing_ended_is_not_the_stopping_rule_s_fault(planted):
    finished = np.full((5, *planted.shape), Status.FINISHED)
    nothing = {"valid_m": np.full((5, *planted.shape, EVALUATIONS), np.nan)}
    result = planted.result(status=finished, also=nothing)
    check = only(result, "nothing_finished", "Look at valid_m in result.dataset: where it is not")
    assert "stopping" not in str(check)


def test_no_weight_moved(planted):
    """Known from the layers' norms, or from a validation loss that is the same number always."""
    same = {"valid_loss": np.full((5, *planted.shape, EVALUATIONS), 0.7)}
    check = only(planted.result(also=same), "unmoved", "the same number at all 10 evaluations")
    assert check.severity == "warning"
    same["valid_loss"][2, 0, 0, -1] = 0.71
    assert "unmoved" not in names(planted.result(also=same))

    norms = np.ones((5, *planted.shape, EVALUATIONS, 3))
    norms[..., 2] = np.nan  # a layer of other configurations
    for still, severity, text in (
        ([0, 1], "warning", "No layer moved in the best configuration"),
        ([1], "note", "b did not move in the best configuration: update_norm is 0"),
    ):
        of = norms.copy()
        of[2, ..., still] = 0
        of[0, ..., 0] = 0  # others than the best do not count
        result = planted.result(diagnostics={"update_norm": of}, layers=("a", "b", "c"))
        assert only(result, "unmoved", text).severity == severity
    assert planted.result(diagnostics={"update_norm": norms}, layers=("a", "b", "c")).checks() == ()


def test_a_layer_hardly_learns(planted):
    """Beside the median of the others, in every trial, and relative to its weights."""
    weight = np.ones((5, *planted.shape, EVALUATIONS, 4))
    weight[..., 0] = 50.0

    def norms(share):
        update = 1e-3 * weight
        update[2, ..., 1] *= share
        update[0, ..., 2] = 1e-9  # others than the best do not count
        return {"update_norm": update, "weight_norm": weight}

    def of(diagnostics):
        return planted.result(diagnostics=diagnostics, layers=("a", "b", "c", "d"))

    check = only(of(norms(0.009)), "hardly_learns", "changes it by 9e-06 of its norm")
    assert check.severity == "note"
    assert check.evidence.startswith("b hardly learns")
    assert of(norms(0.011)).checks() == ()
    once = norms(0.009)
    once["update_norm"][2, 0, 0, :, 1] = 1e-3  # one trial in which it learns
    assert of(once).checks() == ()


def test_few_examples(planted):
    few = planted.result(examples=(80, 9 // planted.shape[1]))
    assert only(few, "few_examples", "validation examples.").severity == "warning"


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize(("lead", "is_told"), [(5, True), (6, False)])
def test_a_lead_of_few_examples_can_be_chance(lead, is_told, folds):
    """McNemar's exact test: where all six disagree in one way, p is 2 · 0.5⁶ = 0.031."""
    assert stats.binomtest(lead, lead).pvalue > 0.05 or not is_told
    right = np.full((2, 1, folds), 60 // folds)
    right[1, 0, 0] -= lead
    result = made(
        right / (100 // folds),
        {"learning_rate": [0.1, 0.2]},
        examples=(80, 100 // folds),
        metric="valid_accuracy",
        mode="max",
    )
    found = [check for check in result.checks() if check.name == "few_examples"]
    assert bool(found) == is_told
    if found:
        assert "leads configuration 1 by 5 of 100 validation examples" in str(found[0])


def test_fold_sizes():
    result = made(np.repeat([[[0.1]], [[0.3]]], 3, axis=2), {"learning_rate": [0.1, 0.2]})
    assert "fold_sizes" not in names(result)
    sizes = {"training_examples": ("fold", [10, 20, 30]), "validation_examples": ("fold", [5] * 3)}
    result = Result(result.dataset.assign_coords(sizes))
    (check,) = [check for check in result.checks() if check.name == "fold_sizes"]
    assert "Folds have 10 to 30 training examples" in str(check)


def test_values_of_which_none_finished(planted):
    columns = {
        "batch_size": np.repeat([32, 64, 128], 5),
        "learning_rate": np.tile(RATES, 3),
    }
    means = np.concatenate([VALLEY, VALLEY + 0.1, VALLEY + 0.2])
    status = np.full((15, *planted.shape), Status.FINISHED)
    assert "unfinished" not in names(planted.result(means, columns, status=status))
    status[10:] = Status.STOPPED
    check = only(
        planted.result(means, columns, status=status),
        "unfinished",
        "No configuration with batch_size=128 finished",
        "stopping rule begin later",
    )
    assert check.severity == "note"
    status[5:] = Status.INTERRUPTED
    check = only(planted.result(means, columns, status=status), "unfinished", "=64 or 128 finished")
    assert "stopping rule" not in str(check)


def test_seeds_of_a_deterministic_trial(planted):
    """Seeds say nothing there, and are no advice."""
    scores = np.repeat(planted.noisy(VALLEY)[:, :1], planted.shape[0], axis=1)
    scores = scores * (1 + 1e-6 * planted.rng.uniform(-1, 1, scores.shape))  # of shuffled sums
    scores[[1, 3]] = scores[2] + 0.02 + 0.05 * planted.alternating[:1]
    result = planted.result(scores)
    if planted.shape[0] == 1:
        assert "same_seeds" not in names(result)
        return
    seeds = planted.shape[0]
    assert f"All {seeds} seeds give the same numbers" in str(result.checks())
    for check in result.checks():
        assert "add seeds" not in check.next_step
        assert ", seeds" not in check.next_step


def test_a_count_of_nothing_is_not_overfitted(planted):
    """No false alarm, before the model alarms at all."""
    alarms = np.array([0.0, 0.0, 0.01, 0.02, 0.05, 0.1, 0.12, 0.15, 0.2, 0.3])
    curves = np.broadcast_to(alarms, (1, *planted.shape, EVALUATIONS))
    curves = curves + 1e-6 * (alarms > 0) * planted.rng.normal(size=curves.shape)
    arguments = {"metric": "valid_m", "mode": planted.mode, "columns": {"learning_rate": [0.1]}}
    for shift, is_told in ((0.0, False), (0.5, True)):
        evaluations = {"valid_m": planted.sign * (curves + shift), "train_loss": 0.1 + LONG}
        result = made(
            planted.sign * (curves[..., -1] + shift), evaluations=evaluations, **arguments
        )
        assert ("overfitting" in names(result)) == is_told


def test_odd_results_are_read(planted):
    scores = planted.noisy(VALLEY)
    one_evaluation = {"train_loss": scores[..., None]}
    assert (
        made(
            scores, {"learning_rate": RATES}, evaluations=one_evaluation, metric="train_loss"
        ).checks()
        == ()
    )
    assert made(scores[:1], {"learning_rate": [0.1]}).checks() == ()
    assert (
        made(
            scores, {"kind": list("abcde")}, evaluations={"valid_loss": scores[..., None] + FALLING}
        ).checks()
        == ()
    )
    # a jf.Trial has no examples
    assert made(scores, {"learning_rate": RATES}, examples=(0, 0)).checks() == ()
    scores, x = np.random.default_rng(0).normal(size=(3000, *planted.shape)), np.arange(3000.0)
    many = made(scores, {"x": x, "y": x[::-1]})
    assert "noise" in names(many)


def test_severe_ones_come_first_and_are_printed_one_a_line(planted):
    means = [0.5, 0.45, 0.4, 0.31, 0.3]
    found = planted.result(
        means, falling=np.concatenate([[1.0, 0.3, 0.05], np.zeros(EVALUATIONS - 3)])
    ).checks()
    assert isinstance(found, Checks)
    assert [check.severity for check in found] == ["warning", "note"]
    assert (
        str(found)
        .splitlines()[1]
        .startswith("note, saturated: The best configuration was done early")
    )
    assert str(Check("a", "note", "It is so.", "Do this.")) == "It is so. Do this."


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1e-3, 1e-2, 1e-1], "log"),
        ([0.0, 1e-3, 1e-2, 1e-1], "symlog"),
        ([0.1, 0.2, 0.3], "linear"),
        ([1, 10], "linear"),
        ([-1.0, 0.01, 0.1, 1.0], "linear"),
        (np.linspace(0.1, 10, 9), "linear"),
    ],
)
def test_the_scale_of_an_axis(values, scale):
    assert scale_of(values) == scale


def test_a_result_without_an_overflow_of_words(planted):
    """Everything that is said is a sentence or a few, on one line."""
    for check in planted.result([0.5, 0.45, 0.4, 0.31, 0.3]).checks():
        assert str(check).endswith(".")
        assert "\n" not in str(check)
        assert len(str(check)) < 350


def test_a_curve_that_only_recovers_from_a_rise_gained_nothing(planted):
    """It begins at its best, rises, and has not fallen back at its end."""
    hill = np.concatenate(
        [np.linspace(0, 1, EVALUATIONS // 2), np.linspace(1, 0.1, EVALUATIONS - EVALUATIONS // 2)]
    )
    assert "improving" not in names(planted.result(falling=hill))


def taking(names, metric="valid_loss", column=RATES):
    """A result whose loss takes these names."""
    rng = np.random.default_rng(0)
    scores = VALLEY[:, None, None] + 1e-5 * rng.normal(size=(len(VALLEY), 4, 1))
    takes = json.dumps({"train_loss": names, "valid_loss": names, "window_loss": names})
    return made(scores, {"kind": column}, metric=metric, mode="min", loss_takes=takes)


@pytest.mark.parametrize(
    ("result", "is_told"),
    [
        (taking(["kind"]), True),
        (taking(["kind"], metric="train_loss"), True),
        (taking(["kind"], column=["mse", "mae", "mse", "mae", "huber"]), True),
        (taking(["kind"], column=[True, False, True, False, True]), True),
        (taking(["kind"], column=[1.0] * 5), False),
        (taking(["key"]), False),
        (taking(["kind"], metric="valid_m"), False),
        (taking(["kind"], metric="valid_log_loss"), False),
    ],
)
def test_losses_of_their_own_do_not_compare(result, is_told):
    said = [x.evidence for x in result.checks() if x.name == "own_losses"]
    assert len(said) == is_told
    assert all("The loss takes kind." in text for text in said)


def test_joined_losses_take_what_both_take():
    with pytest.warns(JefficientWarning, match="in the first already"):
        both = taking(["kind"]) + taking(["step"])
    assert json.loads(both.dataset.attrs["loss_takes"])["valid_loss"] == ["kind", "step"]
    assert "own_losses" in names(both)


def test_two_seeds_are_told_to_be_few():
    scores = VALLEY[:, None, None] + 0.2 * np.random.default_rng(0).normal(size=(len(VALLEY), 2, 1))
    found = {check.name: check for check in made(scores, {"learning_rate": RATES}).checks()}
    assert "Two tell next to nothing apart: add seeds or folds." in found["noise"].next_step

    tied = np.repeat([0.5, 0.5, 0.5, 0.7, 0.7], 2).reshape(5, 2, 1)
    found = {check.name: check for check in made(tied, {"learning_rate": RATES}).checks()}
    assert found["noise"].next_step.endswith("add folds.")
