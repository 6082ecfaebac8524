"""Plots show what the dataset says, against NumPy, counted combinations and numbers by hand."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from results.made import made
from results.test_plot import grid, planted, simulations

import jefficient as jf
from jefficient.results import Status
from jefficient.results._axes import labelled, measured_scale, scale_of
from jefficient.results.plots._heatmap import HeatmapPlot

matplotlib.use("Agg")

RNG = np.random.default_rng(0)
RATES = [0.001, 0.01, 0.1, 1.0]


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def legend_of(ax):
    ax.figure.draw_without_rendering()
    return [text.get_text() for text in ax.figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.001, 0.01, 0.1], "log"),
        ([0.1, 0.001, 0.01, 0.01], "log"),
        ([0.0, 0.001, 0.01, 0.1], "symlog"),
        ([0.01, 0.1], "linear"),  # two are as even in either
        ([0.0, 0.01, 0.1], "symlog"),
        ([0.0, 0.01, 0.02], "linear"),
        ([0.0, 0.1], "linear"),
        ([0.2, 0.4, 0.8, 1.6], "linear"),  # not a decade
        (np.linspace(0.01, 0.2, 5), "linear"),
        ([-0.1, 0.001, 0.01, 0.1], "linear"),
        ([0.5], "linear"),
        ([16, 64, 256], "log"),
    ],
)
def test_the_scale_is_the_one_on_which_values_are_even(values, scale):
    assert scale_of(values) == scale


def test_what_was_measured_has_a_log_axis_over_a_decade():
    for values, scale in (
        ([1, 11, np.nan], "log"),
        ([1, 9], "linear"),
        ([0, 11], "linear"),
        ([np.nan], "linear"),
    ):
        assert measured_scale(values) == scale


def test_names_are_words():
    names = ("valid_loss", "train_loss", "batch_size")
    assert [labelled(name) for name in names] == ["validation loss", "training loss", "batch size"]


def test_values_show_trials_means_errors_the_best_and_crosses():
    scores = RNG.uniform(0.5, 0.9, size=(4, 2, 3))
    scores[3, 1, 2] = np.nan
    result = made(scores, {"learning_rate": RATES})
    ax = result.plot.values("learning_rate")
    shown, means = lines(ax), scores.mean(axis=(1, 2))
    np.testing.assert_allclose(shown["trial"].get_xdata(), np.repeat(RATES, 6))
    np.testing.assert_allclose(shown["trial"].get_ydata(), scores.ravel(), rtol=1e-6)
    np.testing.assert_allclose(
        shown["mean"].get_ydata(), means, rtol=1e-6
    )  # NaN where a trial diverged
    best = int(np.nanargmin(means))
    star = shown[f"best, at {RATES[best]:.3g}"].get_xydata()
    np.testing.assert_allclose(star, [[RATES[best], means[best]]], rtol=1e-6)
    assert shown["diverged"].get_xdata().tolist() == [1.0]
    assert shown["diverged"].get_color() == "red"
    error = np.sqrt(scores.mean(axis=1).var(axis=1, ddof=1) * (1 / 3 + 20 / 80))[
        :3
    ]  # Nadeau and Bengio
    (band,) = ax.collections
    edges = [[x, y] for x, y in band.get_paths()[0].vertices if x in RATES]
    for x, y, e in zip(RATES, means, error, strict=False):
        mine = [v for u, v in edges if u == x]
        np.testing.assert_allclose((min(mine), max(mine)), (y - e, y + e), rtol=1e-5)
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == (
        "log",
        "learning rate",
        "validation loss",
    )
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.001", "0.01", "0.1", "1"]
    assert result.plot.describe("values", "learning_rate") == (
        f"Validation loss against learning rate: best, {means[best]:.3g}, at {RATES[best]:.3g}; "
        "1 of 4 configurations diverged."
    )


def test_with_other_axes_the_line_joins_the_best_at_each_value():
    scores = np.array([3.0, 2.0, 1.0, 4.0])
    line = lines(made(scores[:, None, None], grid(rate=[1, 2], l1=[0, 1])).plot.values("rate"))
    assert line["mean of the best at each value"].get_xydata().tolist() == [[1, 2], [2, 1]]


def test_a_drawn_space_has_no_line_and_labels_are_categories():
    drawn = made(
        [[[1.0]], [[2.0]], [[3.0]]], {"rate": [0.1, 0.3, 0.2], "l1": [1, 3, 2]}
    ).plot.values("rate")
    assert {line.get_linestyle() for line in drawn.get_lines()} == {"None"}
    labels = made([[[1.0, 2.0]], [[3.0, 5.0]]], {"optimizer": ["sgd", "adam"]}).plot.values(
        "optimizer"
    )
    assert [text.get_text() for text in labels.get_xticklabels()] == ["sgd", "adam"]
    np.testing.assert_allclose(
        lines(labels)["trial"].get_xydata(), [[0, 1], [0, 2], [1, 3], [1, 5]]
    )
    assert "best, at sgd" in lines(labels)


def test_stopped_trials_are_set_apart_and_the_bad_edge_is_where_bad_is():
    status = np.array([Status.FINISHED, Status.STOPPED, Status.DIVERGED])[:, None, None]
    scores = np.array([0.5, 0.9, np.nan])[:, None, None]
    arguments = {"status": status, "metric": "valid_accuracy", "mode": "max"}
    shown = lines(made(scores, {"rate": [1, 2, 3]}, **arguments).plot.values("rate"))
    assert shown["trial"].get_xdata().tolist() == [1, 3]
    assert shown["stopped early"].get_xydata().round(6).tolist() == [[2, 0.9]]
    assert shown["diverged"].get_ydata()[0] < 0.5
    assert "best, at 1" in shown
    cost = made(scores, {"rate": [1, 2, 3]}, metric="valid_cost", mode="min").plot.values("rate")
    assert lines(cost)["diverged"].get_ydata()[0] > 0.5


def test_curves_are_means_the_best_stand_out_and_nothing_is_dropped():
    evaluations = {
        name: RNG.uniform(0.5, 0.9, size=(8, 2, 3, 4)) for name in ("valid_loss", "train_loss")
    }
    evaluations["valid_loss"][7, 0, 0, 2:] = np.nan
    status = np.full((8, 2, 3), Status.FINISHED)
    status[7, 0, 0] = Status.DIVERGED
    scores = evaluations["valid_loss"][..., -1]
    result = made(
        scores, {"rate": range(1, 9), "fixed": [0] * 8}, evaluations=evaluations, status=status
    )
    ax = result.plot.curves(best=2)
    shown, order = lines(ax), np.argsort(scores.mean(axis=(1, 2)))
    for config in order[:2]:  # a NaN sorts last
        line = shown[str(config + 1)]
        np.testing.assert_allclose(line.get_xdata(), [10, 20, 30, 40])
        np.testing.assert_allclose(
            line.get_ydata(), evaluations["valid_loss"][config].mean(axis=(0, 1)), rtol=1e-6
        )
        (dashed,) = [
            x
            for x in ax.get_lines()
            if x.get_linestyle() == "--" and x.get_color() == line.get_color()
        ]
        np.testing.assert_allclose(
            dashed.get_ydata(), evaluations["train_loss"][config].mean(axis=(0, 1)), rtol=1e-6
        )
    grey = shown["the other 6"].get_ydata()
    others = np.delete(evaluations["valid_loss"].mean(axis=(1, 2)), order[:2], axis=0)
    np.testing.assert_allclose(
        np.sort(grey)[:22], np.sort(others, axis=None)[:22], rtol=1e-6
    )  # then come the NaN
    cross = shown["diverged"].get_xydata()
    np.testing.assert_allclose(
        cross, [[20, evaluations["valid_loss"][7, :, :, 1].mean()]], rtol=1e-6
    )
    assert legend_of(ax) == [
        str(order[0] + 1),
        str(order[1] + 1),
        "the same in training",
        "the other 6",
        "diverged",
    ]
    assert ax.figure.legends[0].get_title().get_text() == "rate"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == (
        "step",
        "validation loss",
        "linear",
    )


def test_of_too_many_curves_some_are_drawn_and_the_legend_says_so():
    scores = np.linspace(1, 2, 1000)[:, None, None]
    ax = made(
        scores, {"rate": range(1000)}, evaluations={"valid_loss": scores[..., None] * [1, 1]}
    ).plot.curves(best=1)
    grey = lines(ax)["300 of the other 999"].get_ydata()
    assert np.isfinite(grey).sum() == 600
    assert np.nanmax(grey) == 2  # the worst is among them


def test_curves_of_other_lengths_are_over_epochs_and_stopped_ones_end_at_a_dot():
    scores = np.array([0.1, 3.0])[:, None, None]
    evaluations = {"valid_loss": np.array([[2, 1, 0.1], [4, 3, np.nan]])[:, None, None]}
    status = np.array([Status.FINISHED, Status.STOPPED])[:, None, None]
    result = made(scores, {"batch_size": [1, 2]}, evaluations=evaluations, status=status)
    result.dataset["step"].values = np.array([[10, 20, 30], [5, 10, 15]])
    result.dataset["steps_taken"].values = np.array([30, 10])[:, None, None]
    ax = result.plot.curves(best=1)
    assert (ax.get_xlabel(), ax.get_yscale()) == ("epoch", "log")
    assert lines(ax)["stopped early"].get_xydata().tolist() == [[4, 3]]
    assert result.plot.describe("curves") == (
        "Validation loss of 2 configurations over 6 epochs: the best, batch size=1, goes from 2 to "
        "0.1."
    )


def test_a_curve_that_never_was_ends_at_the_edge_where_it_diverged():
    result = made([[[1.0]], [[np.nan]]], {"rate": [1, 2]})  # at step 5, before the first evaluation
    cross = lines(result.plot.curves())["diverged"]
    assert cross.get_xdata().tolist() == [5]
    assert 0.5 < cross.get_ydata()[0] < 1  # of the height of the axes


def test_other_lengths_of_one_batch_size_are_steps():
    result = made([[[1.0]], [[2.0]]], {"steps": [100, 50]})
    result.dataset["step"].values = np.outer([2, 1], np.arange(1, 11)) * 10
    result.dataset["epoch"].values = result.dataset["step"].values / 5
    assert result.plot.curves().get_xlabel() == "step"


def cell(ax, x, y):
    """The value of the plot's cell."""
    return ax.images[0].get_array()[y, x]


