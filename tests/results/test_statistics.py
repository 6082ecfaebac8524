"""Standard errors, comparisons, ties and the 1se rule, against SciPy, NumPy and numbers by hand."""

import numpy as np
import pytest
from results.made import made
from scipy import optimize, special, stats

import jefficient as jf
from jefficient.results import Status
from jefficient.results._moderated import against
from jefficient.results._statistics import Units, bonferroni, standard_errors, t_test
from jefficient.results.plots._reading import means

RNG = np.random.default_rng(0)
SEEDS = RNG.normal(size=(4, 6, 1)) * 0.1 + np.arange(4)[:, None, None] * 0.15
FOLDS = RNG.normal(size=(4, 3, 5)) * 0.1 + np.arange(4)[:, None, None] * 0.15
RATES = {"learning_rate": [0.001, 0.01, 0.1, 1.0]}


def last(result):
    """The scores as the dataset has them, float64."""
    return result.dataset["valid_loss"].values[..., -1].astype(float)


def test_seeds_have_the_usual_standard_error():
    result = made(SEEDS, RATES)
    expected = last(result)[:, :, 0].std(axis=1, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(
        result.table()["valid_loss_se"], expected[result.table().index], rtol=1e-6
    )
    assert result.best().standard_error == pytest.approx(expected[result.best().config])


def test_folds_have_the_corrected_one_after_averaging_their_seeds():
    """Nadeau and Bengio: s² (1/k + n_test/n_train).

    Folds of 90 and 10 examples, so that swapping the two shows.
    """
    result = made(FOLDS, RATES, examples=(90, 10))
    by_fold = last(result).mean(axis=1)
    expected = np.sqrt(by_fold.var(axis=1, ddof=1) * (1 / 5 + 10 / 90))
    np.testing.assert_allclose(result.table()["valid_loss_se"].sort_index(), expected, rtol=1e-6)
    assert result.best().standard_error == pytest.approx(expected[result.best().config])
    assert result.best().trials == 15


def test_one_trial_has_no_standard_error_and_neither_has_a_diverged_one():
    assert np.isnan(made(SEEDS[:, :1], RATES).table()["valid_loss_se"]).all()
    scores = SEEDS.copy()
    scores[1, 2] = np.nan
    errors = made(scores, RATES).table()["valid_loss_se"]
    assert np.isnan(errors[1])
    assert np.isfinite(errors.drop(1)).all()


@pytest.mark.parametrize("mode", ["min", "max"])
def test_comparing_on_seeds_is_the_paired_t_test(mode):
    result = made(SEEDS, RATES, mode=mode)
    x = last(result)[:, :, 0]
    expected = stats.ttest_rel(x[0], x[3])
    got = result.compare(0, 3)
    assert (got.a, got.b, got.trials, got.degrees, got.metric) == (0, 3, 6, 5, "valid_loss")
    assert got.difference == pytest.approx((x[0] - x[3]).mean())
    assert got.statistic == pytest.approx(expected.statistic)
    assert got.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high))
    assert got.standard_error == pytest.approx(stats.sem(x[0] - x[3]))
    back = result.compare(3, 0)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-got.difference, -got.high, -got.low)
    )


def test_comparing_on_folds_is_the_corrected_one():
    result = made(FOLDS, RATES, examples=(90, 10))
    d = (last(result)[0] - last(result)[2]).mean(axis=0)
    error = np.sqrt(d.var(ddof=1) * (1 / 5 + 1 / 9))
    got = result.compare(0, 2)
    assert (got.trials, got.degrees) == (15, 4)
    assert got.standard_error == pytest.approx(error)
    assert got.p_value == pytest.approx(2 * stats.t.cdf(-abs(d.mean() / error), df=4))
    assert (got.low, got.high) == pytest.approx(
        (d.mean() - 2.776445 * error, d.mean() + 2.776445 * error), rel=1e-5
    )


