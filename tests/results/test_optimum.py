"""The optimum against a noisy quadratic in closed form, published exponents, numbers by hand."""

import html
import importlib.util
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from results.made import made
from results.test_plot import grid
from scipy import stats

import jefficient as jf
from jefficient.results import Status
from jefficient.results._law import Level, fit_law
from jefficient.results._local_fit import fit_minimum

matplotlib.use("Agg")

RATES = np.geomspace(0.001, 1, 10)
SCORES = 0.4 + 0.02 * np.log(RATES / 0.03)[:, None, None] ** 2


def benchmark(name):
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bowl(best=0.03, noise=0.005, seeds=5, rates=RATES, **changes):
    """A parabola in log rate whose lowest point is 0.4, with paired noise."""
    rng = np.random.default_rng(0)
    scores = 0.4 + 0.02 * np.log(rates / best)[:, None] ** 2
    scores = scores + noise * rng.normal(size=(len(rates), seeds)) + 0.05 * rng.normal(size=seeds)
    return made(scores[:, :, None], {"learning_rate": rates.tolist()}, **changes)


def test_the_interval_holds_the_exact_optimum_of_a_noisy_quadratic():
    """In 93 to 97 % of many replications, so in 90 to 99 % of 200; tests/benchmarks has 1 000."""
    coverage = benchmark("coverage")
    problem, seeds = coverage.FEW_RATES, 6
    losses = problem.losses(np.random.default_rng(0), 200 * seeds)
    exact = [problem.exact(x) for x in np.log(problem.rates)]
    np.testing.assert_allclose(losses.mean(axis=1), exact, rtol=5e-3)  # the oracle is one
    losses = losses.reshape(len(problem.rates), 200, seeds)
    fits = [coverage.located(problem, losses[:, i]) for i in range(200)]
    hits = [fit.low <= problem.optimum() <= fit.high for fit in fits if fit]
    assert len(hits) > 190
    assert 0.90 <= np.mean(hits) <= 0.99

    one = made(losses[:, 0, :, None], {"learning_rate": problem.rates.tolist()})
    got = one.optimum("learning_rate")
    ends = np.exp([fits[0].minimum, fits[0].low, fits[0].high])
    np.testing.assert_allclose([got.value, got.low, got.high], ends, rtol=1e-3)  # float32


def test_four_values_have_fieller_s_interval_joined_with_the_cubic_s():
    """The quadratic's vertex: all x whose slope is not rejected by SciPy's t-test."""
    rng = np.random.default_rng(1)
    x = np.array([-3.0, -1.0, 1.0, 3.0])
    values = x[:, None] ** 2 / 4 - 0.3 * x[:, None] + rng.normal(size=(4, 6)) * 0.3
    fit = fit_minimum(x, values, 1 / 6, 0.9)
    deviation = np.log(values.var(axis=1, ddof=1))
    weights = np.exp(-np.convolve(np.pad(deviation, 1, mode="edge"), np.ones(3) / 3, "valid") / 2)
    accepted = np.linspace(-6, 6, 24001)
    is_in = np.zeros(len(accepted), bool)
    for degree in (2, 3):
        each = np.array([np.polyfit(x, y, degree, w=weights) for y in values.T])
        slopes = np.array([np.polyval(np.polyder(c), accepted) for c in each])
        is_in |= stats.ttest_1samp(slopes, 0).pvalue > 0.1
        if degree == 2:
            a, b, _ = each.mean(axis=0)
            assert fit.minimum == pytest.approx(-b / (2 * a))
    around = np.flatnonzero(~is_in)
    place = np.searchsorted(accepted, fit.minimum)
    low, high = accepted[around[around < place].max()], accepted[around[around > place].min()]
    assert (fit.low, fit.high) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_parabola_has_its_lowest_point_its_costs_and_its_sensitivity(mode):
    """Of a (log x)², half and double cost a (log 2)², a decade around a (log 10)² / 12."""
    rates = np.geomspace(0.001, 1, 13)
    scores = 5 + 0.02 * np.log(rates / 0.03) ** 2
    apart = np.array([-0.001, 0.0, 0.001])  # by which no slope differs: a factor, in logarithms
    scores = scores[:, None] * (1 + apart) if mode == "min" else -scores[:, None] + apart
    result = made(scores[:, :, None], {"learning_rate": rates.tolist()}, mode=mode)
    got = result.optimum("learning_rate")
    assert got.value == pytest.approx(0.03, rel=0.01)
    assert got.low < got.value < got.high < 1.01 * got.low
    assert got.score == pytest.approx(5 if mode == "min" else -5, rel=1e-4)
    # above it, the window ends and lines through the means begin
    assert (got.half, got.double) == pytest.approx([0.02 * np.log(2) ** 2] * 2, rel=0.15)
    assert got.sensitivity == pytest.approx(0.02 * np.log(10) ** 2 / 12, rel=0.05)
    assert got.sensitivity_range == pytest.approx((got.value / 10**0.5, got.value * 10**0.5))
    assert np.isnan([got.diverges_above, got.diverges_low, got.diverges_high]).all()


