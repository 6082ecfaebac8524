"""The end of every sweep, however it ran."""

import dataclasses

import xarray as xr

from ..results import Checkpoints, Result
from ._retrain import Retrainer
from ._test_set import tested
from .planning import SweepSpec


def finish(spec: SweepSpec, dataset: xr.Dataset, held: Checkpoints) -> Result:
    """Make the result of a sweep, its best configuration evaluated on the test set."""
    result = Result(dataset, spec.columns, *held, programs=Retrainer(spec))
    return dataclasses.replace(result, test=tested(spec, result))