def test_cells_hold_the_best_over_the_others():
    scores = RNG.uniform(1, 2, size=(2, 3, 4))  # rate, l1, width
    scores[1, 2, :] = np.nan
    scores[0, 0, 1] = np.nan
    result = made(scores.reshape(-1, 1, 1), grid(rate=[1, 2], l1=[0, 1, 2], width=[8, 16, 32, 64]))
    ax = result.plot.heatmap("rate", "l1")
    assert cell(ax, 1, 2) is np.ma.masked
    np.testing.assert_allclose(cell(ax, 0, 0), np.nanmin(scores[0, 0]), rtol=1e-6)
    best = np.nanmin(scores[:, :2].transpose(1, 0, 2), axis=2)
    np.testing.assert_allclose(ax.images[0].get_array()[:2], best, rtol=1e-6)
    assert lines(ax)["diverged"].get_xydata().tolist() == [[1, 2]]
    assert {text.get_text() for text in ax.texts} >= {f"{value:.3g}" for value in best.ravel()}
    rate, l1, _ = np.unravel_index(np.nanargmin(scores), scores.shape)
    (frame,) = [patch for patch in ax.patches if patch.get_label() == "best"]
    assert frame.get_xy() == (rate - 0.5, l1 - 0.5)
    assert ax.images[0].get_cmap().name == "viridis_r"  # bright is good
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rate", "l1")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2"]