def test_the_frontier_lies_where_trials_diverge_and_they_leave_the_fit():
    rates = np.geomspace(0.001, 1, 10)
    status = np.full((10, 8, 1), Status.FINISHED)
    status[8, 0] = status[9] = Status.DIVERGED  # one of 8 seeds at 0.464, all at 1
    got = bowl(seeds=8, status=status).optimum("learning_rate")
    middle = np.sqrt(rates[7] * rates[8])
    assert (got.diverges_above, got.diverges_low) == pytest.approx((middle, rates[7]))
    assert got.diverges_high == 1  # (7/8)^8 = 0.34 of resamples have no divergence at 0.464
    assert got.curve.x[-1] == pytest.approx(rates[7])
    status[8, :4] = Status.DIVERGED  # (1/2)^8 = 0.004
    got = bowl(seeds=8, status=status).optimum("learning_rate")
    assert got.diverges_high == pytest.approx(rates[8])
    assert "diverges above 0.316 (0.215 to 0.464)" in str(got)


def test_the_plot_shows_the_curve_the_fit_and_the_law():
    scores = np.where(RATES[:, None] > 0.9, np.nan, 0.4 + 0.02 * np.log(RATES[:, None] / 0.03) ** 2)
    scores = scores + 0.005 * np.random.default_rng(0).normal(size=(10, 5))
    result = made(scores[:, :, None], {"learning_rate": RATES.tolist()})
    got = result.optimum("learning_rate")
    ax = result.plot.optimum("learning_rate")
    shown = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    np.testing.assert_allclose(shown["mean"][:, 1], scores[:9].mean(axis=1), rtol=1e-6)
    best = shown[f"best, at {got.value:.3g}"]
    np.testing.assert_allclose(best, [[got.value, got.score]])
    assert shown["fit"][:, 1].min() == pytest.approx(got.score, rel=1e-4)
    assert shown["diverged"][:, 0].tolist() == [1.0]
    assert result.plot.describe("optimum", "learning_rate") == str(got)
    assert str(got).startswith("The best learning rate is 0.03")
    ax.figure.draw_without_rendering()

    columns = grid(learning_rate=RATES.tolist(), batch_size=[16, 32, 64])
    rate, size = (np.array(columns[name]) for name in columns)
    scores = (0.4 + 0.02 * np.log(rate / (0.002 * size**0.8)) ** 2)[:, None, None]
    result = made(scores, columns)
    ax = result.plot.optimum("learning_rate", "batch_size")
    (line,) = (x for x in ax.get_lines() if x.get_label() == "power law")
    x, y = line.get_xydata().T
    assert np.diff(np.log(y)) / np.diff(np.log(x)) == pytest.approx(0.8, abs=0.02)
    assert "power of 0." in result.plot.describe("optimum", "learning_rate", "batch_size")
    ax.figure.draw_without_rendering()
    plt.close("all")


