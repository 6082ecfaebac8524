"""What several pictures read from a dataset."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError
from .._axes import labelled, shown
from .._dataset import flat_trials, hyperparameters, measured, ranking, status_of, trial_values
from .._score import Score, Status


def means(dataset: xr.Dataset, score: Score, variable: str) -> np.ndarray:
    """Mean over seeds and folds at the evaluation that counts, (configs,); NaN where a trial has none."""
    return flat_trials(trial_values(dataset, score, variable)).mean(axis=1, dtype=float)


def short_names(dataset: xr.Dataset, configs: np.ndarray) -> tuple[str, list[str]]:
    """What these configurations differ in, and their values of it: for where there is no room for `named`."""
    names = distinguishing(dataset, configs)
    if not names:
        return "configuration", [str(config) for config in configs]
    columns = [dataset[name].values[configs].tolist() for name in names]
    return ", ".join(map(labelled, names)), [
        ", ".join(map(shown, row)) for row in zip(*columns, strict=True)
    ]


def has(dataset: xr.Dataset, status: Status) -> np.ndarray:
    """Bool array (configs,): whether a trial of it has this status."""
    return (flat_trials(status_of(dataset)) == status).any(axis=1)


def scored(dataset: xr.Dataset, score: Score) -> np.ndarray:
    """The configurations that have a score in every trial, best first; those that were stopped come last."""
    order = ranking(dataset, score)
    return order[np.isfinite(means(dataset, score, score.metric))[order]]


def distinguishing(dataset: xr.Dataset, configs: Sequence[int] | np.ndarray) -> list[str]:
    """The hyperparameters in which these configurations differ; for a single one, those in which the sweep does."""
    among = configs if len(configs) > 1 else np.arange(dataset.sizes["config"])
    return [
        name
        for name in hyperparameters(dataset)
        if len(set(dataset[name].values[among].tolist())) > 1
    ]


def named(dataset: xr.Dataset, configs: Sequence[int] | np.ndarray) -> list[str]:
    """Each of these configurations by the hyperparameters in which they differ."""
    names = distinguishing(dataset, configs)
    columns = {
        labelled(name): dataset[name].values[np.asarray(configs, int)].tolist() for name in names
    }
    rows = zip(*columns.values(), strict=True) if names else [()] * len(configs)
    return [
        ", ".join(f"{name}={shown(x)}" for name, x in zip(columns, row, strict=True))
        or f"configuration {config}"
        for config, row in zip(configs, rows, strict=True)
    ]


def is_low_good(score: Score, variable: str) -> bool:
    """Whether the best of a variable is the lowest: the metric says so, of others the name."""
    return score.mode == "min" if variable == score.metric else variable.endswith(("loss", "error"))


def diverged_words(count: int, total: int) -> str:
    """The end of a sentence: what is missing from the picture."""
    return f"; {count} of {total} configurations diverged" if count else ""


def one_of(where: str, argument: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ArgumentError(
            f"{where}: {argument} must be one of {list(choices)}, got {argument}={value!r}."
        )


def measured_or_metric(where: str, dataset: xr.Dataset, score: Score, variable: str | None) -> str:
    """The variable that was asked for, by default the score's metric."""
    name = score.metric if variable is None else variable
    one_of(where, "variable", name, measured(dataset))
    return name
