"""The parts of a sweep as they come in: its progress, and in the end its result."""

import json
import time
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..._core.arithmetic import difference
from ..._core.errors import JefficientError
from ..._core.warn import warn
from ...results import (
    NO_CHECKPOINTS,
    Log,
    Result,
    Status,
    by_fold,
    concatenated,
    curves_of,
    ranking,
    status_of,
)
from .._debugging import Debugger
from .._finish import finish
from ..checkpoint import attributes
from ..planning import Plan, SweepSpec
from ..scheduler import Progress
from ..tasks import WHERE
from ._part import PartResult


class Whole:
    """A sweep whose parts come in: what is known of it, and in the end its result."""

    def __init__(
        self,
        spec: SweepSpec,
        plan: Plan,
        configs: list[np.ndarray],
        debugger: Debugger,
        log: Log,
    ):
        self.results: dict[int, PartResult] = {}
        self._tallies: list[_Tally] = []
        self._spec = spec
        self._plan = plan
        self._configs = configs
        self._debugger = debugger
        self._log = log
        self._begun = time.monotonic()

    def take(self, index: int, part: PartResult) -> None:
        """Take the result of a part."""
        dataset, configs = part.dataset, self._configs[index]
        assert dataset is not None
        _check_diverged(self._debugger, self._spec, configs, dataset)
        self._log.of(lambda: dataset, configs)(curves_of(dataset))
        self.results[index] = part
        self._tallies.append(_Tally.of(dataset))

    def progress(self) -> Progress:
        """Count what the parts so far have made."""
        return _progress(self._spec, self._tallies, self._seconds)

    def result(self) -> Result:
        """Put the parts together."""
        in_order = [self.results[i] for i in range(len(self._configs))]
        return _put_together(self._spec, self._plan, self._configs, in_order, self._seconds)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun


def _check_diverged(
    debugger: Debugger, spec: SweepSpec, configs: np.ndarray, dataset: xr.Dataset
) -> None:
    """Train again what has diverged in a part, where JAX's debugging tools are on here."""
    own = status_of(dataset)
    status = np.full((len(spec.space), *own.shape[1:]), Status.RUNNING, int)
    diverged_at = np.zeros_like(status)
    status[configs] = own
    diverged_at[configs] = dataset["diverged_at"].transpose("config", "seed", "fold").values
    debugger.check(status, diverged_at)


def _put_together(
    spec: SweepSpec,
    plan: Plan,
    configs: list[np.ndarray],
    parts: list[PartResult],
    seconds: float,
) -> Result:
    """Make one result, its configurations in the order of the space."""
    datasets = [part.dataset for part in parts if part.dataset is not None]
    each = [x.attrs["utilization"] for x in datasets]
    utilization = float(np.average(each, weights=[x.sizes["config"] for x in datasets]))
    about = attributes(spec, plan, seconds, utilization) | {"parts": len(configs)}
    kinds = {x.attrs["arithmetic"] for x in datasets}
    if len(kinds) > 1:
        one, two, *_ = map(json.loads, kinds)
        warn(
            f"{WHERE}: the parts ran on machines whose numbers differ in the last bits: "
            f"{difference(one, two)}."
        )
    order = np.argsort(np.concatenate(configs))
    dataset = concatenated(datasets, order).assign_attrs(about)

    best = set(ranking(dataset, spec.score)[: spec.settings.keep_configs].tolist())
    held = NO_CHECKPOINTS
    for own, part in zip(configs, parts, strict=True):
        held |= part.held.of({i: int(c) for i, c in enumerate(own) if int(c) in best})
    return finish(spec, dataset, held)


class _Tally(NamedTuple):
    """What progress is made of, counted once when a part comes in."""

    configs: int
    trials: int
    steps_made: int
    steps_whole: int  # if no trial had been stopped or had diverged
    diverged: int
    stopped: int
    utilization: float
    best: float | None

    @classmethod
    def of(cls, dataset: xr.Dataset) -> "_Tally":
        """Count the trials and updates of a part."""
        status = status_of(dataset)
        sizes = dataset.sizes
        steps = by_fold(dataset, "step").max(axis=-1)
        whole = np.broadcast_to(steps, (sizes["config"], sizes["fold"])).sum()
        before = int(dataset["started_at"].sum())
        return cls(
            configs=sizes["config"],
            trials=int((status != Status.INTERRUPTED).sum()),
            steps_made=int(dataset["steps_taken"].sum()) - before,
            steps_whole=int(whole) * sizes["seed"] - before,
            diverged=int((status == Status.DIVERGED).sum()),
            stopped=int((status == Status.STOPPED).sum()),
            utilization=float(dataset.attrs["utilization"]),
            best=_best_score(dataset),
        )


def _progress(spec: SweepSpec, parts: list[_Tally], seconds: float) -> Progress:
    made = sum(part.steps_made for part in parts)
    over = sum(part.steps_whole for part in parts)
    whole = sum(group.lane_steps for group in spec.groups)
    weights = [part.configs for part in parts]
    scores = [part.best for part in parts if part.best is not None]
    return Progress(
        trials_done=sum(part.trials for part in parts),
        trials=sum(group.trials for group in spec.groups),
        steps_done=made,
        steps=made + whole - over,
        seconds=seconds,
        rate=made / seconds if seconds > 0 else 0.0,
        diverged=sum(part.diverged for part in parts),
        stopped=sum(part.stopped for part in parts),
        utilization=float(np.average([part.utilization for part in parts], weights=weights)),
        metric=spec.score.metric,
        best=min(scores, key=lambda score: spec.score.sign * score, default=None),
    )


def _best_score(dataset: xr.Dataset) -> float | None:
    try:
        return Result(dataset).best().score
    except JefficientError:
        return None