def test_the_report_says_where_it_is_or_why_not(tmp_path):
    result = bowl(best=0.03)
    page = html.unescape(result.report(tmp_path / "page.html").read_text("utf-8"))
    assert f"<p>{result.optimum('learning_rate')}</p>" in page
    assert page.count(f'alt="{result.optimum("learning_rate")}"') == 1
    page = html.unescape(bowl(seeds=1).report(tmp_path / "page.html").read_text("utf-8"))
    assert "No optimum of learning rate: there must be several seeds or folds" in page


STEP_LAW = {
    "rate": {"params": (-0.713, -0.774, -0.655), "tokens": (0.307, 0.271, 0.345)},
    "batch": {"tokens": (0.571, 0.534, 0.606)},
}
"""The published exponents and their intervals."""


def step_law(rng, factor=2.0):
    """A table of the shape of Step Law's: 17 (N, D), 10 rates x 12 batch sizes, one run of each.

    Li et al. (2025), "Predictable scale: Part I", equation 1: the best rate is 1.79 N^-0.713
    D^0.307, the best batch size 0.58 D^0.571 tokens.
    """
    params = np.array([60, 120, 215, 268, 429, 536, 1074]) * 1e6
    cells = [(n, n * ratio) for n in params for ratio in (20, 60, 180)][:17]
    columns, scores = [], []
    for n, d in cells:
        best = 1.79 * n**-0.713 * d**0.307
        batch = 0.58 * d**0.571
        rates = 2.0**-10 * factor ** np.arange(-3, 7)
        batches = 2.0**17 * 2 ** (np.arange(-4, 8) / 2 * 1.3)
        for rate in rates:
            for size in batches:
                columns.append((n, d, rate, size))
                scores.append(
                    2.5
                    + 0.02 * np.log(rate / best) ** 2
                    + 0.01 * np.log(size / batch) ** 2
                    + 0.002 * rng.normal()
                )
    names = ("params", "tokens", "rate", "batch")
    columns = dict(zip(names, np.array(columns).T.tolist(), strict=True))
    return made(np.array(scores)[:, None, None], columns), columns, np.array(scores)


def test_published_exponents_are_found_where_the_best_point_misses_them():
    result, columns, scores = step_law(np.random.default_rng(0))
    law = result.optimum("rate", by=("params", "tokens")).law
    assert len(law.optima) == 17
    assert -0.774 < law.exponent["params"] < -0.655
    assert 0.271 < law.exponent["tokens"] < 0.345
    assert law.low["params"] < -0.713 < law.high["params"]
    assert law.low["tokens"] < 0.307 < law.high["tokens"]

    n, d, rate = (np.array(columns[name]) for name in ("params", "tokens", "rate"))
    cells = [(n == a) & (d == b) for a, b in law.optima]
    best = [np.flatnonzero(cell)[scores[cell].argmin()] for cell in cells]
    design = np.column_stack([np.ones(17), np.log(n[best]), np.log(d[best])])
    _, by_params, by_tokens = np.linalg.lstsq(design, np.log(rate[best]))[0]
    assert not (-0.774 < by_params < -0.655 and 0.271 < by_tokens < 0.345)

    columns.pop("params")  # the best batch size grows with tokens alone
    law = made(scores[:, None, None], columns).optimum("batch", by="tokens").law
    assert len(law.optima) == 17
    assert law.low < 0.571 < law.high
    assert law.high - law.low < 0.15


