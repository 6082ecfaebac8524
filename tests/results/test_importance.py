"""Importances are Optuna's, asked directly about a study written by hand."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from results.made import made

import jefficient as jf
from jefficient.results import Status

RNG = np.random.default_rng(0)
COUNT = 60
RATE = 10 ** RNG.uniform(-4, 0, COUNT)
SHARE = RNG.uniform(size=COUNT)
KIND = RNG.choice(["a", "b"], COUNT)
L2 = RNG.choice([0.0, 1e-4, 1e-3], COUNT)
SCORES = (
    (np.log10(RATE) + 2)[:, None, None] ** 2
    + 0.5 * SHARE[:, None, None]
    + 0.3 * RNG.normal(size=(COUNT, 3, 1))
).astype(np.float32)
COLUMNS = {"rate": RATE, "share": SHARE, "kind": KIND, "l2": L2}
DISTRIBUTIONS = {
    "rate": FloatDistribution(RATE.min(), RATE.max(), log=True),
    "share": FloatDistribution(SHARE.min(), SHARE.max()),
    "kind": CategoricalDistribution(["a", "b"]),
    "l2": CategoricalDistribution([0.0, 1e-4, 1e-3]),
}


def result(scores=SCORES, **changes):
    return made(scores, {name: x.tolist() for name, x in COLUMNS.items()}, **changes)


def by_optuna(values, direction="minimize", quantile=0.1):
    study = optuna.create_study(direction=direction)
    for config, value in enumerate(values):
        params = {name: x[config].item() for name, x in COLUMNS.items()}
        trial = optuna.trial.create_trial(
            params=params, distributions=DISTRIBUTIONS, value=float(value)
        )
        study.add_trial(trial)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_importances_are_those_of_optuna(mode):
    sign = 1 if mode == "min" else -1
    found = result(sign * SCORES, mode=mode, metric="valid_loss").importance(quantile=0.2)
    direction = "minimize" if mode == "min" else "maximize"
    expected = by_optuna(sign * SCORES.mean(axis=(1, 2)), direction, quantile=0.2)
    assert found.index.tolist() == list(expected)  # the most important first
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-12)
    assert (found.index[0], found.index.name, found.name) == (
        "rate",
        "hyperparameter",
        "importance",
    )


def test_another_metric_that_was_recorded():
    curves = {"valid_loss": SCORES[..., None], "valid_accuracy": -SCORES[..., None]}
    one = result(evaluations=curves)
    found = one.importance("valid_accuracy", mode="max")
    np.testing.assert_array_equal(found, one.importance())
    with pytest.raises(jf.ArgumentError, match="mode must say"):
        one.importance("valid_accuracy")


def test_what_has_no_score_is_behind_all_others():
    """However far: Optuna's importances depend on the order alone."""
    scores, status = SCORES.copy(), np.full(SCORES.shape, Status.FINISHED)
    bad = np.argsort(scores.mean(axis=(1, 2)))[[0, 20, 40]]
    scores[bad[0], 1] = np.nan
    status[np.isnan(scores)] = Status.DIVERGED
    status[bad[1:]] = Status.STOPPED
    values = SCORES.mean(axis=(1, 2))
    values[bad] = 1e6
    expected = by_optuna(values)
    found = result(scores, status=status).importance()
    np.testing.assert_allclose(found[list(expected)], list(expected.values()), rtol=1e-12)


def test_intervals_are_quantiles_over_all_draws_of_the_seeds():
    """Of two seeds: both, or one of them twice; a quarter of the draws each, but for chance."""
    found = result(SCORES[:, :2]).importance(level=0.9)
    draws = [by_optuna(SCORES[:, list(own)].mean(axis=(1, 2))) for own in ([0], [0, 1], [1])]
    for name in COLUMNS:
        of_draws = sorted(x[name] for x in draws)
        assert found.attrs["low"][name] == pytest.approx(of_draws[0], rel=1e-9)
        assert found.attrs["high"][name] == pytest.approx(of_draws[-1], rel=1e-9)
    assert math.isnan(result(SCORES[:, :1]).importance().attrs["low"]["rate"])


def test_arrays_are_taken_number_by_number():
    rates = np.stack([RATE, SHARE], axis=1)
    found = made(SCORES, {"rates": list(rates)}).importance()
    alone = made(SCORES, {"rate": RATE.tolist(), "share": SHARE.tolist()}).importance()
    assert found.index.tolist() == ["rates[0]", "rates[1]"]
    np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (result, {"quantile": 0.01}, "quantile must leave 2 or more .* got quantile=0.01 of 60"),
        (result, {"quantile": 1.0}, "0 < quantile < 1 must hold, got quantile=1.0"),
        (result, {"level": 0}, "0 < level < 1 must hold, got level=0"),
        (lambda: result(np.full_like(SCORES, np.nan)), {}, "best 6 .* must have finished .* got 0"),
        (lambda: result(np.ones_like(SCORES)), {}, "scores must differ"),
        (lambda: made(SCORES, {"rate": [0.1] * COUNT}), {}, "must have several values"),
    ],
)
def test_what_has_no_importances_is_refused(make, arguments, message):
    with pytest.raises(jf.ArgumentError, match=f"jf.Result.importance: .*{message}"):
        make().importance(**arguments)


def test_a_missing_optuna_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(jf.JefficientError, match=r"importance: Optuna .*'jefficient\[optuna\]'"):
        result().importance()


def test_plots_show_the_numbers():
    plot = result().plot
    found = result().importance()
    ax = plot.importance()
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], found)
    assert plot.describe("importance").startswith(
        f"Importance for being among the best 10% by validation loss: rate {found['rate']:.0%} ("
    )
    assert plot.describe("importance", quantile=0.01).startswith("No importances: quantile must")

    ax = plot.parallel()
    best = int(SCORES.mean(axis=(1, 2)).argmin())
    (line,) = [x for x in ax.get_lines() if x.get_label() == "best"]
    span = np.ptp(np.log(RATE))
    expected = [
        np.log(RATE[best] / RATE.min()) / span,
        (SHARE[best] - SHARE.min()) / np.ptp(SHARE),
        float(KIND[best] == "b"),
        [0.0, 1e-4, 1e-3].index(L2[best]) / 2,
        1.0,
    ]
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-6)
    assert [text.get_text() for text in ax.get_xticklabels()][:2] == ["rate", "share"]
    leaders = np.argsort(SCORES.mean(axis=(1, 2)))[:6]
    low, high = RATE[leaders].min(), RATE[leaders].max()
    assert f"the 6 best have rate {low:.3g} to {high:.3g}, share" in plot.describe("parallel")
