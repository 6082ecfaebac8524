"""A sweep in parts, each an ordinary sweep in a process of its own, handed to any executor.

What a part is given and what it returns are bytes, made by cloudpickle: functions of a notebook or
a script get there.
"""

import dataclasses
import re
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .._core.typing import Tree
from ..results import Result, Status, concatenated, ranking, status_of
from ._local import run_locally
from ._retrain import Trained
from ._test_set import tested
from .checkpoint import attributes
from .planning import Plan, RunOptions, Settings, SweepSpec, prepare
from .scheduler import Progress
from .tasks import WHERE, Task

DEFAULT = 8
"""Parts, where the caller names no number."""

TRIES = 3
"""Times a part is handed out before it is given up: its machine may be lost with it twice."""


_OF_JAX = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_threefry_partitionable",
)


class Done(NamedTuple):
    """What a part returns: its dataset and the weights that it kept; or the error that its code raised."""

    dataset: xr.Dataset | None
    weights: dict[tuple[int, int, int], Tree]
    error: Exception | None = None


def cut(spec: SweepSpec, parts: int) -> list[np.ndarray]:
    """Which configurations each part has, int arrays: programs are kept together as far as equal parts allow."""
    order = np.concatenate([group.configs for group in spec.groups])
    return [np.sort(x) for x in np.array_split(order, min(parts, len(order)))]


def run_in_parts(
    given: tuple[Any, Any],
    spec: SweepSpec,
    settings: Settings,
    options: RunOptions,
    plan: Plan,
    report: Callable,
) -> Result:
    """Hand the parts out, hand out again those that are lost, and put them together; see `jf.sweep`."""
    executor = _checked(options.executor)
    parts = cut(spec, options.parts or DEFAULT)
    task, optimizer = given
    if isinstance(task, Task):  # the test rows are evaluated once, when all parts are there
        task = dataclasses.replace(task, test=None)
    if settings.layers:  # those of all parts, in one order
        settings = dataclasses.replace(settings, layers=tuple(spec.problem.layers))
    common = _packed(
        (task, optimizer, _portable(settings), plan, options.snapshot_every, _jax_settings())
    )
    folders = _folders(options.directory, len(parts))
    calls = [
        (common, _packed((spec.space.subset(configs), folder)))
        for configs, folder in zip(parts, folders, strict=True)
    ]
    begun, done, counted = time.monotonic(), dict[int, Done](), list[_Counted]()
    for index, part in _gathered(executor, calls):
        done[index] = part
        counted.append(_Counted.of(part.dataset))
        report(_progress(spec, counted, time.monotonic() - begun))
    return _together(
        spec, plan, parts, [done[i] for i in range(len(parts))], time.monotonic() - begun
    )


def run_part(common: bytes, own: bytes) -> bytes:
    """In a worker: one part, as an ordinary sweep.

    What its code raises is returned, so that it is not tried again.
    """
    cloudpickle = _cloudpickle()
    try:
        task, optimizer, settings, plan, snapshot_every, of_jax = cloudpickle.loads(common)
        for name, x in of_jax.items():
            jax.config.update(name, x)
        space, folder = cloudpickle.loads(own)
        here = jax.local_devices()
        plan = dataclasses.replace(plan, device=here[0].device_kind, devices=len(here))
        options = RunOptions(plan, folder, snapshot_every, progress=False)
        result = run_locally(prepare(task, optimizer, space, _from_portable(settings)), options)
        return _packed(Done(result.dataset, dict(result.weights)))
    except Exception as error:
        return _packed(Done(None, {}, _portable_error(error)))


def _portable_error(error: Exception) -> Exception:
    """The error itself where it survives being packed, otherwise one that says the same."""
    try:
        _cloudpickle().loads(_packed(error))
    except Exception:
        return JefficientError(
            f"{WHERE}: a part must not fail, got {type(error).__name__}: {error}"
        )
    return error


def _gathered(executor: Executor, calls: list[tuple[bytes, bytes]]) -> Any:
    """(index, what it returned) of each part, as they come in."""
    cloudpickle, tries = _cloudpickle(), dict.fromkeys(range(len(calls)), 0)

    def submit(index: int) -> Future:
        tries[index] += 1
        try:
            return executor.submit(run_part, *calls[index])
        except (BrokenExecutor, RuntimeError) as error:
            raise JefficientError(
                f"{WHERE}: executor must take work, got {executor!r}, which is broken: {error}. With directory=… the "
                f"same call goes on where each part was."
            ) from error

    waiting = {submit(i): i for i in range(len(calls))}
    try:
        while waiting:
            ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                index = waiting.pop(future)
                lost = future.exception()
                if lost is None:
                    part: Done = cloudpickle.loads(future.result())
                    if part.error is not None:
                        raise part.error
                    yield index, part
                elif tries[index] < TRIES:
                    waiting[submit(index)] = index
                else:
                    raise JefficientError(
                        f"{WHERE}: part {index} of {len(calls)} was lost {TRIES} times, last by {lost!r}."
                    ) from lost
    finally:
        for future in waiting:
            future.cancel()