def test_the_two_that_matter_most_are_taken_and_missing_cells_are_hatched():
    columns = grid(little=[0, 1], much=[0, 1], most=[0, 1])
    scores = np.array(
        [little + 2 * much + 3 * most for little, much, most in zip(*columns.values(), strict=True)]
    )
    accuracy = {"metric": "valid_accuracy", "mode": "max"}
    ax = made(-1.0 * scores[:, None, None], columns, **accuracy).plot.heatmap()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("most", "much")
    assert ax.images[0].get_array().tolist() == [[0, -3], [-2, -5]]
    assert ax.images[0].get_cmap().name == "viridis"
    columns = {"rate": [1, 2, 3, 1, 2], "l1": [0, 0, 0, 1, 1]}
    holes = made(np.array([1, 2, 3, 4, np.nan])[:, None, None], columns).plot.heatmap("rate", "l1")
    (hatched,) = [patch for patch in holes.patches if patch.get_hatch()]
    assert hatched.get_xy() == (1.5, 0.5)
    assert lines(holes)["diverged"].get_xydata().tolist() == [[1, 1]]


def test_a_space_that_is_no_product_is_dots():
    scores = np.array([3.0, 1.0, np.nan, 2.0, 5.0])
    columns = {"rate": [0.001, 0.02, 0.3, 4.0, 5.0], "l1": [5, 3, 1, 2, 4]}
    ax = made(scores[:, None, None], columns).plot.heatmap("rate", "l1")
    (dots,) = ax.collections
    np.testing.assert_allclose(dots.get_offsets(), [[0.001, 5], [0.02, 3], [4, 2], [5, 4]])
    assert dots.get_array().tolist() == [3, 1, 2, 5]
    assert lines(ax)["diverged"].get_xydata().tolist() == [[0.3, 1]]
    assert lines(ax)["best"].get_xydata().tolist() == [[0.02, 3]]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")


