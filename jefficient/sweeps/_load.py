"""Results from files, and from the directories of sweeps."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core.errors import ArgumentError

if TYPE_CHECKING:
    import xarray as xr

    from ..results import Result

WHERE = "jf.load"


def load(
    path: str | os.PathLike,
    *,
    task: Any = None,
    optimizer: Any = None,
    space: Any = None,
    folds: Any = None,
) -> "Result":
    """A result from a file that `Result.save` wrote, or as it stands from the directory of a sweep.

    From a directory, finished or of a sweep that is running, come the numbers of the last snapshot:
    trials that are not over are `running`, or `interrupted` where no process holds it. Of a sweep
    in parts (``jf.sweep(executor=…)``) those that have begun are put together, one after another.
    Its weights come back by running the same ``jf.sweep(…, directory=…)`` again. Nothing in a file
    is executed or unpickled.

    Args:
        path: the file or directory.
        task: to train again (`Result.replay`, `Result.refit`), or where weights are in classes of
            your own: what `jf.sweep` was given, with `optimizer`, `space` and, where they were no
            number, `folds`.
        optimizer: see `task`.
        space: see `task`.
        folds: see `task`.

    Returns:
        A `Result`. Hyperparameters are as tables show them; with the task they are those of the
        space.

    Raises:
        JefficientError: where there is nothing, or something else, or it is damaged.
        ArgumentError: where the task's data or the space are not those of the sweep, a task is
            given with a directory, or what goes with a task without one.

    Examples:
        >>> import tempfile
        >>> import jefficient as jf
        >>> import jax, numpy as np
        >>> task = jf.Task(
        ...     init=lambda key: jax.numpy.zeros(()),
        ...     loss=lambda w, batch: ((w - batch) ** 2).mean(),
        ...     data=np.ones(20, np.float32),
        ...     validation=0.5,
        ... )
        >>> result = jf.sweep(task, jf.sgd, jf.grid(learning_rate=[0.1, 0.2]), steps=20, progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded = jf.load(result.save(f"{folder}/sweep.nc"))
        >>> loaded.best().config == result.best().config
        True
    """
    from ..results import Result, concatenated, read
    from ._executor import folders_in

    path = Path(path)
    given = {
        name: x
        for name, x in (("optimizer", optimizer), ("space", space), ("folds", folds))
        if x is not None
    }
    if given and task is None:
        raise ArgumentError(
            f"{WHERE}: optimizer, space and folds go with a task, got {list(given)} without one."
        )
    if path.is_dir():
        if task is not None:
            raise ArgumentError(
                f"{WHERE}: a task goes with a file, got the directory {path}. Run jf.sweep(…, directory=…) again."
            )
        parts = folders_in(path)
        if not parts:
            return _from_directory(path)
        return Result(concatenated(_begun(parts)))
    if task is None:
        stored = read(WHERE, path)
        return Result(stored.dataset, weights=stored.weights(WHERE), test=stored.test)
    return _with_task(path, task, optimizer, space, folds)


def _begun(parts: list[Path]) -> list["xr.Dataset"]:
    """The datasets of those that have written something; what the last one says where none has."""
    from .checkpoint import EmptyError

    datasets, empty = [], None
    for part in parts:
        try:
            datasets.append(_from_directory(part).dataset)
        except EmptyError as error:
            empty = error
    if empty is not None and not datasets:
        raise empty
    return datasets


def _from_directory(path: Path) -> "Result":
    from ..results import Curves, Result, Status, to_dataset
    from .checkpoint import Directory, labels_from

    (body, arrays), is_running = Directory.peek(WHERE, path)
    record = {
        name.removeprefix("record/"): x for name, x in arrays.items() if name.startswith("record/")
    }
    status = record["status"].copy()
    if not is_running:
        status[status == Status.RUNNING] = Status.INTERRUPTED
    curves = Curves(
        measured={name: record[f"evaluations/{name}"] for name in body["measured"]},
        diagnostics={name: record[f"evaluations/{name}"] for name in body["diagnostics"]},
        seconds=record["evaluations/seconds"],
        status=status,
        steps_taken=record["steps_taken"],
        diverged_at=record["diverged_at"],
        step=arrays["step"],
        steps_per_epoch=arrays["steps_per_epoch"],
        block_width=record["width"],
    )
    return Result(to_dataset(labels_from(arrays), curves, body["attributes"]))


def _with_task(path: Path, task: Any, optimizer: Any, space: Any, folds: Any) -> "Result":
    """The result with what it trains with: prepared from the recorded call, and checked against the recorded data."""
    import jax
    import jax.numpy as jnp

    from ..results import Result, read
    from ._retrain import Trained
    from .checkpoint import programs_of
    from .planning import Settings, prepare

    stored = read(WHERE, path)
    attributes = stored.dataset.attrs
    call = json.loads(attributes["call"])
    if isinstance(call, list):
        raise ArgumentError(
            f"{WHERE}: a task goes with the result of one sweep, got {len(call)} that were joined."
        )
    key = call.pop("key")
    call["key"] = jax.random.wrap_key_data(jnp.array(key["data"], jnp.uint32), impl=key["impl"])
    call["folds"] = _folds(call["folds"], folds)
    divergence_threshold = attributes["diverged_above"]
    settings = Settings(
        **call | {name: attributes[name] for name in ("metric", "mode", "select")} | {"stop": None},
        diverged_above=None
        if divergence_threshold == float("inf")
        else float(divergence_threshold),
    )
    spec = prepare(task, optimizer, space, settings)
    if list(spec.space.hashes) != stored.dataset["hash"].values.tolist():
        raise ArgumentError(f"{WHERE}: space must be that of the sweep, got {spec.space!r}.")
    if spec.data_digest != attributes["data"]:
        raise ArgumentError(
            f"{WHERE}: the task's data (and folds) must be those of the sweep, got others."
        )
    versions = json.loads(attributes["versions"])
    if all(versions[name] == version(name) for name in ("jax", "optax")):
        there, here = json.loads(attributes["programs"]), programs_of(spec)
        others = [key for key in here if there.get(key) != here[key]]
        if others:
            raise ArgumentError(
                f"{WHERE}: the functions of task and optimizer must be those of the sweep, got others for {others[0]}."
            )
    weights = stored.weights(WHERE, spec.weights_like)
    return Result(stored.dataset, dict(spec.space.columns), weights, stored.test, Trained(spec))


def _folds(recorded: Any, given: Any) -> Any:
    if given is None and not isinstance(recorded, int | None):
        raise ArgumentError(
            f"{WHERE}: folds must be given as to jf.sweep, got None where the sweep had {recorded}."
        )
    return recorded if given is None else given
