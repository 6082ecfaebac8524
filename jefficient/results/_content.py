"""What is joined of a result."""

from collections.abc import Mapping
from typing import NamedTuple

import xarray as xr

from ._replay import Trainer
from ._states import States, Weights


class Content(NamedTuple):
    """The fields of a result but `test`, which is of one best configuration."""

    dataset: xr.Dataset
    space: Mapping[str, tuple]
    weights: Weights
    states: States
    programs: Trainer | None
