"""Results from files and directories."""

import dataclasses
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.arithmetic import JAX_SETTINGS, arithmetic, difference
from .._core.debugging import tools_off
from .._core.errors import ArgumentError
from .._core.files import decoding
from ..results import (
    Curves,
    Result,
    Status,
    by_fold,
    check_complete,
    concatenated,
    read,
    to_dataset,
)
from ._retrain import Retrainer
from .checkpoint import EmptyError, Snapshot, labels_from, peek, programs_of
from .parts import folders_in
from .planning import Settings, SweepSpec, prepare
from .scheduler import timetable
from .tasks import CrossValidation, Optimizer, Task, Trial

WHERE = "jf.load"


def load(
    path: str | os.PathLike,
    task: Task | Trial | None,
    optimizer: Optimizer | None,
    space: Any,
    folds: CrossValidation | None,
    start: object,
) -> Result:
    """Load a result; see `jf.load`."""
    path = Path(path)
    with_task = {"optimizer": optimizer, "space": space, "folds": folds, "start": start}
    given = [name for name, x in with_task.items() if x is not None]
    if given and task is None:
        raise ArgumentError(
            f"{WHERE}: optimizer, space, folds and start go with a task, got {given} without one."
        )
    if path.is_dir():
        if task is not None:
            raise ArgumentError(
                f"{WHERE}: a task goes with a file, got the directory {path}. Run "
                f"jf.sweep(…, directory=…) again."
            )
        return _from_directory(path)
    if task is not None:
        return _with_task(path, task, optimizer, space, folds, start)
    stored = read(WHERE, path)
    weights, states = stored.checkpoints(WHERE)
    return Result(stored.dataset, weights=weights, states=states, test=stored.test)


def _from_directory(path: Path) -> Result:
    folders = folders_in(path)
    if not folders:
        return Result(_last_snapshot(path))

    datasets = []
    empty = None
    for folder in folders:
        try:
            datasets.append(_last_snapshot(folder))
        except EmptyError as error:
            empty = error
    if empty is not None and not datasets:
        raise empty
    return Result(concatenated(datasets))


def _last_snapshot(path: Path) -> xr.Dataset:
    """Return the dataset of a directory's last snapshot."""
    snapshot, is_running = peek(WHERE, path)
    what = f"{WHERE}: path must be the directory of a sweep, got {path}, whose last snapshot"
    with decoding(what):
        dataset = _dataset_in(snapshot, is_running)
        check_complete(what, dataset)
    return dataset


def _dataset_in(snapshot: Snapshot, is_running: bool) -> xr.Dataset:
    """Return the dataset of a snapshot."""
    body, arrays = snapshot
    begin = "record/"
    record = {k.removeprefix(begin): x for k, x in arrays.items() if k.startswith(begin)}
    status = record["status"].copy()
    if not is_running:
        status[status == Status.RUNNING] = Status.INTERRUPTED
    curves = Curves(
        measured={name: record[f"evaluations/{name}"] for name in body["measured"]},
        diagnostics={name: record[f"evaluations/{name}"] for name in body["diagnostics"]},
        seconds=record["evaluations/seconds"],
        status=status,
        started_at=record["started_at"],
        steps_taken=record["steps_taken"],
        diverged_at=record["diverged_at"],
        step=arrays["step"],
        steps_per_epoch=arrays["steps_per_epoch"],
        block_width=record["block_width"],
    )
    return to_dataset(labels_from(arrays), curves, body["attributes"])


@tools_off()
def _with_task(
    path: Path,
    task: Task | Trial,
    optimizer: Optimizer | None,
    space: Any,
    folds: CrossValidation | None,
    start: object,
) -> Result:
    """Load a result that can train again, checked against the recorded data and programs."""
    stored = read(WHERE, path)
    recorded = stored.dataset.attrs
    with decoding(f"{WHERE}: path must be a file that result.save wrote, got {path}, whose call"):
        settings = _settings(recorded, folds)
        names = ("versions", "arithmetic", "programs")
        versions, of_jax, programs = (json.loads(recorded[name]) for name in names)
        data, began_from = recorded["data"], recorded["start"]
    if start is None and began_from:
        raise ArgumentError(
            f"{WHERE}: start must be given as to jf.sweep, got None where trials started from "
            f"states or weights."
        )
    spec = prepare(task, optimizer, space, dataclasses.replace(settings, start=start))
    if began_from != ("" if spec.starts is None else spec.starts.digest):
        raise ArgumentError(f"{WHERE}: start must be that of the sweep, got another.")
    if list(spec.space.hashes) != stored.dataset["hash"].values.tolist():
        raise ArgumentError(f"{WHERE}: space must be that of the sweep, got {spec.space!r}.")
    if spec.data_digest != data:
        raise ArgumentError(
            f"{WHERE}: the task's data (and folds) must be those of the sweep, got others."
        )
    step, _ = timetable(len(spec.space), spec.groups)
    if not np.array_equal(step, by_fold(stored.dataset, "step")):
        raise ArgumentError(
            f"{WHERE}: the updates of every fold must be those of the sweep, got others in {path}, "
            f"which an earlier version of jefficient wrote. Load it without task=…, or sweep again."
        )
    _check_programs(spec, versions, of_jax, programs)
    held = stored.checkpoints(WHERE, spec.weights_like, spec.state_like)
    return Result(stored.dataset, spec.columns, *held, test=stored.test, programs=Retrainer(spec))


def _settings(recorded: dict[str, Any], folds: CrossValidation | None) -> Settings:
    """Return the settings of the recorded call."""
    call = json.loads(recorded["call"])
    if isinstance(call, list):
        raise ArgumentError(
            f"{WHERE}: a task goes with the result of one sweep, got {len(call)} that were joined."
        )
    key = call.pop("key")
    data = jnp.array(key["data"], jnp.uint32)
    if folds is None and not isinstance(call["folds"], int | None):
        raise ArgumentError(
            f"{WHERE}: folds must be given as to jf.sweep, got None where the sweep had "
            f"{call['folds']}."
        )
    threshold = float(recorded["diverged_above"])
    call |= {name: recorded[name] for name in ("metric", "mode", "select")}
    call |= {
        "folds": call["folds"] if folds is None else folds,
        "stop": None,
        "diagnostics": tuple(call.get("diagnostics", ())),
        "diverged_above": None if threshold == float("inf") else threshold,
        "key": jax.random.wrap_key_data(data, impl=key["impl"]),
    }
    return Settings(**call)


def _check_programs(
    spec: SweepSpec, versions: dict[str, str], of_jax: dict[str, str], programs: dict[str, str]
) -> None:
    """Refuse other functions; programs of other versions cannot be compared."""
    if any(versions.get(name) != version(name) for name in ("jefficient", "jax", "optax")):
        return
    others = [key for key, digest in programs_of(spec).items() if programs.get(key) != digest]
    if others:
        there, here = (
            {name: x.get(name, "") for name in JAX_SETTINGS} for x in (of_jax, arithmetic())
        )
        settings = difference(there, here)
        raise ArgumentError(
            f"{WHERE}: the functions of task and optimizer must be those of the sweep, got others "
            f"for {others[0]}{f' ({settings})' if settings else ''}."
        )