def _together(
    spec: SweepSpec, plan: Plan, parts: list[np.ndarray], done: list[Done], seconds: float
) -> Result:
    """One result, its configurations in the order of the space, the weights those of the best of all."""
    datasets = [part.dataset for part in done if part.dataset is not None]
    about = attributes(spec, plan, seconds=seconds, utilization=_utilization(datasets)) | {
        "parts": len(parts)
    }
    dataset = concatenated(datasets, np.argsort(np.concatenate(parts))).assign_attrs(about)
    kept = set(ranking(dataset, spec.score)[: spec.settings.keep_configs].tolist())
    weights = {
        (int(configs[c]), seed, fold): tree
        for configs, part in zip(parts, done, strict=True)
        for (c, seed, fold), tree in part.weights.items()
        if int(configs[c]) in kept
    }
    result = Result(dataset, dict(spec.space.columns), weights, programs=Trained(spec))
    return dataclasses.replace(result, test=tested(spec, result))


class _Counted(NamedTuple):
    """What progress is made of, of one part: counted once, when it comes in."""

    configs: int
    trials: int
    steps_made: int
    steps_whole: int  # if nothing had been stopped or had diverged
    diverged: int
    stopped: int
    utilization: float
    best: float | None

    @classmethod
    def of(cls, dataset: xr.Dataset) -> "_Counted":
        status, sizes = status_of(dataset), dataset.sizes
        return cls(
            configs=sizes["config"],
            trials=status.size,
            steps_made=int(dataset["steps_taken"].sum()),
            steps_whole=int(dataset["step"].max("evaluation").sum())
            * sizes["seed"]
            * sizes["fold"],
            diverged=int((status == Status.DIVERGED).sum()),
            stopped=int((status == Status.STOPPED).sum()),
            utilization=float(dataset.attrs["utilization"]),
            best=_best(dataset),
        )


def _progress(spec: SweepSpec, done: list[_Counted], seconds: float) -> Progress:
    made, over = (sum(getattr(x, name) for x in done) for name in ("steps_made", "steps_whole"))
    whole = sum(int(group.steps.sum()) * group.seeds * group.folds for group in spec.groups)
    return Progress(
        trials_done=sum(x.trials for x in done),
        trials=sum(group.trials for group in spec.groups),
        steps_done=made,
        steps=made + whole - over,
        seconds=seconds,
        diverged=sum(x.diverged for x in done),
        stopped=sum(x.stopped for x in done),
        utilization=float(
            np.average([x.utilization for x in done], weights=[x.configs for x in done])
        ),
        metric=spec.score.metric,
        best=min(
            (x.best for x in done if x.best is not None),
            key=lambda x: spec.score.sign * x,
            default=None,
        ),
    )


def _best(dataset: xr.Dataset) -> float | None:
    try:
        return Result(dataset).best().score
    except JefficientError:
        return None


def _utilization(datasets: list[xr.Dataset]) -> float:
    return float(
        np.average(
            [x.attrs["utilization"] for x in datasets],
            weights=[x.sizes["config"] for x in datasets],
        )
    )


def _folders(directory: Any, parts: int) -> list[Path | None]:
    """A directory for each part, within the sweep's."""
    if directory is None:
        return [None] * parts
    if (Path(directory) / "lock").exists():
        raise ArgumentError(
            f"{WHERE}: directory must be of a sweep in parts, got {directory}, of one without an executor. Name "
            f"another directory, or leave executor out."
        )
    names = [f"part-{i:04d}-of-{parts:04d}" for i in range(parts)]
    others = [x.name for x in folders_in(Path(directory))]
    if not set(others) <= set(names):
        raise ArgumentError(
            f"{WHERE}: parts must be as when the directory was begun, got parts={parts} and {others[0]} in it."
        )
    return [Path(directory) / name for name in names]


def check_whole(directory: Any) -> None:
    """A sweep without an executor does not go into the directory of one in parts."""
    if found := folders_in(Path(directory)):
        raise ArgumentError(
            f"{WHERE}: directory must be of a sweep without an executor, got {directory}, which has {found[0].name}. "
            f"Give the executor and parts again, or name another directory."
        )


def folders_in(directory: Path) -> list[Path]:
    """The folders of parts that have begun."""
    return sorted(
        x
        for x in directory.glob("part-*")
        if x.is_dir() and re.fullmatch(r"part-\d+-of-\d+", x.name)
    )


def _jax_settings() -> dict[str, Any]:
    """Settings of jax that change numbers: workers take them over."""
    return {name: getattr(jax.config, name) for name in _OF_JAX}


def _portable(settings: Settings) -> dict[str, Any]:
    """Settings without a typed key, which cannot be pickled."""
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    key = str(jax.random.key_impl(settings.key)), np.asarray(jax.random.key_data(settings.key))
    return {**fields, "key": key}


def _from_portable(fields: dict[str, Any]) -> Settings:
    impl, data = fields["key"]
    return Settings(**{**fields, "key": jax.random.wrap_key_data(jnp.asarray(data), impl=impl)})


def _packed(content: Any) -> bytes:
    return _cloudpickle().dumps(content)


def _cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError:
        raise JefficientError(
            f"{WHERE}: cloudpickle must be installed for executor=…: pip install 'jefficient[executors]'."
        ) from None
    return cloudpickle


def _checked(executor: Any) -> Executor:
    if not isinstance(executor, Executor):
        raise ArgumentTypeError(
            f"{WHERE}: executor must be a concurrent.futures.Executor, got {executor!r}. Dask's client has "
            f"client.get_executor()."
        )
    return executor