def test_one_run_each_has_the_ordinary_least_squares_interval():
    rng = np.random.default_rng(3)
    x = np.geomspace(16, 512, 6)
    y = 0.5 * np.log(x) - 5 + 0.1 * rng.normal(size=6)
    levels = [Level((a,), b, np.zeros(1)) for a, b in zip(x, y, strict=True)]
    law = fit_law("f", "rate", ["batch_size"], levels, {}, 1.0, 0.95)
    expected = stats.linregress(np.log(x), y)
    half = stats.t.isf(0.025, 4) * expected.stderr
    assert law.exponent == pytest.approx(expected.slope)
    assert (law.low, law.high) == pytest.approx((expected.slope - half, expected.slope + half))
    value, low, high = law.predict(100)
    spread = law.scatter**2 * (
        1 + 1 / 6 + (np.log(100 / 90.51) ** 2) / np.square(np.log(x / 90.51)).sum()
    )  # 90.51 is the geometric mean
    centre = expected.intercept + expected.slope * np.log(100)
    assert np.log(value) == pytest.approx(centre)
    assert np.log(high / low) / 2 == pytest.approx(stats.t.isf(0.025, 4) * spread**0.5, rel=1e-3)
    assert law.trusted[0] < 16
    assert 512 < law.trusted[1] <= 512 * 32
    with pytest.warns(jf.JefficientWarning, match=r"where the law can be trusted, batch_size"):
        law.predict(1e6)
    with pytest.raises(jf.ArgumentTypeError, match=r"x must have values of \['batch_size'\]"):
        law.predict({"steps": 3})
    with pytest.raises(jf.ArgumentError, match=r"0 < batch_size < inf must hold"):
        law.predict(-1)


def test_seeds_that_agree_on_the_shift_say_how_sure_the_law_is():
    """Noise common to all levels moves the line, not its slope."""
    rng = np.random.default_rng(4)
    x = np.geomspace(16, 512, 6)
    common, own = rng.normal(size=8), 0.01 * rng.normal(size=(6, 8))
    influence = common + own
    influence -= influence.mean(axis=1, keepdims=True)
    levels = [Level((a,), 0.5 * np.log(a), each) for a, each in zip(x, influence, strict=True)]
    law = fit_law("f", "rate", ["batch_size"], levels, {}, 1 / 8, 0.95)
    assert law.scatter == 0
    assert law.high - law.low < 0.03
    with pytest.warns(jf.JefficientWarning, match="which is nowhere"):
        _, low, high = law.predict(100)
    half = stats.t.isf(0.025, 7) * np.std(common, ddof=1) / 8**0.5
    assert np.log(high / low) / 2 == pytest.approx(half, rel=0.02)


def test_what_is_asked_of_the_others():
    """The row of the best configuration; levels without an optimum are left out, and said."""
    columns = grid(learning_rate=RATES.tolist(), batch_size=[16, 32, 64, 1024])
    rate, size = (np.array(columns[name]) for name in columns)
    scores = 0.4 + 0.02 * np.log(rate / (0.002 * size**0.8)) ** 2
    scores = scores[:, None] + 0.002 * np.random.default_rng(0).normal(size=(len(rate), 4))
    scores[size == 32] -= 0.1
    scores[(size == 1024) & (rate > 0.1)] = np.nan  # its best rate is 0.5
    result = made(scores[:, :, None], {**columns, "kind": ["a"] * len(rate)})
    got = result.optimum("learning_rate")
    assert got.others == {"batch_size": 32, "kind": "a"}
    assert got.value == pytest.approx(0.002 * 32**0.8, rel=0.15)
    got = result.optimum("learning_rate", "batch_size")
    assert list(got.law.optima) == [16, 32, 64]
    assert list(got.law.refused) == [1024]
    assert "values between it and 0.215, where training diverged" in got.law.refused[1024]
    assert got.value == got.law.optima[32].value
    assert got.law.low < 0.8 < got.law.high
    assert "grows as batch size to the power of 0." in str(got)