def test_progress_is_in_the_order_of_the_ends_and_expected_over_all_draws():
    scores = np.array([0.4, 0.9, np.nan, 0.3, 0.8, 0.6, 0.7])
    result = made(scores[:, None, None], {"rate": range(7)})
    ended = np.array([3, 1, 2, 7, 6, 5, 4])
    result.dataset["seconds"].values = result.dataset["seconds"].values * ended[:, None, None, None]
    ax = result.plot.progress()
    shown = lines(ax)
    so_far = shown["best so far, in the order they ended"]
    np.testing.assert_allclose(so_far.get_ydata(), [0.9, 0.9, 0.4, 0.4, 0.4, 0.4, 0.3], rtol=1e-6)
    expected, quantiles = [], []
    for n in range(1, 8):
        best = [
            np.nanmin(draw)
            for draw in itertools.combinations(scores, n)
            if not np.isnan(draw).all()
        ]
        expected.append(np.mean(best))
        quantiles.append(np.quantile(best, [0.05, 0.95], method="inverted_cdf"))
    np.testing.assert_allclose(
        shown["expected, of n drawn at random"].get_ydata(), expected, rtol=1e-6
    )
    (band,) = ax.collections
    vertices = band.get_paths()[0].vertices
    for n, (low, high) in enumerate(quantiles, 1):
        mine = vertices[vertices[:, 0] == n, 1]
        np.testing.assert_allclose((mine.min(), mine.max()), (low, high), rtol=1e-6)
    assert result.plot.describe("progress") == (
        "Best validation loss of 7 configurations: 0.3, reached after 7; of 4 drawn at random the "
        f"best has {expected[3]:.3g} on average."
    )


def test_progress_of_what_should_be_high_rises_and_stopped_ones_rank_behind():
    status = np.array([Status.FINISHED, Status.STOPPED, Status.FINISHED])[:, None, None]
    scores = np.array([0.5, 0.9, 0.6])[:, None, None]
    ax = made(
        scores, {"rate": range(3)}, status=status, metric="valid_accuracy", mode="max"
    ).plot.progress()
    shown = lines(ax)
    np.testing.assert_allclose(
        shown["best so far, in the order they ended"].get_ydata(), [0.5, 0.5, 0.6], rtol=1e-6
    )
    vertices = ax.collections[0].get_paths()[0].vertices
    of_two = vertices[vertices[:, 0] == 2, 1]  # 0.5 or 0.6
    np.testing.assert_allclose((of_two.min(), of_two.max()), (0.5, 0.6), rtol=1e-6)
    expected = [(0.5 + 0.9 + 0.6) / 3, (0.5 + 0.6 + 0.6) / 3, 0.6]
    np.testing.assert_allclose(
        shown["expected, of n drawn at random"].get_ydata(), expected, rtol=1e-6
    )


