"""Pictures show what the dataset says."""

import matplotlib
import numpy as np
import pytest
from sweep.test_sweep import sweep

import jefficient as jf

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def result():
    space = jf.grid(learning_rate=[0.001, 0.01, 0.1, 1e30], nesterov=[False])
    return sweep(
        lambda learning_rate, nesterov: jf.sgd(learning_rate, 0.9, nesterov), space, seeds=2, diverged_above=1e3
    )


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_values_show_trials_means_and_crosses(result):
    ax = result.plot.values("learning_rate")
    shown = lines(ax)
    scores = result.dataset["valid_loss"].values[:, :, 0, -1]
    np.testing.assert_allclose(shown["trial"].get_ydata(), scores.ravel())
    np.testing.assert_allclose(shown["mean"].get_ydata()[:3], scores[:3].mean(axis=1), rtol=1e-6)
    assert np.isnan(shown["mean"].get_ydata()[3])
    assert shown["diverged"].get_xdata().tolist() == [1e30]
    assert shown["diverged"].get_color() == "red"
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "learning rate"
    assert ax.get_ylabel() == "validation loss"
    assert result.plot.values("learning_rate", "valid_accuracy", ax=ax) is ax


def test_evenly_spread_values_get_a_plain_axis():
    ax = sweep(jf.sgd, jf.grid(learning_rate=np.linspace(0.01, 0.2, 5))).plot.values("learning_rate")
    assert ax.get_xscale() == "linear"
    assert "diverged" not in lines(ax)


def test_with_other_axes_the_line_joins_the_best_at_each_value():
    result = sweep(jf.sgd, jf.grid(learning_rate=[0.001, 0.1], momentum=[0.0, 0.9]), seeds=2)
    line = lines(result.plot.values("learning_rate"))["mean of the best at each value"]
    means = result.dataset["valid_loss"].values[:, :, 0, -1].mean(axis=1).reshape(2, 2)
    assert line.get_xdata().tolist() == [0.001, 0.1]
    np.testing.assert_allclose(line.get_ydata(), means.min(axis=1), rtol=1e-6)


def test_what_cannot_be_shown_is_refused(result):
    for arguments, message in (
        (("rate",), r"hyperparameter must be one of \['learning_rate', 'nesterov'\], got 'rate'"),
        (("nesterov",), "hyperparameter must have numbers"),
        (("learning_rate", "status"), "variable must be one of .*'valid_loss'.* got 'status'"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            result.plot.values(*arguments)
