"""The public API of plots: what they have in common."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from results.made import made

import jefficient as jf
from jefficient.results import Simulation, Status
from jefficient.results._plots import _MAKERS

matplotlib.use("Agg")

# no optimum is in what a sweep can return here: tests/results/test_optimum.py has its plot
NAMES = tuple(name for name in _MAKERS if name != "optimum")
pytestmark = pytest.mark.usefixtures("_closed_figures")

ARGUMENTS = {"values": ("learning_rate",), "knots": ("schedule",)}
LAYERS = ("w", "b")
SCHEDULE = np.array([0.1, 0.2, 0.05])


def simulations(plot, *cases):
    """What stopping rules did to a result, from (rule, cost, regret)."""
    status = np.full(plot.dataset["status"].shape, "finished")
    return [
        Simulation(rule, plot.score.metric, cost, lost, (), 0, status, np.ones(status.shape), 1.0)
        for rule, cost, lost in cases
    ]


def arguments(plot, name):
    """The arguments that a plot needs."""
    if name == "stopping":
        return (simulations(plot, ("$a_1$", 0.5, 0.1), ("_b", 0.2, np.nan)),)
    return ARGUMENTS.get(name, ())


@pytest.fixture
def _closed_figures():
    """A test finds no figure of others, and leaves none to the next, failing or not."""
    plt.close("all")
    yield
    plt.close("all")


def planted(scores, columns, **changes):
    """With what every plot needs; the schedule is one everywhere, so that it labels nothing."""
    scores = np.asarray(scores, float)
    if scores.ndim == 1:
        scores = scores[:, None, None]
    count = changes.pop("count", 10)
    zeros = np.broadcast_to(
        np.linspace(0.1, 0.9, len(scores))[:, None, None, None], (*scores.shape, count)
    )
    norms = np.broadcast_to([[1.0, 0.1]], (*scores.shape, count, 2))
    diagnostics = {
        "zeros": zeros,
        **dict.fromkeys(("grad_norm", "update_norm", "weight_norm"), norms),
    }
    columns = {**columns, "schedule": [SCHEDULE] * len(scores)}
    return made(scores, columns, diagnostics=diagnostics, layers=LAYERS, **changes)


def grid(**axes):
    """The columns of a product."""
    columns = [x.ravel() for x in np.meshgrid(*axes.values(), indexing="ij")]
    return {name: tuple(column.tolist()) for name, column in zip(axes, columns, strict=True)}


RATES = [0.001, 0.01, 0.1]
TWO = grid(learning_rate=RATES, l1=[0.0, 0.1])
CURVE = np.full((6, 1, 1, 1), 0.5)

EDGES = {
    "one configuration": lambda: planted([0.5], {"learning_rate": [0.1], "l1": [0.0]}),
    "all diverged": lambda: planted(np.full((6, 2, 3), np.nan), TWO),
    "one evaluation": lambda: planted(
        [1, 2, 3, 4, 5, 6], TWO, evaluations={"valid_loss": CURVE}, count=1
    ),
    "one learning rate": lambda: planted([1, 2], {"learning_rate": [0.1, 0.1], "l1": [0.0, 1.0]}),
    "labels": lambda: planted(
        [1, 2, np.nan, 4], grid(learning_rate=["slow", "fast"], l1=["none", "much"])
    ),
    "highest": lambda: planted(
        [0.1, 0.5, 0.9, np.nan, 0.3, 0.2], TWO, metric="valid_accuracy", mode="max", select="best"
    ),
    "training alone": lambda: planted(
        [1, 2, 3, 4, 5, 6], TWO, metric="train_loss", examples=(80, 0)
    ),
    "negative scores": lambda: planted([-1, -2, -3, np.nan, 0, 6], TWO),
    "equal scores": lambda: planted([1, 1, 1, 1, 1, 1], TWO),
    "nothing ended": lambda: planted(
        [1, 2, 3, 4, 5, 6], TWO, status=np.full((6, 1, 1), Status.RUNNING)
    ),
    "stopped": lambda: planted([1, 2, 3, 4, 5, 6], TWO, status=np.full((6, 1, 1), Status.STOPPED)),
    "texts": lambda: made(
        np.arange(1.0, 7)[:, None, None],
        {
            **grid(
                learning_rate=["a$HOME_$b", "$1^2^3$", "\ud800"],
                **{"l1$_$": ["_\x1b\t\n", "\u202e"]},
            ),
            "schedule": [SCHEDULE] * 6,
        },
        metric="valid_$x^2^3$\x07",
        mode="min",
        diagnostics={"zeros": np.ones((6, 1, 1, 10)), "update_norm": np.ones((6, 1, 1, 10, 2))},
        layers=("_$x^2^3$", "\x1b\ud800"),
    ),
    "many layers": lambda: made(
        [[[1.0]], [[2.0]]],
        {"learning_rate": [0.1, 0.2], "l1": [0, 1], "schedule": [SCHEDULE] * 2},
        diagnostics={"zeros": np.ones((2, 1, 1, 10)), "update_norm": np.ones((2, 1, 1, 10, 40))},
        layers=tuple(f"layer {i}" for i in range(40)),
    ),
}


@pytest.mark.parametrize("edge", EDGES)
def test_every_plot_draws_and_describes_what_a_sweep_can_return(edge):
    plot = EDGES[edge]().plot
    for name in NAMES:
        axes = getattr(plot, name)(*arguments(plot, name))
        axes.figure.draw_without_rendering()  # warnings are errors
        text = plot.describe(name, *arguments(plot, name))
        assert (text[0].isupper(), text[-1], "nan" in text) == (True, ".", False)
        plt.close(axes.figure)
    assert plt.get_fignums() == []


def test_three_thousand_configurations_are_drawn_at_once():
    rng = np.random.default_rng(0)
    columns = {
        "learning_rate": rng.uniform(size=3000).tolist(),
        "l1": rng.uniform(size=3000).tolist(),
    }
    plot = planted(rng.uniform(0.1, 1, size=(3000, 1, 2)), columns).plot
    for name in NAMES:
        axes = getattr(plot, name)(*arguments(plot, name))
        axes.figure.draw_without_rendering()
        assert len(axes.figure.findobj()) < 500, name  # not an artist for each configuration


def test_plots_leave_matplotlib_as_it_was_and_draw_where_they_are_told():
    plot, before = planted([1, 2, 3, 4, 5, np.nan], TWO).plot, dict(plt.rcParams)
    figure, axes = plt.subplots(2, -(-len(NAMES) // 2), figsize=(24, 10), layout="constrained")
    for ax, name in zip(axes.ravel(), NAMES, strict=False):
        assert getattr(plot, name)(*arguments(plot, name), ax=ax) is ax
    figure.draw_without_rendering()
    assert plt.get_fignums() == [figure.number]
    assert dict(plt.rcParams) == before
    plt.close(figure)


def texts_of(axes):
    """What is written in the figure, as it is drawn."""
    axes.figure.draw_without_rendering()
    return {text: text._preprocess_math(text.get_text()) for text in axes.figure.findobj(Text)}


def test_labels_are_texts_and_powers_of_ten_are_not():
    result = planted(np.geomspace(1e-5, 1, 4), grid(**{"$a$": ["$x$", "$x_1$"], "l1": [0, 1]}))
    _, (left, right) = plt.subplots(1, 2)
    left.set(title=r"$\alpha$", xlabel="before", yscale="log")
    right.set(title=r"$\beta$", xlabel=r"$\gamma$")
    right.set_xticks([0, 1], ["$0$", "$1$"])
    result.plot.values("$a$", ax=left)
    texts = texts_of(left)
    mathematics = {drawn for drawn, is_mathematics in texts.values() if is_mathematics}
    assert mathematics > {r"$\alpha$", r"$\beta$", r"$\gamma$", "$0$", "$1$"}
    assert r"$\mathdefault{10^{-4}}$" in mathematics
    plain = {drawn for drawn, is_mathematics in texts.values() if not is_mathematics}
    assert {"$a$", "$x$", "$x_1$", "best, at $x$"} <= plain
    plt.close("all")


def test_no_tex_reads_a_label():
    with plt.rc_context({"text.usetex": True}):
        axes = planted([1, 2], grid(learning_rate=["50 %", "a_b"])).plot.values("learning_rate")
        ours = [x for x in axes.figure.findobj(Text) if x.get_text() in ("50 %", "a_b", "trial")]
        assert len(ours) >= 3
        assert not any(text.get_usetex() for text in ours)
        plt.close(axes.figure)


def test_names_that_begin_with_an_underscore_are_in_the_legend():
    plot = made(
        [[[1.0]], [[2.0]]],
        {"kind": ["_a", "_b"]},
        diagnostics={"update_norm": np.ones((2, 1, 1, 10, 2))},
        layers=("_w", "b"),
    ).plot
    for axes, names in ((plot.curves(), {"_a", "_b"}), (plot.layers(), {"_w", "b"})):
        assert names <= {text.get_text().strip() for text in axes.figure.legends[0].get_texts()}
        plt.close(axes.figure)


def test_our_own_legend_covers_no_data():
    plot = planted(np.linspace(1, 2, 6), TWO).plot
    for name in ("curves", "progress", "spread", "layers"):
        axes = getattr(plot, name)()
        axes.figure.draw_without_rendering()
        (legend,) = axes.figure.legends
        assert legend.get_window_extent().y0 >= axes.get_window_extent().y1
        plt.close(axes.figure)


def test_what_cannot_be_shown_is_refused():
    plot = planted([1, 2, 3, 4, 5, 6], TWO).plot
    bare = made(
        [[[1.0]]], {"learning_rate": [0.1]}, diagnostics={"zeros": np.zeros((1, 1, 1, 10))}
    ).plot
    for draw, message in (
        (
            lambda: plot.values("rate"),
            r"plot.values: hyperparameter must be one of \['learning_rate', 'l1'\], got",
        ),
        (
            lambda: plot.values("l1", "status"),
            "variable must be one of .*'valid_loss'.* got variable='status'",
        ),
        (lambda: plot.curves("update_norm"), "plot.curves: variable must be one of"),
        (lambda: plot.curves(best=-1), "best must not be negative, got best=-1"),
        (lambda: plot.spread(0), "best >= 1 must hold, got best=0"),
        (
            lambda: plot.heatmap("l1", "l1"),
            "there must be two hyperparameters, got .*'l1', 'l1'.*plot.values",
        ),
        (lambda: bare.heatmap(), r"there must be two hyperparameters, got \['learning_rate'\]"),
        (lambda: plot.layers(6), "0 <= config < 6 must hold, got config=6"),
        (
            lambda: plot.layers(variable="norm"),
            "variable must be one of .*'update_ratio'.* got variable='norm'",
        ),
        (lambda: bare.layers(), r"update_norm must have been recorded.*jf.sweep\(…, layers=True\)"),
        (
            lambda: bare.layers(variable="update_ratio"),
            "update_norm and weight_norm must have been recorded",
        ),
        (lambda: bare.sparsity(), "some parameter must be exactly 0 .*proximal_l1"),
        (lambda: plot.stopping([]), "simulations must hold one or more, got none"),
        (lambda: plot.stopping([jf.median_stop()]), r"simulations must be what jf.simulate .*Medi"),
        (
            lambda: plot.stopping(simulations(bare, ("a", 0.5, 0.0))),
            "must be of this result, with valid_loss of 6 configurations, got .* of 1",
        ),
        (lambda: plot.sparsity("rate"), "hyperparameter must be one of"),
        (lambda: EDGES["labels"]().plot.sparsity("l1"), "hyperparameter must have numbers"),
        (
            lambda: plot.describe("plot"),
            "describe: name must be one of .*'values'.* got name='plot'",
        ),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            draw()
    assert plt.get_fignums() == []


def test_a_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    plot = planted([1, 2, 3, 4, 5, 6], TWO).plot
    assert plot.describe("progress").startswith("Best validation loss of 6")
    with pytest.raises(
        jf.JefficientError, match=r"matplotlib must be installed: pip install 'jefficient\[plot\]'"
    ):
        plot.progress()
