"""Learning curves as arrays: their means, and where they end."""

import numpy as np
import xarray as xr

from .._dataset import EVALUATIONS, TRIAL, array_of, by_fold, in_largest_fold
from .._score import Status, over_trials
from ._reading import has


def places(dataset: xr.Dataset) -> tuple[str, np.ndarray, np.ndarray]:
    """Locate the evaluations along x.

    Returns:
        "step", or "epoch" where configurations differ in their steps per epoch, or folds in their
        steps; its value at each evaluation in the largest fold, float array (configs,
        evaluations), NaN past a configuration's last; and how much of it an update is in each
        fold, float array (configs, folds), or one for folds if alike.
    """
    step, epoch = (by_fold(dataset, name).astype(float) for name in ("step", "epoch"))
    epochs = np.where(np.isfinite(epoch), epoch, 0.0).max(axis=-1)
    per_update = epochs / np.maximum(step.max(axis=-1), 1)

    here = in_largest_fold(dataset, "step")
    if "fold" not in dataset["step"].dims and np.allclose(per_update, per_update[0]):
        return "step", np.where(here >= 0, here, np.nan), np.ones((len(step), 1))
    return "epoch", np.where(here >= 0, in_largest_fold(dataset, "epoch"), np.nan), per_update


def mean_curves(dataset: xr.Dataset, variable: str) -> np.ndarray:
    """Average over seeds and folds: (configs, evaluations), NaN where a trial has no value."""
    values = array_of(dataset, variable, *EVALUATIONS).astype(float)
    return over_trials(values, axis=(1, 2))


def last_seen(y: np.ndarray) -> np.ndarray:
    """Return the last evaluation at which a curve has a value; any if it has none."""
    return y.shape[1] - 1 - np.isfinite(y)[:, ::-1].argmax(axis=1)


def ended_early(
    x: np.ndarray, y: np.ndarray, is_cut: np.ndarray, background: np.ndarray
) -> np.ndarray:
    """Select those of the background that did not finish and whose curves end early.

    A curve of what finished may end early, too: where a metric is NaN at the end.
    """
    is_short = (last_seen(y) < last_seen(x)) & np.isfinite(y).any(axis=1) & is_cut
    return background[is_short[background]]


def curve_ends(
    dataset: xr.Dataset, x: np.ndarray, y: np.ndarray, per_update: np.ndarray
) -> np.ndarray:
    """Locate where the curves of diverged configurations end, float array (diverged, 2).

    A configuration that diverged before its first evaluation has x there, and y NaN.
    """
    configs = np.flatnonzero(has(dataset, Status.DIVERGED))
    last = last_seen(y[configs])
    at = array_of(dataset, "diverged_at", *TRIAL)[configs].astype(float)
    at = at * per_update[configs][:, None]
    first = np.where(at >= 0, at, np.inf).min(axis=(1, 2))
    is_seen = np.isfinite(y[configs]).any(axis=1)
    return np.stack([np.where(is_seen, x[configs, last], first), y[configs, last]], axis=1)