def test_leaders_are_side_by_side_with_each_trial():
    scores = RNG.uniform(1, 2, size=(5, 2, 3))
    scores[2, 0, 0] = np.nan
    result = made(scores, {"rate": range(5), "l1": [0] * 5})
    ax = result.plot.spread(best=3)
    means = scores.mean(axis=(1, 2))
    leaders = np.argsort(means)[:3]
    dots = [
        line
        for line in ax.get_lines()
        if line.get_linestyle() == "None" and len(line.get_xdata()) == 3
    ]
    for line, (seed, fold) in zip(dots, itertools.product(range(2), range(3)), strict=False):
        np.testing.assert_allclose(line.get_xdata(), scores[leaders, seed, fold], rtol=1e-6)
        np.testing.assert_allclose(line.get_ydata(), [0, 1, 2])
    assert len({(line.get_color(), line.get_marker()) for line in dots[:6]}) == 6
    (bars,) = ax.containers
    np.testing.assert_allclose(bars[0].get_xdata(), means[leaders], rtol=1e-6)
    error = np.sqrt(scores.mean(axis=1).var(axis=1, ddof=1) * (1 / 3 + 20 / 80))[leaders]
    widths = [np.ptp(segment[:, 0]) / 2 for segment in bars[2][0].get_segments()]
    np.testing.assert_allclose(widths, error, rtol=1e-5)
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(i) for i in leaders]
    assert ax.get_ylabel() == "rate"
    assert legend_of(ax) == [
        "fold 0",
        "fold 1",
        "fold 2",
        "seed 0",
        "seed 1",
        "mean ± standard error",
    ]
    said = result.plot.describe("spread", best=3)
    assert said.startswith(
        f"The 3 best of 5 configurations by validation loss: from {means[leaders[0]]:.3g} ± "
    )


def test_norms_are_means_over_trials_and_their_ratio_has_its_rule():
    norms = {
        name: RNG.uniform(0.1, 1, size=(3, 2, 2, 10, 2)) for name in ("update_norm", "weight_norm")
    }
    norms["update_norm"][1, ..., 1] = 0
    scores = np.broadcast_to(np.array([2.0, 1.0, 3.0])[:, None, None], (3, 2, 2))
    result = made(scores, {"rate": range(3)}, diagnostics=norms, layers=("w", "b"))
    shown = lines(result.plot.layers(0))
    np.testing.assert_allclose(shown["w"].get_xdata(), np.arange(1, 11) * 10)
    np.testing.assert_allclose(
        shown["b"].get_ydata(), norms["update_norm"][0, ..., 1].mean(axis=(0, 1)), rtol=1e-6
    )
    ax = result.plot.layers(variable="update_ratio")  # of the best: 1
    ratio = norms["update_norm"][1, ..., 0] / norms["weight_norm"][1, ..., 0]
    np.testing.assert_allclose(lines(ax)["w"].get_ydata(), ratio.mean(axis=(0, 1)), rtol=1e-6)
    assert "b (0)" in lines(ax)
    assert set(lines(ax)["0.001, a rule of thumb"].get_ydata()) == {1e-3}
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "update norm / weight norm")


def test_zeros_stand_against_the_score():
    scores = np.array([3.0, 1.0, np.nan, 2.0])
    columns = {"my_l1": [0.0, 0.001, 0.01, 0.1], "rate": [1, 1, 1, 2]}
    result = planted(scores, columns)
    ax = result.plot.sparsity()
    (dots,) = ax.collections
    share = np.linspace(0.1, 0.9, 4)
    np.testing.assert_allclose(
        dots.get_offsets(), np.stack([share, scores], 1)[[0, 1, 3]], rtol=1e-6
    )
    np.testing.assert_allclose(dots.get_array(), [0.0, 0.001, 0.1])
    assert type(dots.norm).__name__ == "SymLogNorm"
    np.testing.assert_allclose(lines(ax)["best"].get_xydata(), [[share[1], 1]], rtol=1e-6)
    assert result.plot.describe("sparsity") == (
        "Validation loss against the share of zeros: the best, 1, has 36.7 % of them; the sparsest "
        "has 90 % and 2."
    )
    (other,) = result.plot.sparsity("rate").collections
    np.testing.assert_allclose(other.get_array(), [1, 1, 2])


def test_a_best_whose_trials_have_no_evaluation_in_common_is_described():
    """With select="best" two seeds may have their only finite evaluations at different times."""
    values = np.array([[[[0.1, np.nan]], [[np.nan, 0.2]]]])
    result = made(
        np.zeros((1, 2, 1)),
        {"learning_rate": [0.1]},
        evaluations={"valid_loss": values},
        select="best",
    )
    assert "has no evaluation with a number in every trial" in result.plot.describe("curves")


def test_a_heatmap_of_drawn_values_has_no_array_of_all_pairs():
    count = 3000
    draws = np.random.default_rng(0).random((2, count))
    result = made(
        draws.sum(axis=0)[:, None, None],
        {"learning_rate": draws[0].tolist(), "l2": draws[1].tolist()},
    )
    plot = HeatmapPlot.of("here", result.dataset, result.score)
    assert plot.cells.size == 0
    assert not plot.is_product
    assert plot.best == draws.sum(axis=0).argmin()


