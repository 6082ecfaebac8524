"""What a sweep returns, and how it is read."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from .._core.checks import check_place
from .._core.errors import ArgumentError, JefficientError
from .._core.typing import Tree
from ._best import Best, choose, ties
from ._compare import Comparison, compare
from ._dataset import (
    flat_trials,
    hyperparameters,
    measured,
    ranking,
    score_of,
    status_of,
    trial_values,
)
from ._files import save
from ._grid import unstacked
from ._join import joined
from ._plot import Plot
from ._score import Score, Status, nan_mean, nan_std
from ._statistics import standard_errors
from ._weights import save_safetensors
from .checks import Checks, checks
from .report import write_report


class Replay(NamedTuple):
    """One trial, trained again.

    `dataset`: its curves, as in the sweep's dataset, every dimension of size 1; `params`: its
        weights, None where it
    was stopped before its first evaluation.
    """

    dataset: xr.Dataset
    params: Tree

    def save_params(self, path: str | os.PathLike) -> Path:
        """Write the parameters as safetensors; see `Result.save_params`."""
        save_safetensors("jf.Replay.save_params", Path(path), self.params, about(self.dataset, 0))
        return Path(path)


def about(dataset: xr.Dataset, config: int) -> dict[str, str]:
    """The hyperparameters of a configuration as texts."""
    return {name: str(dataset[name].values[config]) for name in hyperparameters(dataset)}


class Programs(Protocol):
    """What can train: the task, the optimizer and the settings of a sweep."""

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """See `Result.replay`."""
        ...

    def refit(self, dataset: xr.Dataset, config: int, seed: int) -> Replay:
        """See `Result.refit`."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished sweep.

    Attributes:
        dataset: dimensions config, seed, fold and evaluation; its variables are listed in the
            guide, under "The dataset".
        space: name to the values of every configuration, as they were given; labels where the
            result was loaded.
        weights: (config, seed, fold) to the parameters that were kept.
        test: what the test rows say of the winner: dimensions seed and fold, variables
            ``test_loss`` and ``test_<metric>``, the winner's `config` among the attributes; None
            where there were none, or no winner, or the sweep was interrupted.
        programs: what `replay` and `refit` train with, None where the task is not at hand.
    """

    dataset: xr.Dataset
    space: Mapping[str, tuple] = dataclasses.field(repr=False, default_factory=dict)
    weights: Mapping[tuple[int, int, int], Tree] = dataclasses.field(
        repr=False, default_factory=dict
    )
    test: xr.Dataset | None = dataclasses.field(repr=False, default=None)
    programs: Programs | None = dataclasses.field(repr=False, default=None)

    def __post_init__(self):
        if not self.space:
            labels = {
                name: tuple(self.dataset[name].values.tolist())
                for name in hyperparameters(self.dataset)
            }
            object.__setattr__(self, "space", labels)
        count = self.dataset.sizes["config"]
        lengths = {name: len(values) for name, values in self.space.items()}
        if set(lengths.values()) - {count}:
            raise ArgumentError(
                f"jf.Result: space must have a value for each of the {count} configurations, got {lengths}."
            )

    @property
    def score(self) -> Score:
        """What ranks the configurations."""
        return score_of(self.dataset)

    def table(self) -> pd.DataFrame:
        """The configurations, best first.

        Returns:
            A DataFrame indexed by `config`: the hyperparameters; the score's mean over the trials
            that did not diverge and its standard deviation (`<metric>_std`, NaN for one trial); the
            mean's standard error (`<metric>_se`, corrected for folds, which overlap; NaN for one
            trial, or where one diverged); every other measured mean at the same evaluation;
            `trials`, and how many of them were `stopped` and `diverged`. Configurations that were
            stopped come after those that finished, those that got furthest first; those with a
            diverged trial come last, those with fewest first.
        """
        scores, metric = self._trials(self.score.metric), self.score.metric
        frame = pd.DataFrame({name: self.dataset[name].values for name in self.space})
        frame.index.name = "config"
        frame[metric] = nan_mean(scores)
        frame[f"{metric}_std"] = nan_std(scores)
        frame[f"{metric}_se"] = standard_errors(self.dataset)
        for name in measured(self.dataset):
            if name != metric:
                frame[name] = nan_mean(self._trials(name))
        status = self._status()
        frame["trials"] = status.shape[1]
        frame["stopped"] = (status == Status.STOPPED).sum(axis=1)
        frame["diverged"] = (status == Status.DIVERGED).sum(axis=1)
        return frame.iloc[ranking(self.dataset, self.score)]

    def best(self, rule: str = "best", prefer: Mapping[str, Any] | None = None) -> Best:
        """The configuration to take, among those whose trials all finished with a finite score.

        Args:
            rule: "best", the best mean score; or "1se", the configuration that `prefer` likes most
                among those whose mean is within one standard error (the best's own) of the best
                mean. Such a one is simpler, or cheaper, and not clearly worse.
            prefer: for "1se": name to "high" or "low" for a hyperparameter with numbers, or to one
                of the values, which then comes first; the first name counts most: ``{"l2": "high",
                "batch_size": "low"}``. What is equal there is ranked by its score.

        Returns:
            The configuration; its standard error is corrected for folds, which overlap (see
            `compare`).

        Raises:
            JefficientError: where every configuration has a trial that did not finish, or whose
                score is not finite.
            ArgumentError: where the rule or a name or value of `prefer` is unknown, one of the two
                is without the other, or one seed and one fold leave no standard error.

        References:
            Breiman, Friedman, Olshen and Stone (1984), "Classification and Regression Trees",
            section 3.4.3; Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical
            Learning", section 7.10.
        """
        return choose(self.dataset, self.space, rule, prefer)

    def ties(self, alpha: float = 0.05) -> pd.DataFrame:
        """The configurations that could be the best one: those that are not shown to be worse than it.

        Every configuration whose trials all finished is compared with the best on the same seeds
        and folds, with two-sided p-values times the number of comparisons, m - 1 for m
        configurations (Bonferroni). The variance of one difference, which `compare` uses, comes
        from few seeds or folds; here each configuration's is drawn towards what the better half has
        in common (Smyth 2004), which tells far more apart; of two it is the same test. The truly
        best one is left out only where one of the m - 1 others beats it significantly, which
        happens with probability alpha / (m - 1) at most for each: so it is among those returned
        with probability 1 - alpha at least. Where all are equally good, a single one is returned
        alpha of the time at most, since the test is two-sided. Both hold where scores are normal
        and `compare`'s correction for folds is right; simulated, they hold with three seeds whose
        standard deviations differ twentyfold between configurations. With one seed and one fold
        nothing can be told: all configurations are returned, their p-values NaN.

        Args:
            alpha: between 0 and 1.

        Returns:
            A DataFrame indexed by `config`, best first, the best itself among them: the
            hyperparameters; the score's mean; `difference` (the score minus the best's); its
            `standard_error` and `p_value`, corrected and 1 at most, both NaN for the best.

        Raises:
            ArgumentError: where alpha is not between 0 and 1.
            JefficientError: where no configuration finished.

        References:
            Smyth (2004), "Linear models and empirical Bayes methods for assessing differential
            expression in microarray experiments", Statistical Applications in Genetics and
            Molecular Biology 3, section 6.2.
        """
        return ties(self.dataset, alpha)

    def compare(self, a: int, b: int) -> Comparison:
        """Two configurations on the same seeds and folds: a paired t-test.

        The units are the seeds or, where there are folds, the folds, each with the mean over its
        seeds. Folds share training rows, so the variance of the mean is not s²/k but s² (1/k +
        n_test/n_train), with k - 1 degrees of freedom. One comparison is tested, with the spread of
        its own difference; to find out what could be the best of many there is `ties`, whose
        standard errors draw on all configurations and so are others. Where a metric takes few
        values (the error of 20 rows), differences may agree by chance, and the test is too sure.

        Args:
            a: a configuration's number, as in `table()`.
            b: another's.

        Raises:
            ArgumentError: where there is no such configuration, or one has a trial without a score
                (it diverged) or one that did not finish.
            ArgumentTypeError: where a number is not whole.

        References:
            Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52,
            equation 15.
        """
        return compare(self.dataset, a, b)

    def checks(self) -> Checks:
        """What a careful practitioner would warn about: an optimum at the edge of its range, overfitting, noise, ….

        Returns:
            A tuple of `Check`, empty where there is nothing to say; printed it has one a line.
        """
        return checks(self.dataset)

    def grid(self) -> xr.Dataset:
        """The dataset of a full product, with a dimension for each hyperparameter in place of `config`.

        Raises:
            ArgumentError: where the configurations are not all combinations of their values.
        """
        return unstacked("jf.Result.grid", self.dataset)

    def __add__(self, other: "Result") -> "Result":
        """The configurations of two sweeps of one task, those of `other` after these.

        A configuration that is in both comes once, as it is here, with a `JefficientWarning`. What
        the test rows say is of another winner, perhaps: `test` is None.

        Raises:
            ArgumentError: where data, optimizer, hyperparameters, seeds, folds, the key, the length
                of training or the score differ.
        """
        return joined(self, other) if isinstance(other, Result) else NotImplemented

    def __radd__(self, other: Any) -> "Result":
        """``sum(results)`` begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def save(self, path: str | os.PathLike) -> Path:
        """Write all of it to a netCDF file, whole or not at all: `jf.load` reads it, and so does xarray the dataset.

        Args:
            path: the file; one that is there is replaced.

        Returns:
            The path.

        Raises:
            JefficientError: where it cannot be written, or has an attribute or a label that netCDF
                cannot hold.
        """
        save("jf.Result.save", Path(path), self.dataset, self.test, self.weights)
        return Path(path)

    def report(self, path: str | os.PathLike, *, title: str | None = None) -> Path:
        """Write one HTML page to pass on: the answer, what could be as good, checks, pictures, every configuration.

        The page needs nothing but itself: no network, no other file. It is written whole or not at
        all. Of more than 10 000 configurations the best 10 000 are in its table, which says so.

        Args:
            path: the file; one that is there is replaced.
            title: the page's title, by default "Results of a sweep".

        Returns:
            The path.

        Raises:
            JefficientError: where it cannot be written, or Jinja2 or matplotlib are not installed
                (extra `plot`).
        """
        write_report("jf.Result.report", Path(path), self, title)
        return Path(path)

    def save_params(
        self, path: str | os.PathLike, config: int | None = None, seed: int = 0, fold: int = 0
    ) -> Path:
        """Write the trained parameters of one trial as safetensors, which other frameworks read (extra `safetensors`).

        A parameter's name is its place in the tree, ``layer.kernel``. The metadata have the
        hyperparameters.

        Args:
            path: the file; one that is there is replaced.
            config: by default the best one.
            seed: which repetition.
            fold: which fold.

        Returns:
            The path.

        Raises:
            ArgumentError: where these weights were not kept.
            JefficientError: where it cannot be written, or safetensors is not installed.
        """
        config = self.best().config if config is None else config
        params = self.params(config, seed, fold)
        save_safetensors("jf.Result.save_params", Path(path), params, about(self.dataset, config))
        return Path(path)

    def params(self, config: int | None = None, seed: int = 0, fold: int = 0) -> Tree:
        """The trained parameters of one trial, as NumPy arrays.

        Args:
            config: by default the best one.
            seed: which repetition.
            fold: which fold.

        Raises:
            ArgumentError: where these weights were not kept.
        """
        config = self.best().config if config is None else config
        if (config, seed, fold) not in self.weights:
            kept = sorted({c for c, _, _ in self.weights})
            raise ArgumentError(
                f"jf.Result.params: weights must have been kept, got config={config}, seed={seed}, fold={fold}; kept "
                f"are those of the configurations {kept}. "
                + (
                    "Ask jf.sweep for more with keep_configs=…"
                    if kept
                    else "Ask jf.sweep for them with keep='last'."
                )
            )
        return self.weights[config, seed, fold]

    def replay(self, config: int | None = None, seed: int = 0, fold: int = 0) -> Replay:
        """Train one trial again, alone in a block of the recorded width: the same numbers, bit for bit.

        On the same versions of jax and the same kind of device; the weights are those that the
        sweep kept or, where it did not keep them, would have kept. A trial that was stopped goes as
        far as it went.

        Args:
            config: by default the best one.
            seed: which repetition.
            fold: which fold.

        Raises:
            ArgumentError: where there is no such trial.
            ArgumentTypeError: where a number is not whole.
            JefficientError: where the task is not at hand (the result was not made by this
                process).
        """
        where = "jf.Result.replay"
        config = self.best().config if config is None else config
        self._check_places(where, config=config, seed=seed, fold=fold)
        return self._trained_by(where).replay(self.dataset, config, seed, fold)

    def _check_places(self, where: str, **places: int) -> None:
        for name, x in places.items():
            check_place(where, self.dataset.sizes[name], **{name: x})

    def _trained_by(self, where: str) -> Programs:
        if self.programs is None:
            raise JefficientError(
                f"{where}: the task must be at hand, got a result without one. jf.load(path, task=…) gives it back."
            )
        return self.programs

    def refit(self, config: int | None = None, seed: int = 0) -> Replay:
        """Train one configuration on all rows, those that were held out among them.

        For as many updates or epochs as in the sweep; with ``select="best"`` as far as the
        evaluation that counts, on average over the configuration's trials. The seed draws the
        initial parameters and the order of rows.

        Args:
            config: by default the best one.
            seed: which repetition.

        Returns:
            A `Replay`: training curves and weights.

        Raises:
            ArgumentError: where there is no such configuration, or the sweep was of a `jf.Trial`,
                which has no rows.
            ArgumentTypeError: where a number is not whole.
            JefficientError: where the task is not at hand (`jf.load` without it).
        """
        where = "jf.Result.refit"
        config = self.best().config if config is None else config
        self._check_places(where, config=config, seed=seed)
        return self._trained_by(where).refit(self.dataset, config, seed)

    @property
    def plot(self) -> Plot:
        """Pictures (extra `plot`)."""
        return Plot(self.dataset, self.score)

    def _trials(self, variable: str) -> np.ndarray:
        """The variable at the evaluation that counts, (configs, trials)."""
        return flat_trials(trial_values(self.dataset, self.score, variable))

    def _status(self) -> np.ndarray:
        return flat_trials(status_of(self.dataset))
