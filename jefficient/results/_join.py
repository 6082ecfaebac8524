"""Two sweeps of one task as one."""

import dataclasses
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .._core.errors import ArgumentError, JefficientError
from .._core.warn import warn
from ._content import Content
from ._dataset import EXAMPLES, by_fold, hyperparameters, measured
from ._optimizers import with_optimizers
from ._replay import Length, Replay, Trainer
from ._sensitivity import Derivatives
from ._states import Checkpoints
from ._values import ATTRIBUTE, arrays, is_array, table_attributes, value_table, values_of

WHERE = "jf.Result + jf.Result"

_SCORE = ("metric", "mode", "select")
_SAME = (*_SCORE, "diverged_above", "data", "start")
"""Attributes that decide what the numbers mean."""

_SAME_CALL = ("steps", "epochs", "batch_size", "key")


def joined(first: Content, second: Content) -> Content:
    """Return the configurations of both; see `Result.__add__`."""
    first, second = with_optimizers(first, second)
    one, two = first.dataset, second.dataset
    _check_alike(one, two)

    known = set(one["hash"].values.tolist())
    is_new = np.array([x not in known for x in two["hash"].values])
    if not is_new.all():
        warn(
            f"{WHERE}: {(~is_new).sum()} of {len(is_new)} configurations of the second are in the "
            "first already, whose numbers are taken."
        )

    new_of = {int(old): one.sizes["config"] + i for i, old in enumerate(np.flatnonzero(is_new))}
    dataset = concatenated([one, two.isel(config=is_new)]).assign_attrs(_attributes(one, two))
    of_second = Checkpoints(second.weights, second.states).of(new_of)
    held = Checkpoints(first.weights, first.states) | of_second
    space = {
        name: (*values, *(second.space[name][old] for old in new_of))
        for name, values in first.space.items()
    }
    programs = None
    if first.programs is not None or second.programs is not None:
        programs = _Both(first, second, {new: old for old, new in new_of.items()})
    return Content(dataset, space, *held, programs)


def concatenated(datasets: Sequence[xr.Dataset], order: np.ndarray | None = None) -> xr.Dataset:
    """Put the configurations of all datasets one after another or in another order, numbered anew.

    A number of each configuration that only some datasets have, such as `optuna_trial`, is -1 in
    the others.
    """
    coordinates = {
        name: x.attrs
        for each in datasets
        for name, x in each.coords.items()
        if x.dims == ("config",)
    }
    # no evaluation is made after a configuration's last: step is -1 there
    every = np.arange(max(each.sizes["evaluation"] for each in datasets))
    padded = [
        _with_coordinates(each.reindex(evaluation=every, fill_value={"step": -1}), coordinates)
        for each in _labelled_alike(_with_folds(datasets))
    ]
    dataset = xr.concat(
        padded, "config", data_vars="minimal", coords="minimal", compat="override", join="outer"
    )
    dataset = _with_values(dataset, datasets)
    if order is not None:
        dataset = dataset.isel(config=order)
    return dataset.assign_coords(config=np.arange(dataset.sizes["config"]))


