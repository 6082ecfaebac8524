"""The table of all configurations."""

import numpy as np
import pandas as pd
import xarray as xr

from ._dataset import (
    flat_trials,
    hyperparameters,
    measured,
    ranking,
    reported_evaluations,
    score_of,
    status_of,
    trial_values,
)
from ._score import Status, nan_std, over_scored_trials
from ._statistics import standard_errors
from ._values import column


def table(dataset: xr.Dataset) -> pd.DataFrame:
    """See `Result.table`."""
    score = score_of(dataset)
    metric = score.metric

    def trials(name: str) -> np.ndarray:
        return flat_trials(trial_values(dataset, score, name))

    frame = pd.DataFrame({name: column(dataset, name) for name in hyperparameters(dataset)})
    frame.index.name = "config"
    is_evaluated = flat_trials(reported_evaluations(dataset, score)) >= 0

    def mean(name: str) -> np.ndarray:
        """Average over the trials that were evaluated and did not diverge; NaN if one has none."""
        values = trials(name)
        is_missing = (is_evaluated & ~np.isfinite(values)).any(axis=1)
        return np.where(is_missing, np.nan, over_scored_trials(values))

    frame[metric] = mean(metric)
    frame[f"{metric}_std"] = np.where(np.isnan(frame[metric]), np.nan, nan_std(trials(metric)))
    frame[f"{metric}_se"] = standard_errors(dataset)
    for name in measured(dataset):
        if name != metric:
            frame[name] = mean(name)

    status = flat_trials(status_of(dataset))
    frame["trials"] = status.shape[1]
    frame["stopped"] = (status == Status.STOPPED).sum(axis=1)
    frame["diverged"] = (status == Status.DIVERGED).sum(axis=1)
    return frame.iloc[ranking(dataset, score)]
