"""The best configuration, those that could be it, and the preferred within a standard error."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._core import html
from .._core.checks import is_number, one_of
from .._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .._core.text import displayed
from ._dataset import flat_trials, hyperparameters, ranking, score_of, trial_values
from ._moderated import against
from ._score import over_scored_trials
from ._statistics import bonferroni, finished, standard_errors, units_of
from ._values import column, is_array


@dataclasses.dataclass(frozen=True)
class Best:
    """One configuration with its score and how sure that is.

    Attributes:
        config: its number in the dataset.
        hyperparameters: name to value; an array is a list of numbers, which JSON can hold, and
            which ``np.array`` takes back.
        labels: name to the value as tables show it.
        metric: name of the score.
        score: mean over the trials (seeds and folds) of the configuration.
        standard_error: of that mean, corrected for folds, which overlap; NaN for a single trial.
        trials: how many there are.
    """

    config: int
    hyperparameters: dict[str, Any]
    labels: dict[str, Any]
    metric: str
    score: float
    standard_error: float
    trials: int

    def __str__(self) -> str:
        values = ", ".join(f"{name}={_shown(label)}" for name, label in self.labels.items())
        spread = "" if np.isnan(self.standard_error) else f" ± {self.standard_error:.2g}"
        trials = f"mean ± standard error of {self.trials} trials"
        if self.trials == 1:
            trials = "one trial"
        values = f"{values}: " if values else ""
        return displayed(f"{values}{self.metric} {self.score:.4g}{spread} ({trials})")

    def _repr_html_(self) -> str:
        own = {self.metric: self.score, "standard error": self.standard_error}
        row = {"config": self.config, **self.labels, **own, "trials": self.trials}
        return html.table(list(row), [list(row.values())], 1)


def ties(dataset: xr.Dataset, alpha: float = 0.05) -> pd.DataFrame:
    """See `Result.ties`."""
    if not 0 < alpha < 1:
        raise ArgumentError(
            f"jf.Result.ties: 0 < alpha < 1 must hold, got alpha={alpha}. The usual one is 0.05."
        )
    configs, means = _ranked("jf.Result.ties", dataset)
    units = units_of(dataset)
    test = against(units._replace(values=units.values[configs]), best=0)
    frame = pd.DataFrame({x: column(dataset, x)[configs] for x in hyperparameters(dataset)})
    frame.index = pd.Index(configs, name="config")
    frame[score_of(dataset).metric] = means
    frame["difference"] = test.difference
    frame["standard_error"] = test.standard_error
    frame["p_value"] = bonferroni(test.p_value, len(configs) - 1)
    # the best is not compared with itself
    frame.loc[frame.index[0], ["standard_error", "p_value"]] = np.nan
    return frame.loc[~(frame["p_value"] <= alpha)]


def choose(
    dataset: xr.Dataset, space: Mapping[str, tuple], rule: str, prefer: Mapping[str, Any] | None
) -> Best:
    """See `Result.best`."""
    where = "jf.Result.best"
    one_of(where, "rule", rule, ("best", "1se"))
    if prefer is not None and not isinstance(prefer, Mapping):
        raise ArgumentTypeError(
            f"{where}: prefer must be a dict such as {{'l2': 'high'}}, got prefer={prefer!r}."
        )
    if (rule == "1se") != bool(prefer):
        raise ArgumentError(
            f"{where}: prefer must go with rule='1se', and that with it, got rule={rule!r}, "
            f"prefer={prefer!r}. Say which of those within a standard error is preferred: "
            "rule='1se', prefer={'l2': 'high'}."
        )
    configs, means = _ranked(where, dataset)
    errors = standard_errors(dataset)
    score = score_of(dataset)
    chosen = 0
    if prefer:
        keys = [_preference(where, dataset, space, name, wish) for name, wish in prefer.items()]
        error = errors[configs[0]]
        if np.isnan(error):
            raise ArgumentError(
                f"{where}: rule='1se' must have a standard error, got one seed and one fold. "
                "Ask jf.sweep for several: seeds=3, or folds=5."
            )
        near = np.flatnonzero(score.sign * (means - means[0]) <= error)
        # lexsort takes its last key first, and so does the first name of prefer
        chosen = near[np.lexsort((near, *(key[configs[near]] for key in reversed(keys))))[0]]
    config = int(configs[chosen])
    return Best(
        config=config,
        hyperparameters={name: _plain(values[config]) for name, values in space.items()},
        labels={name: column(dataset, name)[[config]].tolist()[0] for name in space},
        metric=score.metric,
        score=float(means[chosen]),
        standard_error=float(errors[config]),
        trials=dataset.sizes["seed"] * dataset.sizes["fold"],
    )


def _ranked(where: str, dataset: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Rank the configurations that finished, best first; return them and their mean scores."""
    score = score_of(dataset)
    order = ranking(dataset, score)
    configs = order[finished(dataset)[order]]
    if not len(configs):
        advice = "result.table() shows which came closest."
        if (dataset["status"] == "stopped").any():
            advice = (
                "The stopping rule has ended some before they were done, and these have no final "
                "score: let the rule wait longer, or train without it and rank each by the best it "
                "reached, with select='best'. result.table() shows what they reached."
            )
        if "nonfinite" in dataset.attrs:
            advice = f"The data are not finite: {dataset.attrs['nonfinite']}."
        raise JefficientError(
            f"{where}: a configuration must have a finite {score.metric} in every trial, "
            f"got none such of {dataset.sizes['config']}. {advice}"
        )
    means = over_scored_trials(flat_trials(trial_values(dataset, score, score.metric)))
    return configs, means[configs]


def _preference(
    where: str, dataset: xr.Dataset, space: Mapping[str, tuple], name: str, wish: object
) -> np.ndarray:
    """Return a number for each configuration: the smaller, the more preferred."""
    if name not in space:
        raise ArgumentError(
            f"{where}: prefer must name hyperparameters of {list(space)}, got {name!r}."
        )
    if is_array(dataset, name):
        raise ArgumentError(
            f"{where}: prefer must name hyperparameters that have an order, got {name!r}, whose "
            f"values are arrays. Prefer by another one."
        )
    labels = dataset[name].values
    has_numbers = np.issubdtype(labels.dtype, np.number)
    if has_numbers and isinstance(wish, str) and wish in ("high", "low"):
        return -labels if wish == "high" else labels
    if has_numbers:
        is_wished = labels == wish if is_number(wish) else np.zeros(len(labels), bool)
    else:
        is_wished = (labels == str(wish)) | np.array([value is wish for value in space[name]])
    if not is_wished.any():
        choices = sorted(set(labels.tolist()))
        if has_numbers:
            choices = ["high", "low", "or one of its values"]
        raise ArgumentError(
            f"{where}: prefer[{name!r}] must be one of {choices}, got {name}={wish!r}."
        )
    return 1 - is_wished.astype(int)


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
