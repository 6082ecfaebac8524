"""A trial that is trained again: what comes of it, and what it takes."""

import os
from pathlib import Path
from typing import NamedTuple, Protocol

import xarray as xr

from .._core.typing import Params
from ._dataset import hyperparameters
from ._safetensors import save_safetensors
from ._sensitivity import Derivatives
from ._values import arrays


class Replay(NamedTuple):
    """One trial, trained again.

    Attributes:
        dataset: its curves, as in the sweep's dataset, every dimension of size 1.
        params: its weights, None where it was stopped before its first evaluation.
    """

    dataset: xr.Dataset
    params: Params

    def save_params(self, path: str | os.PathLike) -> Path:
        """Write the parameters as safetensors; see `Result.save_params`."""
        texts = hyperparameter_texts(self.dataset, 0)
        where = "jf.Replay.save_params"
        return save_safetensors(where, Path(path), self.params, self.dataset, texts)


class Length(NamedTuple):
    """How long to train instead of as long as the sweep did: updates or epochs, or neither."""

    steps: int | None = None
    epochs: float | None = None


class Trainer(Protocol):
    """What can train: the task, the optimizer and the settings of a sweep."""

    @property
    def static(self) -> frozenset[str]:
        """Names of the hyperparameters that are compiled into programs."""
        ...

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """See `Result.replay`."""
        ...

    def refit(self, dataset: xr.Dataset, config: int, seed: int, length: Length) -> Replay:
        """See `Result.refit`."""
        ...

    def derivatives(self, dataset: xr.Dataset, config: int) -> Derivatives:
        """See `Result.sensitivity`."""
        ...


def hyperparameter_texts(dataset: xr.Dataset, config: int) -> dict[str, str]:
    """Return the hyperparameters of a configuration as texts."""
    return {x: str(arrays(dataset, x)[[config]].tolist()[0]) for x in hyperparameters(dataset)}
