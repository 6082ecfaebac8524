"""Two sweeps of one task as one."""

import dataclasses
import json
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._core.errors import ArgumentError, JefficientError, JefficientWarning
from ._dataset import hyperparameters, measured

if TYPE_CHECKING:
    from ._result import Programs, Replay, Result

WHERE = "jf.Result + jf.Result"

_SAME = ("metric", "mode", "select", "diverged_above", "data", "optimizer")
"""Attributes that decide what the numbers mean."""

_ROWS = ("training_examples", "validation_examples")
_SAME_CALL = ("steps", "epochs", "batch_size", "key")


def joined(first: "Result", second: "Result") -> "Result":
    """The configurations of both; see `Result.__add__`."""
    one, two = first.dataset, second.dataset
    _check_alike(one, two)
    known = set(one["hash"].values.tolist())
    is_new = np.array([x not in known for x in two["hash"].values])
    if not is_new.all():
        warnings.warn(
            f"{WHERE}: {(~is_new).sum()} of {len(is_new)} configurations of the second are in the first already: its "
            f"own are kept.",
            JefficientWarning,
            stacklevel=3,
        )
    places = {int(old): one.sizes["config"] + new for new, old in enumerate(np.flatnonzero(is_new))}
    dataset = concatenated([one, two.isel(config=is_new)]).assign_attrs(_attributes(one, two))
    weights = {
        **first.weights,
        **{(places[c], s, f): w for (c, s, f), w in second.weights.items() if c in places},
    }
    space = {
        name: (*x, *(second.space[name][i] for i in places)) for name, x in first.space.items()
    }
    programs = None
    if first.programs is not None or second.programs is not None:
        back = {new: old for old, new in places.items()}
        programs = _Both((first.programs, one), (second.programs, two), back)
    return dataclasses.replace(
        first, dataset=dataset, space=space, weights=weights, test=None, programs=programs
    )


def concatenated(parts: Sequence[xr.Dataset], order: np.ndarray | None = None) -> xr.Dataset:
    """The configurations of all parts, one after another or in another order, numbered anew.

    A number of each configuration that only some parts have, such as `optuna_trial`, is -1 in the
    others.
    """
    evaluations = max(part.sizes["evaluation"] for part in parts)
    own = {
        name: x.attrs for part in parts for name, x in part.coords.items() if x.dims == ("config",)
    }
    padded = [_numbered(_padded(part, evaluations), own) for part in _labelled_alike(parts)]
    dataset = xr.concat(
        padded, "config", data_vars="minimal", coords="minimal", compat="override", join="outer"
    )
    if order is not None:
        dataset = dataset.isel(config=order)
    return dataset.assign_coords(config=np.arange(dataset.sizes["config"]))


def _labelled_alike(parts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """A hyperparameter that has numbers in one part and texts in another has texts in all, as in one space."""
    mixed = [
        name
        for name in hyperparameters(parts[0])
        if len({np.issubdtype(x[name].dtype, np.number) for x in parts}) > 1
    ]

    def texts(x: xr.DataArray) -> tuple:
        return x.dims, np.array([str(value) for value in x.values.tolist()], object), x.attrs

    return [part.assign_coords({name: texts(part[name]) for name in mixed}) for part in parts]


@dataclasses.dataclass(frozen=True)
class _Both:
    """What trains a configuration: the programs and the dataset of the sweep that it comes from."""

    first: tuple["Programs | None", xr.Dataset]
    second: tuple["Programs | None", xr.Dataset]
    back: dict[int, int]

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> "Replay":
        """See `Result.replay`."""
        del dataset
        programs, own, place = self._of(config)
        return _renumbered(programs.replay(own, place, seed, fold), config)

    def refit(self, dataset: xr.Dataset, config: int, seed: int) -> "Replay":
        """See `Result.refit`."""
        del dataset
        programs, own, place = self._of(config)
        return _renumbered(programs.refit(own, place, seed), config)

    def _of(self, config: int) -> tuple["Programs", xr.Dataset, int]:
        (programs, own), place = (
            (self.second, self.back[config]) if config in self.back else (self.first, config)
        )
        if programs is None:
            raise JefficientError(
                f"{WHERE}: the task must be at hand, got configuration {config} of a result without one."
            )
        return programs, own, place


def _renumbered(again: "Replay", config: int) -> "Replay":
    return again._replace(dataset=again.dataset.assign_coords(config=[config]))


def _check_alike(one: xr.Dataset, two: xr.Dataset) -> None:
    calls = [json.loads(x.attrs.get("call", "{}")) for x in (one, two)]
    calls = [x[0] if isinstance(x, list) else x for x in calls]
    pairs: dict[str, tuple[Any, Any]] = {
        "hyperparameters": (sorted(hyperparameters(one)), sorted(hyperparameters(two))),
        "what is measured": (sorted(measured(one)), sorted(measured(two))),
        **{f"{name}s": (one.sizes[name], two.sizes[name]) for name in ("seed", "fold")},
        **{
            name: (one[name].values.tolist(), two[name].values.tolist())
            for name in ("training_examples", "validation_examples")
        },
        **{name: (one.attrs.get(name), two.attrs.get(name)) for name in _SAME},
        **{name: (calls[0].get(name), calls[1].get(name)) for name in _SAME_CALL},
    }
    programs = [json.loads(x.attrs.get("programs", "{}")) for x in (one, two)]
    if one.attrs.get("versions") == two.attrs.get("versions"):  # otherwise they cannot be compared
        for key in set(programs[0]) & set(programs[1]):
            pairs[f"for {key} programs"] = programs[0][key][:8], programs[1][key][:8]
    for name, (here, there) in pairs.items():
        if here != there:
            raise ArgumentError(
                f"{WHERE}: both must be sweeps of one task, got {name} {here} and {there}."
            )


def _padded(part: xr.Dataset, evaluations: int) -> xr.Dataset:
    """With so many evaluations: none is made after a configuration's last."""
    return part.reindex(evaluation=np.arange(evaluations), fill_value={"step": -1})


def _numbered(part: xr.Dataset, names: Mapping[Hashable, Mapping[str, Any]]) -> xr.Dataset:
    missing = {name: attrs for name, attrs in names.items() if name not in part.coords}
    return part.assign_coords(
        {name: ("config", np.full(part.sizes["config"], -1), x) for name, x in missing.items()}
    )


def _attributes(one: xr.Dataset, two: xr.Dataset) -> dict[str, Any]:
    """Those of both; where they differ, JSON lists of JSON, and texts one after another."""
    attributes: dict[str, Any] = {name: x for name, x in two.attrs.items() if name not in one.attrs}
    for name, x in one.attrs.items():
        y = two.attrs.get(name, x)
        if x == y:
            attributes[name] = x
        elif name == "programs":
            attributes[name] = json.dumps({**json.loads(x), **json.loads(y)})
        elif name == "parts":
            attributes[name] = x + y
        elif name in ("call", "plan", "versions"):
            both = [json.loads(text) for text in (x, y)]
            attributes[name] = json.dumps(
                [part for z in both for part in (z if isinstance(z, list) else [z])]
            )
        else:
            attributes[name] = f"{x} + {y}"
    seconds = [float(x.attrs.get("seconds", 0.0)) for x in (one, two)]
    utilization = [float(x.attrs.get("utilization", 1.0)) for x in (one, two)]
    attributes["seconds"], attributes["utilization"] = (
        sum(seconds),
        float(np.average(utilization, weights=np.maximum(seconds, 1e-9))),
    )
    attributes["ended"] = max(x.attrs.get("ended", "") for x in (one, two))
    return attributes
