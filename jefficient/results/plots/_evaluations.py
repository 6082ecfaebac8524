"""Learning curves as arrays: their means, and where they end."""

import numpy as np
import xarray as xr

from .._dataset import TRIAL
from .._score import Status
from ._reading import has


def places(dataset: xr.Dataset) -> tuple[str, np.ndarray, np.ndarray]:
    """Where the evaluations are.

    Returns:
        "step", or "epoch" where configurations differ in their steps per epoch; its value at each
        evaluation, float array (configs, evaluations), NaN past a configuration's last; and how
        much of it an update is, float array (configs,).
    """
    step, epoch = (
        dataset[name].transpose("config", "evaluation").values.astype(float)
        for name in ("step", "epoch")
    )
    per_update = np.where(np.isfinite(epoch), epoch, 0.0).max(axis=1) / np.maximum(
        step.max(axis=1), 1
    )
    if np.allclose(per_update, per_update[0]):
        return "step", np.where(step >= 0, step, np.nan), np.ones(len(step))
    return "epoch", np.where(step >= 0, epoch, np.nan), per_update


def mean_curves(dataset: xr.Dataset, variable: str) -> np.ndarray:
    return dataset[variable].transpose(*TRIAL, "evaluation").values.astype(float).mean(axis=(1, 2))


def last_seen(y: np.ndarray) -> np.ndarray:
    """The last evaluation of which a curve has a value; of one that has none, any."""
    return y.shape[1] - 1 - np.isfinite(y)[:, ::-1].argmax(axis=1)


def cut_short(
    x: np.ndarray, y: np.ndarray, diverged: np.ndarray, background: np.ndarray
) -> np.ndarray:
    is_short = (last_seen(y) < last_seen(x)) & np.isfinite(y).any(axis=1) & ~diverged
    return background[is_short[background]]


def curve_ends(
    dataset: xr.Dataset, x: np.ndarray, y: np.ndarray, per_update: np.ndarray
) -> np.ndarray:
    """Where the curves of diverged configurations end, (diverged, 2); NaN and where it diverged, of one without."""
    configs = np.flatnonzero(has(dataset, Status.DIVERGED))
    last = last_seen(y[configs])
    at = dataset["diverged_at"].transpose(*TRIAL).values[configs].astype(float)
    first = np.where(at >= 0, at, np.inf).min(axis=(1, 2)) * per_update[configs]
    is_seen = np.isfinite(y[configs]).any(axis=1)
    return np.stack([np.where(is_seen, x[configs, last], first), y[configs, last]], axis=1)
