"""A result as a study of Optuna, its trials told as `jf.optuna` tells them."""

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from ._dataset import TRIAL, array_of, counted_evaluations, in_largest_fold, score_of, status_of
from ._importance import parameters, params_of
from ._score import Status, at_evaluations, over_trials

if TYPE_CHECKING:
    import optuna
    from optuna.trial import TrialState

MOST_SEEN = 20
"""Intermediate values of a trial at most."""

FAILED = "failed"
"""Attribute of a trial: why its configuration has no score. Trials that were lost lack it."""


class Outcome(NamedTuple):
    """What a trial is told.

    Attributes:
        state: None if the configuration was interrupted.
        value: its score, if it has one.
        failed: why it has no score.
        seen: (step, value) of its evaluations, thinned.
    """

    state: "TrialState | None"
    value: float | None
    failed: str | None
    seen: list[tuple[int, float]]


def to_study(
    where: str,
    dataset: xr.Dataset,
    storage: "str | optuna.storages.BaseStorage | None",
    study_name: str | None,
) -> "optuna.Study":
    """Make a study with a trial for each configuration, numbered alike; see `Result.to_study`."""
    try:
        import optuna
    except ImportError:
        raise JefficientError(
            f"{where}: Optuna must be installed: pip install 'jefficient[optuna]'."
        ) from None

    score = score_of(dataset)
    study = optuna.create_study(
        storage=storage,
        study_name=study_name,
        direction="minimize" if score.mode == "min" else "maximize",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([score.metric])
    given = parameters(dataset)
    for config, outcome in enumerate(outcomes(dataset)):
        failed = "interrupted" if outcome.state is None else outcome.failed
        trial = optuna.trial.create_trial(
            state=outcome.state or optuna.trial.TrialState.FAIL,
            value=outcome.value,
            **params_of(given, config),
            intermediate_values=dict(outcome.seen),
            user_attrs={"config": config} | ({} if failed is None else {FAILED: failed}),
        )
        study.add_trial(trial)
    return study


def outcomes(dataset: xr.Dataset) -> list[Outcome]:
    """Return what the trial of each configuration is told: means over seeds and folds."""
    values = array_of(dataset, dataset.attrs["metric"], *TRIAL, "evaluation").astype(float)
    # NaN if any trial of the configuration has no score
    score = over_trials(at_evaluations(values, counted_evaluations(dataset)), axis=(1, 2))
    curve = over_trials(values, axis=(1, 2))
    step = in_largest_fold(dataset, "step")
    diverged_at = array_of(dataset, "diverged_at", *TRIAL)
    return [
        _outcome(status, float(score[c]), diverged_at[c], _thinned(step[c], curve[c]))
        for c, status in enumerate(status_of(dataset))
    ]


def _thinned(step: np.ndarray, curve: np.ndarray) -> list[tuple[int, float]]:
    """Take evaluations evenly, the last one included: a database takes milliseconds for each."""
    seen = np.flatnonzero(np.isfinite(curve))
    every = -(-len(seen) // MOST_SEEN) or 1
    return [(int(step[i]), float(curve[i])) for i in seen[::-every][::-1]]


def _outcome(
    status: np.ndarray, score: float, diverged_at: np.ndarray, seen: list[tuple[int, float]]
) -> Outcome:
    from optuna.trial import TrialState

    if (status == Status.DIVERGED).any():
        step = int(diverged_at[diverged_at >= 0].min())
        return Outcome(TrialState.FAIL, None, f"diverged at update {step}", seen)
    if (status == Status.STOPPED).any():
        return Outcome(TrialState.PRUNED, None, None, seen)
    if (status != Status.FINISHED).any():
        return Outcome(None, None, None, seen)
    if not np.isfinite(score):
        return Outcome(TrialState.FAIL, None, "its score is not finite", seen)
    return Outcome(TrialState.COMPLETE, score, None, seen)