def test_what_does_not_differ_does_not():
    for value in (0.0, 0.3):
        same = made(np.full((3, 4, 1), value), {"width": [1, 2, 3]})
        got = same.compare(0, 2)
        assert (got.difference, got.statistic, got.p_value) == (0, 0, 1)
        assert got.low == pytest.approx(0, abs=1e-6)
        assert same.ties()["p_value"].tolist()[1:] == [1, 1]
    last_bit = np.nextafter(np.float32(0.3), np.float32(1))
    assert made([[[0.3]] * 30, [[last_bit]] * 30], {"width": [1, 2]}).compare(0, 1).p_value > 0.3
    assert (
        made([[[0.3]] * 3, [[0.4]] * 3], {"width": [1, 2]}).compare(0, 1).p_value < 1e-6
    )  # all alike, and far away
    alike = t_test(np.array([[2.0, 2.0], [-2.0, -2.0], [0.0, 0.0]]), factor=0.5)
    assert alike.statistic.tolist() == [np.inf, -np.inf, 0]
    assert alike.p_value.tolist() == [0, 0, 1]


def test_a_comparison_can_be_read():
    text = str(made(SEEDS, RATES).compare(0, 3))
    assert text.startswith("valid_loss of configuration 0 minus that of 3: -0.")
    assert "95 % interval" in text
    assert "6 trials each, 5 degrees of freedom" in text
    assert "nothing tells it from chance" in str(made(SEEDS[:, :1], RATES).compare(0, 1))


