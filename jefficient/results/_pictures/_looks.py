"""Learning curves as arrays: their means, and where they end."""

import numpy as np
import xarray as xr

from .._dataset import TRIAL
from .._score import Status
from ._reading import has


def mean_curves(dataset: xr.Dataset, variable: str) -> np.ndarray:
    return dataset[variable].transpose(*TRIAL, "look").values.astype(float).mean(axis=(1, 2))


def last_seen(y: np.ndarray) -> np.ndarray:
    """The last look at which a curve has a value; of one that has none, any."""
    return y.shape[1] - 1 - np.isfinite(y)[:, ::-1].argmax(axis=1)


def cut_short(x: np.ndarray, y: np.ndarray, diverged: np.ndarray, background: np.ndarray) -> np.ndarray:
    is_short = (last_seen(y) < last_seen(x)) & np.isfinite(y).any(axis=1) & ~diverged
    return background[is_short[background]]


def curve_ends(dataset: xr.Dataset, x: np.ndarray, y: np.ndarray, along: str) -> np.ndarray:
    configs = np.flatnonzero(has(dataset, Status.DIVERGED))
    seen = np.isfinite(y[configs]).any(axis=1, keepdims=True)
    last = last_seen(y[configs])
    at = dataset["diverged_at"].transpose(*TRIAL).values[configs].astype(float)
    first = np.where(at >= 0, at, np.inf).min(axis=(1, 2))
    step = dataset["step"].transpose("config", "look").values[configs, 0]
    place = first * (1.0 if along == "step" else x[configs, 0] / step)
    curve_end = np.stack([x[configs, last], y[configs, last]], axis=1)
    return np.where(seen, curve_end, np.stack([place, np.full(len(configs), np.nan)], axis=1))
