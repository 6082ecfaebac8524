"""Arrays of a sweep as one labelled dataset."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .._core.checks import is_number
from ._score import Score, Status, at_looks

TRIAL = ("config", "seed", "fold")


@dataclasses.dataclass(frozen=True)
class Curves:
    """What was measured, in the order (config, seed, fold[, look]); NaN where nothing was looked at.

    Attributes:
        looks: name to float array (configs, seeds, folds, looks): ``train_loss``, ``valid_<metric>``.
        status: int array (configs, seeds, folds) of `Status`.
        steps_taken: int array (configs, seeds, folds): updates made.
        diverged_at: int array (configs, seeds, folds): the step of divergence, -1 for none.
        step: int array (configs, looks): updates made at each look, -1 past a configuration's last.
        steps_per_epoch: float array (configs,).
        block_width: int array (configs,): lanes in the blocks of the program that trained a configuration.
    """

    looks: Mapping[str, np.ndarray]
    status: np.ndarray
    steps_taken: np.ndarray
    diverged_at: np.ndarray
    step: np.ndarray
    steps_per_epoch: np.ndarray
    block_width: np.ndarray


def to_dataset(columns: Mapping[str, tuple], curves: Curves, attributes: Mapping[str, Any]) -> xr.Dataset:
    """The dataset of DESIGN: dimensions config, seed, fold, look, always there.

    Args:
        columns: for each hyperparameter its label in every configuration, as `Space.labels` has them; they become
            coordinates along `config`.
        curves: the arrays.
        attributes: strings and numbers to keep with the dataset.

    Returns:
        A dataset that netCDF can hold: numbers as they are, other labels as strings.
    """
    epoch = np.where(curves.step >= 0, curves.step / curves.steps_per_epoch[:, None], np.nan)
    status = np.array([s.name.lower() for s in Status])[curves.status]
    dataset = xr.Dataset(
        {
            **{name: ((*TRIAL, "look"), values) for name, values in curves.looks.items()},
            "status": (TRIAL, status.astype(object)),
            "steps_taken": (TRIAL, curves.steps_taken),
            "diverged_at": (TRIAL, curves.diverged_at),
        },
        coords={
            **{name: np.arange(n) for name, n in zip(TRIAL, curves.status.shape, strict=True)},
            "look": np.arange(curves.step.shape[1]),
            **{name: ("config", _column(values)) for name, values in columns.items()},
            "step": (("config", "look"), curves.step),
            "epoch": (("config", "look"), epoch),
            "block_width": ("config", curves.block_width),
        },
        attrs=dict(attributes),
    )
    for name, text in _DESCRIPTIONS.items():
        if name in dataset:  # a trial of one's own need not have a training loss
            dataset[name].attrs["long_name"] = text
    dataset["step"].attrs["units"] = dataset["steps_taken"].attrs["units"] = "updates"
    dataset["epoch"].attrs["units"] = "passes over the training rows"
    for name in columns:
        dataset[name].attrs["role"] = "hyperparameter"
    for name in curves.looks:
        dataset[name].attrs.setdefault("long_name", f"mean of {name.removeprefix('valid_')} over the validation rows")
    return dataset


_DESCRIPTIONS = {
    "train_loss": "mean training loss over the minibatches since the last look",
    "status": "how the trial ended",
    "steps_taken": "updates made",
    "diverged_at": "step whose loss was not finite or beyond the bound, -1 for none",
    "step": "updates made at this look, -1 past the last one",
    "block_width": "lanes that were trained side by side: at equal width a trial has the same bits",
    "epoch": "passes over the training rows at this look",
}


def _column(values: tuple) -> np.ndarray:
    if all(map(is_number, values)):
        return np.asarray(values)
    return np.array([str(x) for x in values], dtype=object)


def hyperparameters(dataset: xr.Dataset) -> list[str]:
    """The coordinates that are axes of the space."""
    return [str(name) for name, x in dataset.coords.items() if x.attrs.get("role") == "hyperparameter"]


def looked_at(dataset: xr.Dataset) -> list[str]:
    """The variables that were measured at every look."""
    return [str(name) for name, variable in dataset.data_vars.items() if "look" in variable.dims]


def status_of(dataset: xr.Dataset) -> np.ndarray:
    """Int array (configs, seeds, folds) of `Status`."""
    names = {s.name.lower(): s for s in Status}
    text = dataset["status"].transpose(*TRIAL).values
    return np.vectorize(names.__getitem__, otypes=[int])(text)


def trial_values(dataset: xr.Dataset, score: Score, variable: str) -> np.ndarray:
    """`variable` at the look that counts for each trial, (configs, seeds, folds); NaN where a trial has no score."""
    metric, values = (dataset[name].transpose(*TRIAL, "look").values for name in (score.metric, variable))
    step, taken = dataset["step"].transpose("config", "look").values, dataset["steps_taken"].transpose(*TRIAL).values
    return at_looks(values, score.looks(metric, status_of(dataset), last_look(step[:, None, None], taken)))


def last_look(step: np.ndarray, steps_taken: np.ndarray) -> np.ndarray:
    """The last look of each trial, int array like `steps_taken`, -1 for none; `step` (…, looks) is -1 past the last."""
    return ((step >= 0) & (step <= steps_taken[..., None])).sum(axis=-1) - 1


def flat_trials(values: np.ndarray) -> np.ndarray:
    """(configs, seeds, folds) as (configs, trials)."""
    return values.reshape(values.shape[0], -1)


def ranking(dataset: xr.Dataset, score: Score) -> np.ndarray:
    """The configurations from best to worst, int array (configs,)."""
    scores, status = trial_values(dataset, score, score.metric), status_of(dataset)
    taken = dataset["steps_taken"].transpose(*TRIAL).values
    return score.order(*map(flat_trials, (scores, status, taken)))