@pytest.mark.parametrize(
    ("result", "arguments", "message"),
    [
        (bowl(), ("rate",), r"name must be one of \['learning_rate'\], got name='rate'"),
        (bowl(), ("learning_rate", None, 1.5), r"0 < level < 1 must hold"),
        (bowl(), ("learning_rate", "learning_rate"), "by must be another hyperparameter"),
        (bowl(seeds=1), ("learning_rate",), "there must be several seeds or folds, got one"),
        (
            made(np.repeat(SCORES, 5, axis=1), {"learning_rate": RATES.tolist()}),
            ("learning_rate",),
            "seeds must give different numbers, got 5 that are alike: .* Ask jf.sweep for folds=5",
        ),
        (
            made(np.repeat(SCORES, 5, axis=1), {"learning_rate": RATES.tolist()}, examples=(0, 0)),
            ("learning_rate",),
            r"seeds must give different numbers, got 5 that are alike: .* sure the optimum is\.$",
        ),
        (
            made(np.repeat(SCORES, 5, axis=2), {"learning_rate": RATES.tolist()}),
            ("learning_rate",),
            r"folds must give different numbers, got 5 that are alike: .* sure the optimum is\.$",
        ),
        (bowl(best=3.0), ("learning_rate",), r"got 1, the largest that .*larger ones, 2.15 and"),
        (bowl(best=1e-4), ("learning_rate",), r"got 0.001, the smallest.*smaller ones, 0.000464"),
        (bowl(rates=RATES[3:6]), ("learning_rate",), r"4 values of learning_rate .* got 3\."),
        (bowl(noise=0.1, seeds=3), ("learning_rate",), "got an interval that ends|must have a min"),
        (
            made(np.full((4, 2, 1), np.nan), {"learning_rate": RATES[:4].tolist()}),
            ("learning_rate",),
            "a configuration must have finished with a finite score, got none of 4",
        ),
        (
            made(np.ones((4, 2, 1)), {"kind": ["a", "b", "c", "d"], "w": [np.ones(2)] * 4}),
            ("kind",),
            "name must have numbers for values, got 'kind', which has labels",
        ),
        (
            made(np.ones((4, 2, 1)), {"kind": ["a", "b", "c", "d"], "w": [np.ones(2)] * 4}),
            ("w",),
            "name must have numbers for values, got 'w', which has arrays",
        ),
        (
            made(np.arange(5.0)[:, None, None] + np.ones((5, 2, 1)), {"l2": [0, 1, 2, 3, 4]}),
            ("l2",),
            "l2 must be positive, since the curve is one over its logarithm, got l2=0",
        ),
        (
            made(
                np.random.default_rng(0).normal(size=(8, 2, 1)),
                {"learning_rate": RATES[:8].tolist(), "l1": RATES[:8].tolist()},
            ),
            ("learning_rate",),
            r"with the others as in the best configuration \(l1=.*jf.grid has them beside",
        ),
        (
            made(
                np.ones((8, 2, 1)),
                grid(learning_rate=RATES[:4].tolist(), batch_size=[16, 32]),
            ),
            ("learning_rate", "batch_size"),
            r"3 levels of by must have an optimum.* got 0 of 2 for by='batch_size'. At batch_size=",
        ),
    ],
)
def test_what_has_no_optimum_is_refused_with_what_to_sweep_next(result, arguments, message):
    with pytest.raises(jf.ArgumentError, match=rf"^jf.Result.optimum: .*({message})"):
        result.optimum(*arguments)


def test_below_a_divergence_the_next_values_are_named():
    scores = np.linspace(2, 1, 10)[:, None] + 0.001 * np.arange(3)
    scores[8:] = np.nan
    result = made(scores[:, :, None], {"learning_rate": RATES.tolist()})
    with pytest.raises(jf.ArgumentError, match=r"values between it and 0\.464, where training div"):
        result.optimum("learning_rate")


def test_a_printed_result_has_the_optimum_or_the_reason_why_there_is_none():
    result = bowl()
    assert str(result.optimum("learning_rate")) in str(result)
    assert str(result.best()) in str(result)
    assert str(result.checks()) in str(result)

    at_the_edge = bowl(best=3.0)
    with pytest.raises(jf.ArgumentError) as refusal:
        at_the_edge.optimum("learning_rate")
    reason = str(refusal.value).removeprefix("jf.Result.optimum: ")
    assert f"An optimum of learning rate cannot be said: {reason}" in str(at_the_edge)
    assert repr(result) == "Result(configurations=10, seeds=5, folds=1, metric='valid_loss')"
