"""What a dataset must have to be that of a result: a file may lack it, or have something else."""

import json

import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from ._dataset import EVALUATIONS, EXAMPLES, TRIAL, hyperparameters, measured, status_of
from ._score import Score
from ._values import PLAIN, dimensions, is_array, values_of

_INTEGERS = "iu"
_TEXTS = "O"
_VARIABLES = {
    **{name: ((name,), _INTEGERS) for name in EVALUATIONS},
    **dict.fromkeys(EXAMPLES, (("fold",), _INTEGERS)),
    "hash": (("config",), _TEXTS),
    "block_width": (("config",), _INTEGERS),
    "step": (("config", "evaluation"), _INTEGERS),
    "epoch": (("config", "evaluation"), "f"),
    "seconds": (EVALUATIONS, "f"),
    "status": (TRIAL, _TEXTS),
    "started_at": (TRIAL, _INTEGERS),
    "steps_taken": (TRIAL, _INTEGERS),
    "diverged_at": (TRIAL, _INTEGERS),
}
"""Name to dimensions, and kinds of its dtype."""

_MAY_HAVE_FOLDS = ("step", "epoch")
_TEXT_ATTRIBUTES = ("metric", "mode", "select")
_JSON_ATTRIBUTES = ("call", "plan", "versions", "programs", "categories")
_NUMBER_ATTRIBUTES = ("seconds", "utilization", "diverged_above")


def check_complete(what: str, dataset: xr.Dataset) -> None:
    """Check that a dataset which was read is that of a result.

    Args:
        what: that holds it, which messages begin with.
        dataset: as from `to_dataset`.

    Raises:
        JefficientError: where something is missing.
        Exception: any other where something is not what it must be.
    """
    lacking = {
        "variables": [name for name in _VARIABLES if name not in dataset.variables],
        "attributes": [name for name in _TEXT_ATTRIBUTES if name not in dataset.attrs],
    }
    for kind, names in lacking.items():
        if names:
            raise JefficientError(
                f"{what} lacks the {kind} {names}: something else or an earlier version wrote it. "
                f"Read it with that version, or sweep again."
            )

    _check_variables(dataset)
    status_of(dataset)
    texts = [str(dataset.attrs[name]) for name in _TEXT_ATTRIBUTES]
    metric, mode, select = texts
    Score.checked(what, metric, mode, select, tuple(measured(dataset)))
    for name in hyperparameters(dataset):
        is_plain = all(type(x) in PLAIN for x in values_of(dataset, name))
        _require(is_plain or is_array(dataset, name), name)
    for name in _NUMBER_ATTRIBUTES:
        _require(np.ndim(float(dataset.attrs.get(name, 0.0))) == 0, name)
    for name in _JSON_ATTRIBUTES:
        content = json.loads(dataset.attrs.get(name, "{}"))
        each = content if isinstance(content, list) else [content]
        _require(all(isinstance(x, dict) for x in each), name)
    takes = json.loads(dataset.attrs.get("loss_takes", "{}"))
    _require(isinstance(takes, dict) and all(map(_is_texts, takes.values())), "loss_takes")


def _check_variables(dataset: xr.Dataset) -> None:
    _require(min(dataset.sizes.values()) > 0, "sizes")
    variables = dict(_VARIABLES)
    variables |= dict.fromkeys(measured(dataset), (EVALUATIONS, "f"))
    for name in hyperparameters(dataset):
        shape = dataset[name].shape[1:]
        variables[name] = dimensions(name, shape), "iuf" if shape else "iufO"
    for name, (dims, kinds) in variables.items():
        x: xr.DataArray = dataset[name]
        own = set(x.dims) - ({"fold"} if name in _MAY_HAVE_FOLDS else set())
        _require(own == set(dims) and x.dtype.kind in kinds, name)
        if x.dtype.kind == _TEXTS:
            _require(all(isinstance(text, str) for text in x.values.ravel().tolist()), name)


def _is_texts(x: object) -> bool:
    return isinstance(x, list) and all(isinstance(text, str) for text in x)


def _require(is_so: bool, name: str) -> None:
    if not is_so:
        raise ValueError(name)
