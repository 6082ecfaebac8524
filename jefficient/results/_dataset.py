"""Arrays of a sweep as one labelled dataset."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ._score import Score, Status, at_evaluations
from ._values import Plain, as_column, dimensions, table_attributes

TRIAL = ("config", "seed", "fold")
EVALUATIONS = (*TRIAL, "evaluation")
"""Dimensions of what is measured, in the order of the arrays here."""
EXAMPLES = ("training_examples", "validation_examples")


@dataclasses.dataclass(frozen=True)
class Curves:
    """Arrays along (config, seed, fold[, evaluation]); NaN where nothing was evaluated.

    Attributes:
        measured: name to float array (configs, seeds, folds, evaluations): ``train_loss``,
            ``valid_<metric>``.
        diagnostics: name to such an array, or to one with the axis of layers last; they rank
            nothing.
        seconds: float array (configs, seeds, folds, evaluations), since the sweep began.
        status: int array (configs, seeds, folds) of `Status`.
        started_at: int array (configs, seeds, folds): updates that were made before this sweep.
        steps_taken: int array (configs, seeds, folds): updates made, those before it included.
        diverged_at: int array (configs, seeds, folds): the step of divergence, -1 for none.
        step: int array (configs, folds, evaluations), or with one in place of the folds if all are
            alike: updates made at each evaluation, -1 past a configuration's last.
        steps_per_epoch: float array (configs, folds), or (configs, 1) if all folds are alike.
        block_width: int array (configs,): lanes in the blocks that trained a configuration.
    """

    measured: Mapping[str, np.ndarray]
    diagnostics: Mapping[str, np.ndarray]
    seconds: np.ndarray
    status: np.ndarray
    started_at: np.ndarray
    steps_taken: np.ndarray
    diverged_at: np.ndarray
    step: np.ndarray
    steps_per_epoch: np.ndarray
    block_width: np.ndarray


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels along the axes.

    Attributes:
        columns: for each hyperparameter its label in every configuration, as in `Space.labels`.
        hashes: of every configuration.
        training_examples: how many each fold has; 0 where the data are not examples.
        validation_examples: how many each fold has; 0 without validation.
        layers: the parameters whose norms were recorded one by one.
        values: for each hyperparameter what its labels stand for, as from `value_table`.
    """

    columns: Mapping[str, tuple]
    hashes: Sequence[str]
    training_examples: Sequence[int]
    validation_examples: Sequence[int]
    layers: Sequence[str] = ()
    values: Mapping[str, dict[str, Plain]] = dataclasses.field(default_factory=dict)


