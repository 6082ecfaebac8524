"""The plots of a result. matplotlib is imported where one is drawn: it is an extra."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from .._core.checks import one_of
from . import plots
from ._score import Score
from ._simulation import Simulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAKERS: dict[str, Callable[..., plots.Plot]] = {
    "values": plots.ValuesPlot.of,
    "curves": plots.CurvesPlot.of,
    "heatmap": plots.HeatmapPlot.of,
    "progress": plots.ProgressPlot.of,
    "spread": plots.SpreadPlot.of,
    "knots": plots.KnotsPlot.of,
    "layers": plots.LayersPlot.of,
    "sparsity": plots.SparsityPlot.of,
    "importance": plots.ImportancePlot.of,
    "parallel": plots.ParallelPlot.of,
    "stopping": plots.StoppingPlot.of,
    "optimum": plots.OptimumPlot.of,
}


def plot_of(
    dataset: xr.Dataset, score: Score, name: str, *args: object, **kwargs: object
) -> plots.Plot:
    """Compute what the plot of this name shows; the arguments are those of `Plots`' method."""
    return _MAKERS[name](f"jf.Result.plot.{name}", dataset, score, *args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Plots:
    """Plots of a result: each returns matplotlib `Axes`, and `describe` says it in a sentence.

    All of them take `ax`, where to draw, by default a new figure; a figure with several plots needs
    a constrained layout. They raise `JefficientError` if matplotlib is not installed and no `ax` is
    given.

    The score of a configuration is its mean over seeds and folds at the evaluation that counts; a
    configuration with a diverged trial has none, and is a red cross. Colours are Okabe and Ito's,
    and viridis.
    """

    dataset: xr.Dataset
    score: Score

    def values(
        self,
        hyperparameter: str,
        variable: str | None = None,
        *,
        sensitivity: pd.DataFrame | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Plot a measured value against one hyperparameter: a dot for each trial, and the means.

        The line joins the means over seeds and folds, within a band of one standard error
        (corrected for folds that share training examples). If the space has other axes, it joins
        those of the configuration that scores best at each value; if no value comes twice, as in a
        drawn space, the means stand alone. Trials that did not finish are grey: they are measured
        at an earlier evaluation. If no configuration with a value finished, the mean there is
        hollow, and no line joins it. The star is the best configuration, red crosses are
        diverged ones.

        Args:
            hyperparameter: an axis of the space. Its scale is logarithmic if its values are evenly
                spread there; static ones are categories.
            variable: what to show, by default the score's metric.
            sensitivity: what `Result.sensitivity` returned: an arrow at its configuration shows
                which way the score gets better, and how fast, as the derivative has it.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is no such hyperparameter or variable, its values are arrays
                (see `knots`), or `sensitivity` has no derivative in it, or one of another metric.
        """
        return self._drawn("values", ax, hyperparameter, variable, sensitivity=sensitivity)

    def curves(
        self,
        variable: str | None = None,
        *,
        best: int = 5,
        rate: str | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Plot learning curves, means over seeds and folds: the best in colour, the others grey.

        Dashed is the same in training. A curve ends at a dot where a trial was stopped, and at a
        red cross where one diverged. Of more than 300 others 300 are drawn, evenly over the
        ranking, and the legend says so. x are steps, or epochs if batch sizes differ.

        Args:
            variable: what to show, by default the score's metric; a diagnostic, too, such as
                ``sharpness`` or ``noise_scale``.
            best: how many stand out, labelled by the hyperparameters in which they differ.
            rate: with ``sharpness`` the hyperparameter η for which 2/η is dashed, the sharpness at
                which full-batch gradient descent becomes unstable; by default `learning_rate` if
                the sweep's optimizer was `jf.sgd` or `optax.sgd` as it stands, without momentum,
                else none. Other optimizers have other thresholds: momentum β (2 + 2·β)/η, and
                Adam's is on its preconditioned Hessian, which is not what is measured.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is no such variable, `best` is negative, or `rate` is no
                hyperparameter with numbers, or not with ``sharpness``.

        References:
            Cohen, Kaur, Li, Kolter and Talwalkar 2021, https://arxiv.org/abs/2103.00065 (2/η).
        """
        return self._drawn("curves", ax, variable, best=best, rate=rate)

    def heatmap(
        self,
        x: str | None = None,
        y: str | None = None,
        variable: str | None = None,
        *,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Plot the score over two hyperparameters; the brighter, the better.

        A cell has the best score over all other hyperparameters; the best of all is framed, a red
        cross is a cell in which everything diverged, and a hatched grey one holds no configuration.
        A cell that is hatched over its colour is one in which none finished: its score is of an
        earlier evaluation. A space that is no product (drawn by `jf.random` or `jf.sobol`) is shown
        as dots, one for each configuration, hollow if it did not finish.

        Args:
            x: a hyperparameter that is no array; by default the one over whose values the best
                score spreads most.
            y: another; by default the next.
            variable: what to show, by default the score's metric.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is no such hyperparameter or variable, or there are not two.
        """
        return self._drawn("heatmap", ax, x, y, variable)

    def progress(self, *, ax: "Axes | None" = None) -> "Axes":
        """Plot the best score so far against the configurations that were run, beside chance.

        One line follows the order in which configurations ended; it counts those that finished. The
        other is the expectation of the best of n configurations of this sweep drawn at random,
        without replacement, with 5 % and 95 % quantiles: exact, from the order statistics, not
        resampled. The best of a draw is the one that ranks first: configurations that were stopped
        come after those that finished, and draws of diverged ones only are left out. If the lines
        are flat at the end, more of the same space would hardly help.

        Args:
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        References:
            Dodge, Gururangan, Card, Schwartz and Smith, "Show Your Work", EMNLP 2019 (there with
            replacement).
        """
        return self._drawn("progress", ax)

    def spread(self, best: int = 10, *, ax: "Axes | None" = None) -> "Axes":
        """Plot the best configurations side by side: trials as dots, mean and error as a bar.

        The bar is one standard error. Folds differ in colour, seeds in shape. Faint lines join
        trials that share initial weights and data order: where they are parallel, a difference is
        surer than the bars tell.

        Args:
            best: how many, at most; labelled by the hyperparameters in which they differ.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if `best` is not positive.
        """
        return self._drawn("spread", ax, best)

    def knots(
        self,
        hyperparameter: str,
        at: ArrayLike | None = None,
        *,
        best: int | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Plot a hyperparameter that is an array as curves; the brighter, the better the score.

        Each configuration is a line through its numbers, the best one black. Dotted lines are
        configurations with a diverged trial, which are red, or one that did not finish. The scale
        is logarithmic if the numbers are positive and span more than a decade.

        Args:
            hyperparameter: one whose values are arrays of one dimension, such as the knots of a
                schedule.
            at: where the numbers are along x: an array (k,), or the name of another hyperparameter
                of this shape; by default 0, 1, …, k - 1.
            best: how many are coloured, the others being grey; by default all.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is no such hyperparameter, it is not an array of one dimension,
                `at` has another shape, or `best` is not positive.
        """
        return self._drawn("knots", ax, hyperparameter, at, best=best)

    def layers(
        self, config: int | None = None, variable: str = "update_norm", *, ax: "Axes | None" = None
    ) -> "Axes":
        """Plot norms of each layer over the steps of one configuration, means over seeds and folds.

        Args:
            config: by default the best one.
            variable: ``grad_norm``, ``update_norm``, ``weight_norm``, or ``update_ratio``: update
                over weight norm, for which about 1e-3 is a rule of thumb.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is no such configuration or variable.
            JefficientError: if norms were not recorded: ask `jf.sweep` for ``layers=True``.

        References:
            Karpathy, notes of CS231n, "Ratio of weights:updates".
        """
        return self._drawn("layers", ax, config, variable)

    def sparsity(self, hyperparameter: str | None = None, *, ax: "Axes | None" = None) -> "Axes":
        """Plot the score of each configuration against its share of zeros among the parameters.

        Args:
            hyperparameter: what the colour is, by default ``l1`` or the first with "l1" in its
                name.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is no such hyperparameter, or it has no numbers.
            JefficientError: if no parameter is ever zero.
        """
        return self._drawn("sparsity", ax, hyperparameter)

    def importance(self, *, quantile: float = 0.1, ax: "Axes | None" = None) -> "Axes":
        """Plot which hyperparameters decide whether a configuration is among the best.

        Bars are the shares of `Result.importance`, lines their intervals over seeds or folds. Of
        more than 20 the 20 most important are drawn. Where there are none, the plot says why.

        Args:
            quantile: the share of configurations that is called the best, between 0 and 1.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if `quantile` is out of range.
            JefficientError: if Optuna is not installed.
        """
        return self._drawn("importance", ax, quantile=quantile)

    def parallel(self, *, ax: "Axes | None" = None) -> "Axes":
        """Plot every configuration as a line across its hyperparameters to its score.

        The brighter, the better in rank; the best is black. Axes have the scale on which their
        values are evenly spread; texts, and numbers with 0 among decades, stand one by one. The
        best score is at the top. Dotted lines are configurations without a score: one of their
        trials diverged, which is red, or did not finish. Hyperparameters with one value, and
        arrays, are left out.

        Args:
            ax: where to draw, by default a new figure.

        Returns:
            The axes.
        """
        return self._drawn("parallel", ax)

    def stopping(self, simulations: Iterable[Simulation], *, ax: "Axes | None" = None) -> "Axes":
        """Plot what stopping rules would have lost against what they would have cost.

        A rule that no other beats in both is a filled mark, the others are hollow; the line joins
        the filled ones. The star is the sweep without a rule. A red cross at the top is a rule
        under which no configuration finishes.

        Args:
            simulations: what `jf.simulate` returned for this result, one for each rule: ``[
                jf.simulate(rule, result) for rule in rules]``. The legend names the first 12.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: if there is none, or one is of another result or metric.
            ArgumentTypeError: if one is something else.
        """
        return self._drawn("stopping", ax, simulations)

    def optimum(
        self,
        name: str,
        by: str | Sequence[str] | None = None,
        level: float = 0.95,
        *,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Plot the best value of a hyperparameter, with its interval, on the curve of scores.

        With `by` the best values are plotted against it, with the power law and the interval for a
        level that was not tried, as far as both can be trusted; for several names in `by` against
        what the law predicts.

        Args:
            name: a hyperparameter with positive numbers.
            by: as for `Result.optimum`.
            level: of the intervals.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: for what `Result.optimum` refuses.
        """
        return self._drawn("optimum", ax, name, by, level)

    def describe(self, name: str, *args: object, **kwargs: object) -> str:
        """Say in a sentence what a plot shows, with its numbers, for those who cannot see it.

        Args:
            name: of the plot, such as ``values``.
            *args: the plot's arguments.
            **kwargs: the plot's arguments by name, but `ax`.

        Returns:
            Such as "Validation loss against learning rate: best, 0.08, at 0.0316; 3 of 27
            configurations diverged."

        Raises:
            ArgumentError: if there is no such plot, and what the plot itself raises. matplotlib is
                not needed.
        """
        one_of("jf.Result.plot.describe", "name", name, list(_MAKERS))
        return plot_of(self.dataset, self.score, name, *args, **kwargs).described()

    def _drawn(self, name: str, ax: "Axes | None", *args: object, **kwargs: object) -> "Axes":
        plot = plot_of(self.dataset, self.score, name, *args, **kwargs)  # before a new figure
        is_own = ax is None
        if ax is None:
            ax = plots.new_axes(f"jf.Result.plot.{name}")
        plots.draw(plot, ax, is_own)
        return ax
