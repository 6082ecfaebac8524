"""The end of every sweep, however it ran."""

import dataclasses
from collections.abc import Mapping

import xarray as xr

from .._core.typing import Tree
from ..results import Result
from ._retrain import Retrainer
from ._test_set import tested
from .planning import SweepSpec


def finish(
    spec: SweepSpec, dataset: xr.Dataset, weights: Mapping[tuple[int, int, int], Tree]
) -> Result:
    """Make the result of a sweep, its best configuration evaluated on the test set."""
    result = Result(dataset, dict(spec.space.columns), weights, programs=Retrainer(spec))
    return dataclasses.replace(result, test=tested(spec, result))
