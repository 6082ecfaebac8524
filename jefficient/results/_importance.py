"""Which hyperparameters decide whether a configuration is among the best: PED-ANOVA, by Optuna.

The order of the configurations is all that counts, not by how much one is better. So those without
a score take part, behind all others: a value at which training diverges is one that matters.
"""

import math
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from .._core.checks import check_between
from .._core.errors import ArgumentError, JefficientError
from ._axes import scale_of
from ._dataset import flat_trials, hyperparameters, score_of, trial_values
from ._score import over_scored_trials
from ._statistics import finished, units_of
from ._values import arrays, column, is_array

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

WHERE = "jf.Result.importance"
QUANTILE = 0.1
RESAMPLES = 200
LEAST = 2
"""Configurations among the best, at least: the density of a single one is no density."""


class Parameter(NamedTuple):
    """A hyperparameter, or an element of one that is an array, as Optuna has it."""

    distribution: "BaseDistribution"
    values: list[Any]  # of each configuration; NaN where it has none


def importance(
    where: str, dataset: xr.Dataset, quantile: float = QUANTILE, level: float = 0.95
) -> pd.Series:
    """Compute importances with intervals; see `Result.importance`."""
    check_between(where, level=level)
    reason = refusal(where, dataset, quantile)
    if reason is not None:
        raise ArgumentError(f"{where}: {reason}")
    try:
        with warnings.catch_warnings():  # of a bar that is not shown
            warnings.filterwarnings("ignore", "IProgress not found")
            import optuna
    except ImportError:
        raise JefficientError(
            f"{where}: Optuna must be installed: pip install 'jefficient[optuna]'."
        ) from None

    study = _study(optuna, parameters(dataset))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)

    def of(values: np.ndarray) -> pd.Series:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a low target is taken for good: so it is meant
            return pd.Series(
                optuna.importance.get_param_importances(
                    study, evaluator=evaluator, target=lambda trial: values[trial.number]
                ),
                dtype=float,
            )

    found = of(_targets(dataset))
    draws, counts = _resampled(dataset)
    resampled = pd.DataFrame([of(values) for values in draws], columns=found.index)
    resampled = resampled.loc[np.repeat(resampled.index, counts)]
    tail = (1 - level) / 2
    low, high = (resampled.quantile(q) for q in (tail, 1 - tail))  # NaN of none
    found.name = "importance"
    found.index.name = "hyperparameter"
    found.attrs |= {
        "metric": score_of(dataset).metric,
        "quantile": quantile,
        "level": level,
        "low": low.to_dict(),
        "high": high.to_dict(),
    }
    return found


def refusal(where: str, dataset: xr.Dataset, quantile: float) -> str | None:
    """Say why there are no importances, None if there are."""
    check_between(where, quantile=quantile)
    count = dataset.sizes["config"]
    best = math.ceil(quantile * count)
    if best < LEAST:
        return (
            f"quantile must leave {LEAST} or more configurations among the best, got "
            f"quantile={quantile} of {count}. Take a larger one, or sweep more."
        )
    is_finished = finished(dataset)
    if is_finished.sum() < best:
        return (
            f"the best {best} configurations must have finished with a score, got "
            f"{int(is_finished.sum())} that did."
        )
    values = _targets(dataset)
    if (values <= np.sort(values)[best - 1]).all():
        return "scores must differ, got the same for all configurations."
    if not any(len(set(column(dataset, x).tolist())) > 1 for x in hyperparameters(dataset)):
        return "a hyperparameter must have several values, got one of each."
    return None


def _targets(dataset: xr.Dataset, scores: np.ndarray | None = None) -> np.ndarray:
    """Return numbers in the order of the configurations, the smallest being the best, (configs,).

    By default of the mean over trials. Those that did not finish are behind all others, alike.
    """
    score = score_of(dataset)
    if scores is None:
        scores = over_scored_trials(flat_trials(trial_values(dataset, score, score.metric)))
    is_finished = finished(dataset)
    signed = score.sign * scores.astype(float)
    worst = np.max(signed, where=is_finished, initial=-np.inf)
    return np.where(is_finished, signed, worst + 1)


def _resampled(dataset: xr.Dataset) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw seeds, or folds, with replacement; return targets of each draw, and how often it came.

    None if there is one unit. Few units have few distinct draws, each of which is computed once.
    """
    units = units_of(dataset).values
    count = units.shape[1]
    if count == 1:
        return [], np.zeros(0, int)
    drawn = np.sort(np.random.default_rng(0).integers(count, size=(RESAMPLES, count)), axis=1)
    distinct, counts = np.unique(drawn, axis=0, return_counts=True)
    return [_targets(dataset, units[:, own].mean(axis=1)) for own in distinct], counts


def parameters(dataset: xr.Dataset) -> dict[str, Parameter]:
    """Return the hyperparameters as Optuna has them: ranges from the least to the largest value."""
    found: dict[str, Parameter] = {}
    for name in hyperparameters(dataset):
        if not is_array(dataset, name):
            found[name] = _parameter(dataset[name].values.tolist())
            continue
        values = arrays(dataset, name)
        for place in np.ndindex(values.shape[1:]):
            label = f"{name}[{', '.join(map(str, place))}]"
            found[label] = _parameter(values[(slice(None), *place)].tolist())
    return found


def _parameter(values: Sequence[Any]) -> Parameter:
    """Return numbers as a range, linear or logarithmic as they are spread; the rest as choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    is_numbers = not isinstance(values[0], str)
    given = [x for x in values if not is_numbers or math.isfinite(x)]
    scale = scale_of(given) if is_numbers else None
    if scale is None or scale == "symlog":  # 0 has no place among decades
        return Parameter(CategoricalDistribution(sorted(set(given))), list(values))
    return Parameter(FloatDistribution(min(given), max(given), log=scale == "log"), list(values))


def _study(optuna: ModuleType, parameters: dict[str, Parameter]) -> "optuna.Study":
    """Make a study with a trial for each configuration, numbered alike; values do not matter."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # says that a study was made
    study = optuna.create_study()
    optuna.logging.set_verbosity(verbosity)

    configs = len(next(iter(parameters.values())).values)
    for config in range(configs):
        study.add_trial(optuna.trial.create_trial(**params_of(parameters, config), value=0.0))
    return study


def params_of(parameters: dict[str, Parameter], config: int) -> dict[str, Any]:
    """Return `params` and `distributions` of a configuration's trial, without what it has not."""
    own = {
        name: each.values[config]
        for name, each in parameters.items()
        if isinstance(each.values[config], str) or math.isfinite(each.values[config])
    }
    return {"params": own, "distributions": {name: parameters[name].distribution for name in own}}