def test_what_cannot_be_compared_is_refused():
    scores, status = SEEDS.copy(), np.full(SEEDS.shape, Status.FINISHED)
    scores[1, 2], status[1, 2], status[2, 0] = np.nan, Status.DIVERGED, Status.STOPPED
    result = made(scores, RATES, status=status)
    for a, b, message in (
        (0, 4, r"jf.Result.compare: 0 <= b < 4 must hold, got b=4"),
        (-1, 0, r"0 <= a < 4 must hold, got a=-1"),
        (1, 0, r"all trials of a must have finished with a finite valid_loss, got a=1"),
        (0, 2, r"all trials of b must have finished .* got b=2"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            result.compare(a, b)
    assert result.ties().index.isin([0, 3]).all()


def moderated_by_hand(x, better):
    """Smyth (2004), section 6.2, for scores (configs, units); the prior is that of `better`."""
    own, many = x.shape[1] - 1, len(better)
    centred = x - x.mean(1)[:, None]
    residual = centred - centred[better].mean(0)
    s2 = (residual**2).sum(1) / own
    s2[better] /= 1 - 1 / many
    e = np.log(s2[better]) - special.digamma(own / 2) + np.log(own / 2)
    excess = np.var(e, ddof=1) - special.polygamma(1, own / 2)
    assert excess > 0
    prior = 2 * optimize.brentq(
        lambda half: special.polygamma(1, half) - excess, 1e-3, 1e6, xtol=1e-12, rtol=1e-12
    )
    common = np.exp(e.mean() + special.digamma(prior / 2) - np.log(prior / 2))
    drawn = (prior * common + own * s2) / (prior + own)
    worse = np.setdiff1d(np.arange(len(x)), better)
    drawn[worse] = np.maximum(drawn, s2)[worse]
    return drawn, min(prior + own, own * (many - 1))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_ties_are_those_whose_moderated_test_does_not_tell_them_from_the_best(mode):
    sign = 1 if mode == "min" else -1
    spread = np.geomspace(0.02, 0.5, 12)[:, None, None]
    scores = RNG.normal(size=(12, 4, 1)) * spread + np.arange(12)[:, None, None] * 0.05
    result = made(sign * scores, {"width": range(12)}, mode=mode)
    x = last(result)[:, :, 0]
    order = np.argsort(sign * x.mean(axis=1))
    variances, degrees = moderated_by_hand(x, order[:6])
    best, means = order[0], x.mean(axis=1)
    errors = np.sqrt((variances + variances[best]) / 4)
    p = np.minimum(1, 11 * 2 * stats.t.cdf(-abs(means - means[best]) / errors, degrees))
    assert 0 < (p <= 0.05).sum() < 11
    for alpha in (0.001, 0.05, 0.5):
        got = result.ties(alpha)
        assert got.index.tolist() == [best, *(c for c in order[1:] if p[c] > alpha)]
        assert np.isnan(got["p_value"].iloc[0])
        np.testing.assert_allclose(got["p_value"].iloc[1:], p[got.index[1:]], rtol=1e-5)
    assert got.columns.tolist() == [
        "width",
        "valid_loss",
        "difference",
        "standard_error",
        "p_value",
    ]
    assert got.index.name == "config"
    everyone = result.ties(1e-12)
    np.testing.assert_allclose(
        everyone["difference"], (means - means[best])[everyone.index], atol=1e-7
    )
    np.testing.assert_allclose(
        everyone["standard_error"].iloc[1:], errors[everyone.index[1:]], rtol=1e-5
    )


def test_where_variances_could_be_equal_they_are_pooled():
    """Analysis of variance: residual mean square, (configs - 1)(units - 1) degrees of freedom."""
    base = np.array([[1.0, -1, 0.5, -0.5], [-0.5, 1, -1, 0.5], [0.5, -0.5, 1, -1]])
    x = 0.1 * base + 0.3 * np.arange(3)[:, None] + np.array([0.7, 0.2, 0.9, 0.4])
    residual = x - x.mean(1)[:, None] - x.mean(0) + x.mean()
    square = (residual**2).sum() / (2 * 3)
    got = made(x[:, :, None], {"width": [1, 2, 3]}).ties(1e-9)
    np.testing.assert_allclose(got["standard_error"].iloc[1:], np.sqrt(2 * square / 4), rtol=1e-5)
    expected = np.minimum(
        1, 2 * 2 * stats.t.cdf(-np.array([0.3, 0.6]) / np.sqrt(2 * square / 4), 6)
    )
    np.testing.assert_allclose(got["p_value"].iloc[1:], expected, rtol=1e-4)


def test_two_configurations_are_compared_by_the_paired_test():
    result = made(SEEDS[:2], {"width": [1, 2]})
    (p,) = result.ties(1e-9)["p_value"].iloc[1:]
    assert p == pytest.approx(stats.ttest_rel(*last(result)[:, :, 0]).pvalue, rel=1e-6)


def test_one_trial_ties_with_all():
    got = made(SEEDS[:, :1], RATES).ties()
    assert len(got) == 4
    assert np.isnan(got["p_value"]).all()


def test_ties_refuse_what_they_cannot_answer():
    with pytest.raises(jf.JefficientError, match=r"0 < alpha < 1 must hold, got alpha=5"):
        made(SEEDS, RATES).ties(5)
    with pytest.raises(
        jf.JefficientError, match=r"jf.Result.ties: a configuration must have a finite valid_loss"
    ):
        made(np.full((2, 1, 1), np.nan), {"width": [1, 2]}).ties()


@pytest.mark.parametrize("configs", [2, 5, 30])
@pytest.mark.parametrize("units", ["seeds", "folds", "unequal"])
def test_where_nothing_differs_one_is_called_best_alpha_of_the_time_at_most(units, configs):
    """Single out a best configuration alpha of the time at most.

    5 seeds; 3 with standard deviations that differ twentyfold; or 5 folds of 80 and 20 examples,
    whose scores correlate by rho = n_test / (n_train + n_test) = 1/5. Also, the truly best (here:
    any of them) is in the set with probability 1 - alpha.
    """
    alpha, draws, rho = 0.05, 4000, 0.2 if units == "folds" else 0.0
    count = 3 if units == "unequal" else 5
    shared, own = RNG.normal(size=(draws, configs, 1)), RNG.normal(size=(draws, configs, count))
    scores = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    if units == "unequal":
        scores *= np.geomspace(0.2, 4.0, configs)[:, None]
    margin = 4 * np.sqrt(alpha * (1 - alpha) / draws)

    def rates(factor):
        best = scores.mean(axis=2).argmin(axis=1)
        test = against(Units(scores, factor, 1e-7), best)
        p = np.where(
            np.arange(configs) == best[:, None], np.nan, bonferroni(test.p_value, configs - 1)
        )
        is_out = p <= alpha
        return (is_out.sum(axis=1) == configs - 1).mean(), is_out.mean(axis=0).max()

    alone, left_out = rates(1 / count + (20 / 80 if units == "folds" else 0))
    assert alone <= alpha + margin
    assert left_out <= alpha + margin
    if configs == 2 and units != "unequal":
        assert alone == pytest.approx(alpha, abs=margin)  # exact, not only safe
        if units == "folds":
            assert rates(1 / 5)[0] > 2 * alpha  # as if folds were independent


def test_three_seeds_tell_far_apart_what_is_far_apart():
    """30 configurations, 2/3 of a standard deviation apart: the paired test has some 20 ties."""
    scores = RNG.normal(size=(30, 3)) + np.arange(30)[:, None] * 2 / 3
    assert len(made(scores[:, :, None], {"width": range(30)}).ties()) <= 10


def test_what_has_failed_does_not_blur_what_has_learned():
    """Twenty that learn within 0.01, twenty that fail between 1 and 20 with a spread of 1."""
    learned = 0.1 + 0.01 * RNG.normal(size=(20, 3)) + 0.005 * np.arange(20)[:, None]
    failed = np.arange(1, 21)[:, None] + RNG.normal(size=(20, 3))
    got = made(np.concatenate([learned, failed])[:, :, None], {"width": range(40)}).ties()
    assert got["standard_error"].iloc[1:5].max() < 0.02
    assert (got.index < 20).sum() < 20


# mean 1.0 with standard error 0.1: the bound is 1.1
NEAR = np.array([0.9, 1.1, 1.0])[None, :] * 1.0 + np.array([0.0, 0.05, 0.055, 0.07])[:, None]
SPACE = {
    "l2": [0.0, 0.01, 0.1, 0.1],
    "batch_size": [32, 32, 64, 16],
    "activation": ["relu", "tanh", "tanh", "relu"],
}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    ("prefer", "config"),
    [
        ({"l2": "high"}, 2),  # 3 is 0.07 worse, beyond 0.1/√3 = 0.0577
        ({"l2": "low"}, 0),
        ({"batch_size": "high"}, 2),
        ({"batch_size": "low", "l2": "high"}, 1),
        ({"l2": 0.01}, 1),
        ({"activation": "tanh"}, 1),  # what is equal is ranked by its score
        ({"activation": "tanh", "batch_size": "high"}, 2),
    ],
)
def test_the_preferred_within_a_standard_error(mode, prefer, config):
    sign = 1 if mode == "min" else -1
    result = made(sign * NEAR[:, :, None], SPACE, mode=mode)
    assert result.best().config == 0
    got = result.best("1se", prefer)
    assert got.config == config
    assert got.hyperparameters == {name: column[config] for name, column in SPACE.items()}
    assert got.score == pytest.approx(sign * NEAR[config].mean(), rel=1e-6)
    assert got.standard_error == pytest.approx(0.1 / np.sqrt(3), rel=1e-5)


def test_the_bound_is_the_corrected_error_of_folds():
    """0.1 √(1/3 + 1/9) = 0.0667 contains the third; 0.1 √(1/3 + 3/2) also the fourth."""
    near, far = (made(NEAR[:, None, :], SPACE, examples=each) for each in ((90, 10), (40, 60)))
    assert near.best("1se", {"batch_size": "low", "l2": "high"}).config == 1
    assert far.best("1se", {"batch_size": "low", "l2": "high"}).config == 3


def test_a_function_may_be_preferred():
    result = made(NEAR[:, :, None], {"activation": ["abs", "max", "max", "min"]})
    object.__setattr__(result, "space", {"activation": (abs, max, max, min)})
    assert result.best("1se", {"activation": max}).config == 1
    assert result.best("1se", {"activation": "max"}).hyperparameters == {"activation": max}


def test_rules_that_cannot_be_followed_are_refused():
    result = made(NEAR[:, :, None], SPACE)
    for arguments, message in (
        (
            ("2se", {"l2": "high"}),
            r"jf.Result.best: rule must be one of \['best', '1se'\], got rule='2se'",
        ),
        (("1se",), "prefer must go with rule='1se'"),
        (("best", {"l2": "high"}), "prefer must go with rule='1se'"),
        (
            ("1se", {"l1": "high"}),
            r"prefer must name hyperparameters of \['l2', 'batch_size', .* got 'l1'",
        ),
        (
            ("1se", {"activation": "high"}),
            r"prefer\['activation'\] must be one of \['relu', 'tanh'\], got .*'high'",
        ),
        (
            ("1se", {"l2": "highest"}),
            r"prefer\['l2'\] must be one of \['high', 'low', .* got l2='highest'",
        ),
        (("1se", {"l2": 5}), r"prefer\['l2'\] must be one of .* got l2=5"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            result.best(*arguments)
    with pytest.raises(
        jf.JefficientError, match="must have a standard error, got one seed and one fold"
    ):
        made(NEAR[:, :1, None], SPACE).best("1se", {"l2": "high"})


def test_thousands_of_configurations():
    scores = RNG.normal(size=(3000, 3, 5))
    result = made(scores, {"x": np.arange(3000.0), "kind": ["a", "b", "c"] * 1000})
    assert len(result.ties()) > 2
    assert result.best("1se", {"kind": "b"}).config % 3 == 1


def test_a_single_configuration_whose_scores_are_all_alike_is_a_tie_without_a_warning():
    """An error of 0 in every seed: nothing differs, nothing is spread."""
    ties = made(np.zeros((1, 3, 1)), {"learning_rate": [0.1]}).ties()
    assert ties.index.tolist() == [0]
    assert ties["difference"].item() == 0
    assert np.isnan(ties["p_value"].item())


@pytest.mark.parametrize("wrong", [1.0, True, "1"])
def test_a_configuration_is_named_by_a_whole_number(wrong):
    result = made(SEEDS, RATES)
    for name, read in (
        ("config", result.replay),
        ("config", result.refit),
        ("b", lambda x: result.compare(0, x)),
    ):
        with pytest.raises(
            jf.ArgumentTypeError, match=rf"{name} must be a whole number, got {name}={wrong!r}"
        ):
            read(wrong)


@pytest.mark.parametrize("select", ["last", "best"])
def test_a_metric_that_is_nan_blanks_nothing_but_itself(select):
    """Among the variables of a trial, among trials, and where it ranks."""
    falling = np.array([3.0, 2.0, 1.0])
    auc = np.full((2, 2, 3), 0.5) + np.array([0.0, 0.1, 0.2])  # (configs, folds, evaluations)
    auc[1, 1] = np.nan
    auc[0, 0, 0] = np.nan
    evaluations = {
        "valid_auc": auc[:, None],
        "valid_loss": np.broadcast_to(falling, (2, 1, 2, 3)),
        "train_loss": np.broadcast_to(falling / 2, (2, 1, 2, 3)),
    }
    arguments = {
        "columns": {"learning_rate": [0.1, 0.2]},
        "evaluations": evaluations,
        "status": np.full((2, 1, 2), Status.FINISHED),
        "select": select,
    }
    by_loss = made(np.ones((2, 1, 2)), **arguments)
    by_auc = made(np.ones((2, 1, 2)), metric="valid_auc", mode="max", **arguments)
    for result in (by_loss, by_auc):
        table = result.table().sort_index()
        np.testing.assert_allclose(table["valid_loss"], [1, 1])
        np.testing.assert_allclose(table["train_loss"], [0.5, 0.5])
        np.testing.assert_allclose(table["valid_auc"], [0.7, np.nan], rtol=1e-6)
        assert table["diverged"].tolist() == [0, 0]
    assert by_loss.best().trials == 2
    assert len(by_loss.ties()) == 2
    assert by_auc.best().config == 0
    assert len(by_auc.ties()) == 1
    np.testing.assert_allclose(standard_errors(by_auc.dataset, "valid_loss"), [0, 0])
    np.testing.assert_allclose(means(by_auc.dataset, by_auc.score, "valid_loss"), [1, 1])


def test_where_the_rule_has_stopped_all_the_message_says_how_to_rank_them():
    status = np.full((2, 1, 1), Status.STOPPED)
    result = made([[[0.1]], [[0.2]]], {"learning_rate": [0.1, 0.2]}, status=status)
    with pytest.raises(jf.JefficientError, match=r"let the rule wait longer.*select='best'"):
        result.best()