FINISHED_OR_NOT = {
    "columns": {"batch_size": [32, 64, 128, 32, 64, 128], "l1": [0, 0, 0, 1, 1, 1]},
    "scores": np.array([0.5, 0.4, 0.2, 0.6, 0.7, 0.3])[:, None, None],
}


def with_statuses(*names, **changes):
    """The configurations with the largest batch size did not finish, and score best."""
    status = np.array([[Status.FINISHED, Status.FINISHED, Status[x]] for x in names]).ravel()
    columns, scores = FINISHED_OR_NOT["columns"], FINISHED_OR_NOT["scores"]
    return made(scores, columns, status=status[:, None, None], **changes)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("STOPPED", "STOPPED"), "stopped early"),
        (("INTERRUPTED", "STOPPED"), "not finished"),
        (("RUNNING", "RUNNING"), "not finished"),
    ],
)
def test_what_did_not_finish_is_not_joined_with_what_did(names, words):
    result = with_statuses(*names)
    shown = lines(result.plot.values("batch_size"))
    joined = shown["mean of the best at each value"]
    np.testing.assert_allclose(joined.get_xydata(), [[32, 0.5], [64, 0.4]], rtol=1e-6)
    hollow = shown[f"mean, {words}"]
    np.testing.assert_allclose(hollow.get_xydata(), [[128, 0.2]], rtol=1e-6)
    assert hollow.get_markerfacecolor() == "none"
    assert hollow.get_linestyle() == "None"
    assert "best, at 64" in shown
    np.testing.assert_allclose(shown[words].get_xdata(), [128, 128])
    assert result.plot.describe("values", "batch_size").endswith(
        "; 2 of 6 configurations did not finish."
    )


def test_cells_of_what_did_not_finish_are_hatched():
    result = with_statuses("STOPPED", "STOPPED")
    ax = result.plot.heatmap("batch_size", "l1")
    hatched = [patch for patch in ax.patches if patch.get_hatch() == "\\\\"]
    assert [patch.get_xy() for patch in hatched] == [(1.5, -0.5), (1.5, 0.5)]
    assert [patch.get_label() for patch in hatched] == ["stopped early", "_"]
    assert "did not finish" in result.plot.describe("heatmap", "batch_size", "l1")

    columns = {"rate": [0.001, 0.02, 0.3], "l1": [5.0, 3.0, 1.0]}
    status = np.array([Status.FINISHED, Status.FINISHED, Status.STOPPED])[:, None, None]
    scores = np.array([0.5, 0.4, 0.3])[:, None, None]
    dots, hollow = made(scores, columns, status=status).plot.heatmap("rate", "l1").collections
    np.testing.assert_allclose(dots.get_offsets(), [[0.001, 5], [0.02, 3]])
    np.testing.assert_allclose(hollow.get_offsets(), [[0.3, 1]])
    assert len(hollow.get_facecolor()) == 0


def test_what_is_maximised_has_no_logarithmic_axis():
    """Accuracies from 0.01 to 0.99: on a logarithmic axis the good ones would be one line."""
    accuracy = np.array([0.01, 0.3, 0.6, 0.99])[:, None, None]
    curves = {"valid_accuracy": accuracy[..., None] * np.linspace(0.1, 1, 10)}
    columns = grid(rate=[1, 2], l1=[0, 1])
    by = {"metric": "valid_accuracy", "mode": "max"}
    result = made(accuracy, columns, evaluations=curves, **by)
    assert result.plot.curves().get_yscale() == "linear"
    assert result.plot.values("rate").get_yscale() == "linear"
    assert result.plot.progress().get_yscale() == "linear"
    assert result.plot.spread().get_xscale() == "linear"
    assert result.plot.heatmap().images[0].norm.__class__.__name__ == "Normalize"
    losses = {**curves, "valid_loss": curves["valid_accuracy"]}
    by_loss = made(accuracy, columns, evaluations=losses)
    assert by_loss.plot.curves("valid_accuracy").get_yscale() == "linear"
    assert by_loss.plot.curves().get_yscale() == "log"


