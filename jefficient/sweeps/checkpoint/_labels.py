"""What a sweep hands to its readers: names of the axes, and what was asked for, where and when."""

import datetime
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxlib.version import __version__ as jaxlib_version

from ...results import Labels, to_dataset
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
    "layers",
)


def dataset_of(spec: SweepSpec, record: Record, attributes: dict[str, Any]) -> xr.Dataset:
    """The arrays of a record, labelled."""
    return to_dataset(labels(spec), record.curves(), attributes)


def labels(spec: SweepSpec) -> Labels:
    """Names along the axes."""
    training, validation = spec.problem.sizes
    return Labels(spec.space.shown, spec.space.hashes, training, validation, spec.problem.layers)


def labels_as_arrays(spec: SweepSpec) -> dict[str, np.ndarray]:
    """Labels as a snapshot keeps them."""
    names = labels(spec)
    return {
        **{f"columns/{name}": np.array(column) for name, column in names.columns.items()},
        "configurations": np.array(names.hashes, "S"),  # a quarter of what NumPy's texts take
        "training_rows": np.array(names.training_rows),
        "validation_rows": np.array(names.validation_rows),
        "layers": np.array(names.layers, dtype=str),
    }


def labels_from(arrays: Mapping[str, np.ndarray]) -> Labels:
    """What `labels_as_arrays` was given."""
    columns = {
        name.removeprefix("columns/"): tuple(x.tolist())
        for name, x in arrays.items()
        if name.startswith("columns/")
    }
    others = (arrays[name].tolist() for name in ("training_rows", "validation_rows", "layers"))
    return Labels(columns, hashes_in(arrays), *others)


def hashes_in(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The hashes of the configurations in a snapshot."""
    return arrays["configurations"].astype(str).tolist()


def attributes(spec: SweepSpec, plan: Plan, seconds: float, utilization: float) -> dict[str, Any]:
    """What a dataset keeps beside its arrays: numbers and texts, JSON where they have parts."""
    score, settings = spec.score, spec.settings
    call = {name: getattr(settings, name) for name in _CALL} | {
        "keep_configs": settings.keep_configs
    }
    key = {
        "impl": str(jax.random.key_impl(settings.key)),
        "data": jax.random.key_data(settings.key).tolist(),
    }
    return {
        "metric": score.metric,
        "mode": score.mode,
        "select": score.select,
        "diverged_above": settings.divergence_threshold,
        "seconds": seconds,
        "utilization": utilization,
        "data": spec.data_digest,
        "programs": json.dumps(programs_of(spec)),
        "device": jax.devices()[0].device_kind,
        "versions": json.dumps(_versions()),
        "plan": json.dumps(plan.to_json()),
        "call": json.dumps({**call, "key": key}, default=_shown),
        "space": repr(spec.space),
        "optimizer": spec.problem.optimizer_name,
        "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def programs_of(spec: SweepSpec) -> dict[str, str]:
    """A digest of what each program does; comparable between the same versions alone."""
    return {
        group_key(group): costs.digest for group, costs in zip(spec.groups, spec.costs, strict=True)
    }


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("jefficient", "jax", "optax", "numpy")}
    return {**packages, "jaxlib": jaxlib_version, "python": platform.python_version()}


def _shown(x: Any) -> str:
    """What JSON does not know, without addresses."""
    text = repr(x)
    return type(x).__name__ if " at 0x" in text or len(text) > 200 else text