def to_dataset(labels: Labels, curves: Curves, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Label the arrays of a sweep.

    Args:
        labels: of the axes; hyperparameters become coordinates along `config`.
        curves: the arrays.
        attributes: strings and numbers to store with the dataset.

    Returns:
        A dataset with the dimensions config, seed, fold and evaluation, layer where there are
        layers, and ``<name>_dim_0``, … of a hyperparameter that is an array. netCDF can hold it:
        numbers as they are, other labels as strings.
    """
    epoch = np.where(curves.step >= 0, curves.step / curves.steps_per_epoch[..., None], np.nan)
    status = np.array([s.name.lower() for s in Status])[curves.status]
    dataset = xr.Dataset(
        {
            **{name: (EVALUATIONS, values) for name, values in curves.measured.items()},
            **{
                name: ((*EVALUATIONS, "layer")[: x.ndim], x)
                for name, x in curves.diagnostics.items()
            },
            "seconds": (EVALUATIONS, curves.seconds),
            "status": (TRIAL, status.astype(object)),
            "started_at": (TRIAL, curves.started_at),
            "steps_taken": (TRIAL, curves.steps_taken),
            "diverged_at": (TRIAL, curves.diverged_at),
        },
        coords={
            **{name: np.arange(n) for name, n in zip(TRIAL, curves.status.shape, strict=True)},
            "evaluation": np.arange(curves.step.shape[2]),
            **{name: _column(name, values) for name, values in labels.columns.items()},
            "hash": ("config", np.array(labels.hashes, object)),
            "step": _timetable(curves.step),
            "epoch": _timetable(epoch),
            "block_width": ("config", curves.block_width),
            "training_examples": ("fold", np.array(labels.training_examples, int)),
            "validation_examples": ("fold", np.array(labels.validation_examples, int)),
            **({"layer": np.array(labels.layers, object)} if labels.layers else {}),
        },
        attrs=dict(attributes),
    )
    _describe(dataset, labels, curves)
    return dataset


def curves_of(dataset: xr.Dataset) -> Curves:
    """Return the arrays that `to_dataset` labelled."""

    def arrays(names: list[str]) -> dict[str, np.ndarray]:
        order = (*EVALUATIONS, "layer")
        return {
            name: array_of(dataset, name, *(x for x in order if x in dataset[name].dims))
            for name in names
        }

    by_trial = {
        name: array_of(dataset, name, *TRIAL)
        for name in ("started_at", "steps_taken", "diverged_at")
    }
    step = by_fold(dataset, "step")
    with np.errstate(invalid="ignore", divide="ignore"):
        periods = step / by_fold(dataset, "epoch")
    return Curves(
        measured=arrays(measured(dataset)),
        diagnostics=arrays(_of_role(dataset, "diagnostic")),
        seconds=array_of(dataset, "seconds", *EVALUATIONS),
        status=status_of(dataset),
        **by_trial,
        step=step,
        steps_per_epoch=periods[..., 0],
        block_width=dataset["block_width"].values,
    )


def _column(name: str, values: tuple) -> tuple[tuple[str, ...], np.ndarray]:
    """Label the values of a hyperparameter; arrays have dimensions of their own."""
    column = as_column(values)
    return dimensions(name, column.shape[1:]), column


def _timetable(values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Label what belongs to evaluations; it has the dimension `fold` only where folds differ."""
    first = values[:, :1]
    if np.array_equal(values, np.broadcast_to(first, values.shape), equal_nan=True):
        return ("config", "evaluation"), values[:, 0]
    return ("config", "fold", "evaluation"), values


def _describe(dataset: xr.Dataset, labels: Labels, curves: Curves) -> None:
    for name, text in _DESCRIPTIONS.items():
        if name in dataset.variables:  # a jf.Trial need not have a training loss
            dataset[name].attrs["long_name"] = text
    for name, unit in _UNITS.items():
        if name in dataset.variables:
            dataset[name].attrs["units"] = unit
    for name in labels.columns:
        dataset[name].attrs["role"] = "hyperparameter"
        dataset[name].attrs |= table_attributes(labels.values.get(name, {}))
    for name in curves.diagnostics:
        dataset[name].attrs["role"] = "diagnostic"
    for name in curves.measured:
        dataset[name].attrs["role"] = "measured"
        dataset[name].attrs.setdefault("long_name", _about_measured(dataset, name))


def _about_measured(dataset: xr.Dataset, name: str) -> str:
    if not is_prequential(dataset):
        return f"mean of {name.removeprefix('valid_')} over the validation set"
    kind, _, of = name.partition("_")
    part = "the stream so far" if kind == "valid" else "what was tested since the last evaluation"
    return f"mean of {of} over {part}, each batch tested before it was trained on"


_DESCRIPTIONS = {
    "train_loss": "mean training loss over the minibatches since the last evaluation",
    "zeros": "share of the parameters that are exactly zero, at this evaluation",
    "clipped": "share of the updates since the last evaluation whose gradient "
    "clip_by_global_norm shortened",
    "grad_norm": "norm of a layer's gradient, mean over the updates since the last evaluation",
    "update_norm": "norm of a layer's update, mean over the updates since the last evaluation",
    "weight_norm": "norm of a layer's parameters, at this evaluation",
    "sharpness": "largest eigenvalue of the Hessian of the training loss, at this evaluation",
    "noise_scale": "trace of the covariance of the gradients of examples over the square of their "
    "mean, at this evaluation; NaN where noise hides the mean",
    "seconds": "wall time from the sweep's beginning to this evaluation",
    "status": "how the trial ended",
    "started_at": "updates made before the sweep, in the state that the trial started from",
    "steps_taken": "updates made, those before the sweep included",
    "diverged_at": "step whose loss was not finite or beyond the divergence threshold, -1 for none",
    "hash": "digest of the configuration, the same in every sweep and process",
    "step": "updates made at this evaluation, -1 past the last one",
    "block_width": "lanes in a block: at equal width a trial has the same bits",
    "epoch": "passes over the training set at this evaluation",
    "training_examples": "examples in the training set of a fold",
    "validation_examples": "examples in the validation set of a fold",
}

_UNITS = {
    "step": "updates",
    "started_at": "updates",
    "steps_taken": "updates",
    "epoch": "passes over the training set",
    "seconds": "s",
    "noise_scale": "examples",
    **dict.fromkeys(EXAMPLES, "examples"),
}


def hyperparameters(dataset: xr.Dataset) -> list[str]:
    """Name the coordinates that are axes of the space."""
    return _of_role(dataset, "hyperparameter")


def measured(dataset: xr.Dataset) -> list[str]:
    """Name the variables that a configuration can be ranked by."""
    return _of_role(dataset, "measured")


def is_prequential(dataset: xr.Dataset) -> bool:
    """Return whether every batch was tested before it was trained on."""
    return dataset.attrs.get("evaluate") == "prequential"


def over_evaluations(dataset: xr.Dataset) -> list[str]:
    """Name the variables that are one number at each evaluation: measured, or a diagnostic."""
    names = measured(dataset) + _of_role(dataset, "diagnostic")
    return [name for name in names if set(dataset[name].dims) == set(EVALUATIONS)]


def score_of(dataset: xr.Dataset) -> Score:
    """Return what ranks the configurations."""
    return Score(*(dataset.attrs[field.name] for field in dataclasses.fields(Score)))


def _of_role(dataset: xr.Dataset, role: str) -> list[str]:
    return [str(name) for name, x in dataset.variables.items() if x.attrs.get("role") == role]


def array_of(dataset: xr.Dataset, name: str, *dimensions: str) -> np.ndarray:
    """Return a variable's array over its dimensions in this order.

    The variable alone is read: a `DataArray` would transpose its coordinates, too.
    """
    return dataset.variables[name].transpose(*dimensions).values


def status_of(dataset: xr.Dataset) -> np.ndarray:
    """Return the statuses, int array (configs, seeds, folds) of `Status`."""
    names = {s.name.lower(): s for s in Status}
    text = array_of(dataset, "status", *TRIAL)
    return np.vectorize(names.__getitem__, otypes=[int])(text)


def trial_values(dataset: xr.Dataset, score: Score, variable: str) -> np.ndarray:
    """Return `variable` at the evaluation that counts, (configs, seeds, folds); NaN without one.

    Where the score is not finite, it is NaN, and other variables are those of the last evaluation.
    """
    values = array_of(dataset, variable, *EVALUATIONS)
    is_score = variable == score.metric
    evaluations = (counted_evaluations if is_score else reported_evaluations)(dataset, score)
    return at_evaluations(values, evaluations)


def reported_evaluations(dataset: xr.Dataset, score: Score) -> np.ndarray:
    """Return the evaluation that counts, the last without a score, -1 for none or a divergence."""
    counted = counted_evaluations(dataset, score)
    last = np.where(status_of(dataset) == Status.DIVERGED, -1, _last_evaluations(dataset))
    return np.where(counted >= 0, counted, last)


def counted_evaluations(dataset: xr.Dataset, score: Score | None = None) -> np.ndarray:
    """Return the evaluation that counts, int array (configs, seeds, folds); -1 without a score."""
    score = score_of(dataset) if score is None else score
    metric = array_of(dataset, score.metric, *EVALUATIONS)
    return score.evaluations(metric, status_of(dataset), _last_evaluations(dataset))


def _last_evaluations(dataset: xr.Dataset) -> np.ndarray:
    taken = array_of(dataset, "steps_taken", *TRIAL)
    return last_evaluation(by_fold(dataset, "step")[:, None], taken)


def by_fold(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Return `step` or `epoch`, array (configs, folds, evaluations), or one for folds if alike."""
    if "fold" in dataset[name].dims:
        return array_of(dataset, name, "config", "fold", "evaluation")
    return array_of(dataset, name, "config", "evaluation")[:, None]


def in_largest_fold(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Return `step` or `epoch` in the fold with the most examples, array (configs, evaluations).

    Other folds are evaluated at the same epochs, or after as many updates.
    """
    values = by_fold(dataset, name)
    largest = int(dataset["training_examples"].values.argmax())
    return values[:, largest if values.shape[1] > 1 else 0]


def last_evaluation(step: np.ndarray, steps_taken: np.ndarray) -> np.ndarray:
    """Return the last evaluation of each trial, int array like `steps_taken`, -1 for none.

    `step`, int array that broadcasts to (…, evaluations), has the updates made at each, -1 past the
    last.
    """
    return ((step >= 0) & (step <= steps_taken[..., None])).sum(axis=-1) - 1


def flat_trials(values: np.ndarray) -> np.ndarray:
    """Reshape (configs, seeds, folds) to (configs, trials)."""
    return values.reshape(values.shape[0], -1)


def ranking(dataset: xr.Dataset, score: Score) -> np.ndarray:
    """Rank the configurations, best first: their numbers, int array (configs,)."""
    scores = trial_values(dataset, score, score.metric)
    status = status_of(dataset)
    taken = array_of(dataset, "steps_taken", *TRIAL)
    return score.order(*map(flat_trials, (scores, status, taken)))
