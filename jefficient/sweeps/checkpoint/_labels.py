"""A record as a labelled dataset: names along its axes, and what was asked for, where and when."""

import datetime
import functools
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxlib.version import __version__ as jaxlib_version

from ..._core.arithmetic import arithmetic
from ...results import Labels, to_dataset, value_table
from ..planning import Plan, SweepSpec, group_key
from ..scheduler import Record

_CALL = (
    "steps",
    "epochs",
    "batch_size",
    "seeds",
    "folds",
    "eval_every",
    "eval_batch_size",
    "stop",
    "keep",
    "keep_configs",
    "keep_states",
    "layers",
    "diagnostics",
)
"""Arguments of `jf.sweep` that a dataset records."""


def dataset_of(spec: SweepSpec, record: Record, attributes: dict[str, Any]) -> xr.Dataset:
    """Label the arrays of a record."""
    return to_dataset(labels(spec), record.curves, attributes)


def labels(spec: SweepSpec) -> Labels:
    """Return the names along the axes."""
    training, validation = spec.problem.sizes
    space = spec.space
    columns = {name: space.labels(name) for name in space.names}
    values = {name: value_table(columns[name], space.columns[name]) for name in space.names}
    return Labels(columns, space.hashes, training, validation, spec.problem.layers, values)


def labels_as_arrays(spec: SweepSpec) -> dict[str, np.ndarray]:
    """Return the labels as a snapshot holds them."""
    names = labels(spec)
    return {
        **{f"columns/{name}": np.array(column) for name, column in names.columns.items()},
        "configurations": np.array(names.hashes, "S"),  # a quarter of the size of NumPy's text
        "training_examples": np.array(names.training_examples),
        "validation_examples": np.array(names.validation_examples),
        "layers": np.array(names.layers, dtype=str),
        "values": np.array(json.dumps(names.values)),
    }


def labels_from(arrays: Mapping[str, np.ndarray]) -> Labels:
    """Return the labels that `labels_as_arrays` stored."""
    begin = "columns/"
    columns = {
        name.removeprefix(begin): tuple(x if x.ndim > 1 else x.tolist())
        for name, x in arrays.items()
        if name.startswith(begin)
    }
    others = (
        arrays[name].tolist() for name in ("training_examples", "validation_examples", "layers")
    )
    values = json.loads(str(arrays["values"])) if "values" in arrays else {}
    return Labels(columns, hashes_in(arrays), *others, values=values)


def hashes_in(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the hashes of the configurations in a snapshot."""
    return arrays["configurations"].astype(str).tolist()


def attributes(spec: SweepSpec, plan: Plan, seconds: float, utilization: float) -> dict[str, Any]:
    """Return what a dataset records beside its arrays: numbers and texts, some of them JSON."""
    score = spec.score
    settings = spec.settings
    call = {name: getattr(settings, name) for name in _CALL}
    key_data = jax.random.key_data(settings.key).tolist()
    call["key"] = {"impl": str(jax.random.key_impl(settings.key)), "data": key_data}
    now = datetime.datetime.now(datetime.UTC)
    about = dict(spec.problem.about_data)
    if settings.diagnostics:
        about["gradient_descent"] = spec.problem.gradient_descent(spec.space)
    return {
        "metric": score.metric,
        "mode": score.mode,
        "select": score.select,
        "diverged_above": settings.divergence_threshold,
        "seconds": seconds,
        "utilization": utilization,
        "data": spec.data_digest,
        "start": "" if spec.starts is None else spec.starts.digest,
        **about,
        "programs": json.dumps(programs_of(spec)),
        "device": jax.devices()[0].device_kind,
        "versions": json.dumps(_versions()),
        "arithmetic": json.dumps(arithmetic()),
        "plan": json.dumps(plan.to_json()),
        "call": json.dumps(call, default=_shown),
        "space": repr(spec.space),
        "optimizer": spec.problem.optimizer_name,
        "ended": now.isoformat(timespec="seconds"),
    }


def programs_of(spec: SweepSpec) -> dict[str, str]:
    """Return a digest of what each program does; only equal versions can be compared."""
    pairs = zip(spec.groups, spec.costs, strict=True)
    return {group_key(group): costs.digest for group, costs in pairs}


@functools.cache
def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("jefficient", "jax", "optax", "numpy")}
    return {**packages, "jaxlib": jaxlib_version, "python": platform.python_version()}


def _shown(x: object) -> str:
    """Return a text for what JSON cannot hold, without addresses."""
    text = repr(x)
    return type(x).__name__ if " at 0x" in text or len(text) > 200 else text