def _with_folds(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Give `step` and `epoch` the dimension `fold` in all datasets if they have it in one."""
    names = [x for x in ("step", "epoch") if any("fold" in each[x].dims for each in datasets)]

    def spread(each: xr.Dataset, name: str) -> tuple:
        values = by_fold(each, name)
        shape = (len(values), each.sizes["fold"], values.shape[-1])
        dims = ("config", "fold", "evaluation")
        return dims, np.broadcast_to(values, shape).copy(), each[name].attrs

    return [each.assign_coords({name: spread(each, name) for name in names}) for each in datasets]


def _labelled_alike(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Make a hyperparameter texts in all datasets if it is numbers in one and texts in another."""
    mixed = [
        name
        for name in hyperparameters(datasets[0])
        if len({np.issubdtype(x[name].dtype, np.number) for x in datasets}) > 1
    ]

    def texts(x: xr.DataArray) -> tuple:
        return x.dims, np.array([str(value) for value in x.values.tolist()], object), x.attrs

    return [each.assign_coords({name: texts(each[name]) for name in mixed}) for each in datasets]


def _with_values(dataset: xr.Dataset, datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Say which values the labels of the joined datasets stand for, as each of them does."""
    columns = {}
    for name in hyperparameters(dataset):
        column = dataset[name]
        values = [value for each in datasets for value in values_of(each, name)]
        others = {key: x for key, x in column.attrs.items() if key != ATTRIBUTE}
        labels = list(arrays(dataset, name)) if column.ndim > 1 else column.values.tolist()
        attributes = others | table_attributes(value_table(labels, values))
        columns[name] = (column.dims, column.values, attributes)
    return dataset.assign_coords(columns)


def _with_coordinates(
    dataset: xr.Dataset, coordinates: Mapping[Hashable, Mapping[str, Any]]
) -> xr.Dataset:
    """Add those of the coordinates along `config` that the dataset does not have, as -1."""
    missing = {name: attrs for name, attrs in coordinates.items() if name not in dataset.coords}
    return dataset.assign_coords(
        {name: ("config", np.full(dataset.sizes["config"], -1), x) for name, x in missing.items()}
    )


@dataclasses.dataclass(frozen=True)
class _Both:
    """A trainer that trains each configuration as in the sweep that it comes from.

    `second_of` has the configurations of the second: number in the joined result to number there.
    """

    first: Content
    second: Content
    second_of: Mapping[int, int]

    @property
    def static(self) -> frozenset[str]:
        """Names of the hyperparameters that are compiled into programs."""
        both = (self.first.programs, self.second.programs)
        return frozenset().union(*(each.static for each in both if each is not None))

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """See `Result.replay`."""
        del dataset
        trainer, own, place = self._of(config)
        return _renumbered(trainer.replay(own, place, seed, fold), config)

    def refit(self, dataset: xr.Dataset, config: int, seed: int, length: Length) -> Replay:
        """See `Result.refit`."""
        trainer, own, place = self._of(config)
        own = own.assign_attrs({name: dataset.attrs[name] for name in _SCORE})
        return _renumbered(trainer.refit(own, place, seed, length), config)

    def derivatives(self, dataset: xr.Dataset, config: int) -> Derivatives:
        """See `Result.sensitivity`."""
        trainer, own, place = self._of(config)
        own = own.assign_attrs({name: dataset.attrs[name] for name in _SCORE})
        return trainer.derivatives(own, place)

    def _of(self, config: int) -> tuple[Trainer, xr.Dataset, int]:
        """What trains a configuration, the dataset of its sweep, and its number there."""
        content = self.second if config in self.second_of else self.first
        if content.programs is None:
            raise JefficientError(
                f"{WHERE}: the task must be at hand, got configuration {config} of a result "
                "without one."
            )
        return content.programs, content.dataset, self.second_of.get(config, config)


def _renumbered(again: Replay, config: int) -> Replay:
    return again._replace(dataset=again.dataset.assign_coords(config=[config]))


def _check_alike(one: xr.Dataset, two: xr.Dataset) -> None:
    """Refuse sweeps whose numbers do not mean the same."""
    calls = [json.loads(x.attrs.get("call", "{}")) for x in (one, two)]
    calls = [x[0] if isinstance(x, list) else x for x in calls]
    pairs: dict[str, tuple[Any, Any]] = {
        "hyperparameters": (sorted(hyperparameters(one)), sorted(hyperparameters(two))),
        "arrays of the shapes": (_shapes(one), _shapes(two)),
        "what is measured": (sorted(measured(one)), sorted(measured(two))),
        **{f"{name}s": (one.sizes[name], two.sizes[name]) for name in ("seed", "fold")},
        **{name: (one[name].values.tolist(), two[name].values.tolist()) for name in EXAMPLES},
        **{name: (one.attrs.get(name), two.attrs.get(name)) for name in _SAME},
        **{name: (calls[0].get(name), calls[1].get(name)) for name in _SAME_CALL},
    }
    # Digests of programs can be compared between the same versions, settings and optimizers alone.
    comparable = ("versions", "arithmetic", "optimizer")
    is_same = all(one.attrs.get(name) == two.attrs.get(name) for name in comparable)
    if is_same:
        programs = [json.loads(x.attrs.get("programs", "{}")) for x in (one, two)]
        for key in set(programs[0]) & set(programs[1]):
            pairs[f"for {key} programs"] = programs[0][key][:8], programs[1][key][:8]

    for name, (here, there) in pairs.items():
        if here != there:
            raise ArgumentError(
                f"{WHERE}: both must be sweeps of one task, got {name} {here} and {there}."
            )


def _shapes(dataset: xr.Dataset) -> dict[str, tuple[int, ...]]:
    """Return the shapes of those hyperparameters that are arrays."""
    names = sorted(hyperparameters(dataset))
    return {name: dataset[name].shape[1:] for name in names if is_array(dataset, name)}


def _one_after_another(x: object, y: object) -> list[Any]:
    """Return a list of both, each of which may be one of a join already."""
    return [z for each in (x, y) for z in (each if isinstance(each, list) else [each])]


def _takes(x: dict[str, list[str]], y: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return what each loss takes in one of both sweeps."""
    return {loss: sorted({*x.get(loss, ()), *y.get(loss, ())}) for loss in {**x, **y}}


_JSON_OF_BOTH: dict[str, Callable[[Any, Any], Any]] = {
    "programs": lambda x, y: {**x, **y},
    "loss_takes": _takes,
    **dict.fromkeys(("call", "plan", "versions", "arithmetic"), _one_after_another),
}
"""How attributes that hold JSON are joined where they differ."""


def _attributes(one: xr.Dataset, two: xr.Dataset) -> dict[str, Any]:
    """Return those of both; where they differ, joined JSON, and texts one after another."""
    attributes: dict[str, Any] = {name: x for name, x in two.attrs.items() if name not in one.attrs}
    for name, x in one.attrs.items():
        y = two.attrs.get(name, x)
        if x == y:
            attributes[name] = x
        elif name in _JSON_OF_BOTH:
            attributes[name] = json.dumps(_JSON_OF_BOTH[name](json.loads(x), json.loads(y)))
        elif name == "parts":
            attributes[name] = x + y
        else:
            attributes[name] = f"{x} + {y}"

    seconds = [float(x.attrs.get("seconds", 0.0)) for x in (one, two)]
    utilization = [float(x.attrs.get("utilization", 1.0)) for x in (one, two)]
    attributes["seconds"] = sum(seconds)
    attributes["utilization"] = float(np.average(utilization, weights=np.maximum(seconds, 1e-9)))
    attributes["ended"] = max(x.attrs.get("ended", "") for x in (one, two))
    return attributes
