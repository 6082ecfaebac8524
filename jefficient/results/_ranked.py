"""A finished result, ranked by another metric."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import xarray as xr

from .._core.warn import warn
from ._dataset import counted_evaluations, measured
from ._score import Score
from ._states import Weights

WHERE = "jf.Result.ranked_by"


class Ranked(NamedTuple):
    """The dataset with another score, and the weights that belong to it."""

    dataset: xr.Dataset
    weights: Weights


def ranked(
    dataset: xr.Dataset, weights: Weights, metric: str, mode: str | None, select: str | None
) -> Ranked:
    """Rank by another metric; see `Result.ranked_by`."""
    chosen = str(dataset.attrs["select"]) if select is None else select
    score = Score.checked(WHERE, metric, mode, chosen, tuple(measured(dataset)))
    again = dataset.assign_attrs(metric=score.metric, mode=score.mode, select=score.select)
    if "best" not in _kept(dataset.attrs):
        return Ranked(again, weights)

    # Weights are those of the evaluation that was best by the old metric.
    is_same = counted_evaluations(dataset) == counted_evaluations(again)
    kept: Mapping = {trial: tree for trial, tree in weights.items() if is_same[trial]}
    if len(kept) < len(weights):
        warn(
            f"{WHERE}: the weights of {len(weights) - len(kept)} trials are left out: they were "
            f"kept at the evaluation that was best by {dataset.attrs['metric']!r}, and "
            f"{metric!r} was best at another."
        )
    return Ranked(again, kept)


def _kept(attributes: Mapping[str, str]) -> set[str]:
    """Return which weights the sweeps kept: "best" or "last"."""
    call = json.loads(attributes.get("call", "{}"))
    return {str(x.get("keep")) for x in (call if isinstance(call, list) else [call])}
