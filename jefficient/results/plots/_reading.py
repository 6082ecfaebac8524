"""What several plots read from a dataset."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..._core.checks import one_of
from ..._core.errors import ArgumentError
from .._axes import counted, labelled, shown
from .._dataset import flat_trials, hyperparameters, measured, ranking, status_of, trial_values
from .._score import Score, Status, over_trials
from .._values import column, is_array


def means(dataset: xr.Dataset, score: Score, variable: str) -> np.ndarray:
    """Average the trials at the evaluation that counts, (configs,); NaN if one has no score."""
    return over_trials(flat_trials(trial_values(dataset, score, variable)).astype(float))


def short_names(dataset: xr.Dataset, configs: np.ndarray) -> tuple[str, list[str]]:
    """Return the hyperparameters in which these configurations differ, and their values of them.

    For where there is no room for `named`.
    """
    names = distinguishing(dataset, configs)
    if not names:
        return "configuration", [str(config) for config in configs]
    columns = [column(dataset, name)[configs].tolist() for name in names]
    values = [", ".join(map(shown, each)) for each in zip(*columns, strict=True)]
    return ", ".join(map(labelled, names)), values


def has(dataset: xr.Dataset, status: Status) -> np.ndarray:
    """Return whether a trial of a configuration has this status, bool array (configs,)."""
    return (flat_trials(status_of(dataset)) == status).any(axis=1)


def is_cut(status: np.ndarray) -> np.ndarray:
    """Whether trials neither finished nor diverged: their scores are of an earlier evaluation."""
    return (status != Status.FINISHED) & (status != Status.DIVERGED)


def cut_short(dataset: xr.Dataset) -> np.ndarray:
    """Whether a trial of a configuration is cut, bool array (configs,)."""
    return np.asarray(is_cut(flat_trials(status_of(dataset))).any(axis=1))


def cut_words(dataset: xr.Dataset) -> str:
    """Name what is cut, in a legend."""
    status = status_of(dataset)
    return "stopped early" if (status[is_cut(status)] == Status.STOPPED).all() else "not finished"


def scored(dataset: xr.Dataset, score: Score) -> np.ndarray:
    """Rank the configurations with a score in every trial, best first; stopped ones come last."""
    order = ranking(dataset, score)
    return order[np.isfinite(means(dataset, score, score.metric))[order]]


def best_of(dataset: xr.Dataset, score: Score) -> int | None:
    """Return the best configuration, None if none has a score in every trial."""
    leaders = scored(dataset, score)
    return int(leaders[0]) if leaders.size else None


def distinguishing(dataset: xr.Dataset, configs: Sequence[int] | np.ndarray) -> list[str]:
    """Name the hyperparameters in which these configurations differ.

    For a single configuration, those in which all of the sweep differ.
    """
    among = configs if len(configs) > 1 else np.arange(dataset.sizes["config"])
    return [
        name
        for name in hyperparameters(dataset)
        if len(set(column(dataset, name)[among].tolist())) > 1
    ]


def named(dataset: xr.Dataset, configs: Sequence[int] | np.ndarray) -> list[str]:
    """Name each of these configurations by the hyperparameters in which they differ."""
    names = distinguishing(dataset, configs)
    if not names:
        return [f"configuration {config}" for config in configs]
    columns = {name: column(dataset, name) for name in names}
    return [
        ", ".join(
            f"{labelled(name)}={shown(x[[config]].tolist()[0])}" for name, x in columns.items()
        )
        for config in configs
    ]


def with_axes(dataset: xr.Dataset) -> list[str]:
    """Name the hyperparameters that an axis can show: those that are not arrays."""
    return [name for name in hyperparameters(dataset) if not is_array(dataset, name)]


def check_axis(where: str, dataset: xr.Dataset, argument: str, name: str) -> None:
    """Check for a hyperparameter that an axis can show."""
    if name in hyperparameters(dataset) and is_array(dataset, name):
        raise ArgumentError(
            f"{where}: {argument} must have numbers or labels for values, got {name!r}, which has "
            f"arrays. result.plot.knots({name!r}) draws those as curves."
        )
    one_of(where, argument, name, with_axes(dataset))


def is_low_good(score: Score, variable: str) -> bool:
    """Whether the lowest is the best: for the metric `mode` says so, for others the name."""
    return score.mode == "min" if variable == score.metric else variable.endswith(("loss", "error"))


def diverged_words(count: int, total: int) -> str:
    """Say at the end of a sentence how many configurations are missing from the plot."""
    return f"; {count} of {counted(total, 'configuration')} diverged" if count else ""


def short_words(count: int, total: int) -> str:
    """Say at the end of a sentence how many configurations do not compare with the others."""
    return f"; {count} of {counted(total, 'configuration')} did not finish" if count else ""


def measured_or_metric(where: str, dataset: xr.Dataset, score: Score, variable: str | None) -> str:
    """Return the given variable, if it was measured; by default the score's metric."""
    name = score.metric if variable is None else variable
    one_of(where, "variable", name, measured(dataset))
    return name