def test_a_metric_that_is_nan_at_the_end_is_no_early_stop():
    curves = np.broadcast_to(np.linspace(1, 0.5, 10), (7, 1, 1, 10)).copy()
    curves[6, ..., -2:] = np.nan
    evaluations = {"valid_loss": np.ones((7, 1, 1, 10)), "valid_auc": curves}
    result = made(np.ones((7, 1, 1)), {"rate": range(7)}, evaluations=evaluations)
    assert "stopped early" not in lines(result.plot.curves("valid_auc"))


def test_layers_are_those_that_the_configuration_has():
    norms = np.ones((2, 1, 1, 10, 3))
    norms[0, ..., 2] = np.nan
    norms[1, ..., 0] = np.nan
    scores = np.array([0.1, 0.2])[:, None, None]
    diagnostics = {"update_norm": norms, "weight_norm": norms}
    layers = ("small", "both", "large")
    result = made(scores, {"width": [1, 2]}, diagnostics=diagnostics, layers=layers)
    for config, names in ((0, ["small", "both"]), (1, ["both", "large"])):
        for variable in ("update_norm", "update_ratio"):
            shown = lines(result.plot.layers(config, variable))
            assert [name for name in shown if name in layers] == names
        assert "of 2 layers" in result.plot.describe("layers", config)


def test_one_configuration_is_one():
    result = made([[[0.1]]], {"rate": [0.1]})
    for name in ("curves", "progress", "spread"):
        said = result.plot.describe(name)
        assert "1 configuration " in said.replace(":", " ")
        assert "1 configurations" not in said


def test_sharpness_has_two_over_the_rate_beside_it_where_that_is_its_threshold():
    rates = [0.1, 0.5, np.nan]
    scores = np.array([1.0, 2.0, 3.0])[:, None, None]
    sharp = np.linspace(1, [[[20.0]], [[4.0]], [[9.0]]], 10, axis=-1)
    planted = {"diagnostics": {"sharpness": sharp, "noise_scale": sharp}}

    def result(**changes):
        return made(scores, {"learning_rate": rates, "decay": rates}, **planted, **changes)

    plain = result(gradient_descent="learning_rate")
    dashed = [x for x in plain.plot.curves("sharpness").get_lines() if x.get_linestyle() == "--"]
    np.testing.assert_allclose([x.get_ydata() for x in dashed[:2]], [[20.0] * 10, [4.0] * 10])
    assert np.isnan(dashed[2].get_ydata()).all()
    assert plain.plot.describe("curves", "sharpness").startswith(
        "Sharpness of 3 configurations over 100 steps: the best, learning rate=0.1, decay=0.1, "
        "goes from 1 to 20, where 2 / learning rate is 20"
    )
    assert "2 /" not in plain.plot.describe("curves", "noise_scale")
    other = result(gradient_descent="")
    assert "2 /" not in other.plot.describe("curves", "sharpness")
    assert "where 2 / decay is 20" in other.plot.describe("curves", "sharpness", rate="decay")

    for arguments, words in (
        ({"variable": "noise_scale", "rate": "decay"}, "rate must go with variable='sharpness'"),
        ({"variable": "sharpness", "rate": "speed"}, r"rate must be one of \['learning_rate', "),
        ({"variable": "seconds"}, "variable must be one of .*'sharpness', 'noise_scale'"),
    ):
        with pytest.raises(jf.ArgumentError, match=words):
            plain.plot.curves(**arguments)


def test_stopping_rules_that_no_other_beats_are_filled_and_joined():
    plot = planted([1, 2, 3], {"learning_rate": [0.1, 0.2, 0.3]}).plot
    cases = ("a", 0.5, 0.0), ("b", 0.2, 0.3), ("c", 0.6, 0.1), ("d", 0.1, np.nan), ("e", 0.2, 0.4)
    given = simulations(plot, *cases)
    ax = plot.stopping(given)
    drawn = lines(ax)
    hollow = {name for name in "abcde" if drawn[name].get_markerfacecolor() == "none"}
    assert hollow == {"c", "d", "e"}
    (joined,) = [line for line in ax.get_lines() if line.get_color() == "0.8"]
    assert joined.get_xydata().tolist() == [[0.2, 0.3], [0.5, 0.0]]
    assert drawn["nothing finishes"].get_xdata().tolist() == [0.1]
    assert plot.describe("stopping", given) == (
        "Validation loss lost by 5 stopping rules: b loses 0.3 at 20% of the updates; a loses 0 at "
        "50% of the updates; 2 others cost more or lose more; under 1 of them no configuration "
        "finishes."
    )
