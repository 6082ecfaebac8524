"""What the benchmarks share: turns, fresh processes, and lanes as they run in a sweep."""

import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

import jefficient as jf
from jefficient._core.devices import Machine
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._plan import plan_of
from jefficient.sweeps.planning._settings import Settings


class Cost(NamedTuple):
    """Microseconds for one trial's update: wall time, and CPU time of all cores together.

    A busy machine lengthens CPU time less. Other processes are not counted.
    """

    wall: float
    cpu: float

    @classmethod
    def of(cls, function: Callable, updates: int) -> "Cost":
        """Measure a call that makes so many updates, waiting for its arrays."""
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(function())
        return cls(
            1e6 * (time.perf_counter() - wall) / updates,
            1e6 * (time.process_time() - cpu) / updates,
        )


def by_turns(measures: dict[str, Callable[[], Cost]], repeats: int) -> dict[str, Cost]:
    """Return medians of measures that take turns, so that a busy machine slows them alike."""
    samples = [{name: measure() for name, measure in measures.items()} for _ in range(repeats)]
    return {name: median([sample[name] for sample in samples]) for name in measures}


def median(costs: list[Cost]) -> Cost:
    """Return the medians of wall and CPU times."""
    return Cost(*(statistics.median(x) for x in zip(*costs, strict=True)))


def machine() -> str:
    """Describe the machine and its load."""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    devices = f"{jax.devices()[0].device_kind} x {jax.local_device_count()}"
    return f"{devices}, jax {jax.__version__}, load average {load}"


def fresh(script: str, *arguments: str) -> dict:
    """Run a script in a fresh process; return its wall time and its last line, read as JSON."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, script, *arguments], check=True, capture_output=True, text=True
    )
    wall = time.perf_counter() - begun
    return {"wall": wall, **json.loads(done.stdout.splitlines()[-1])}


def rates(trials: int) -> np.ndarray:
    """Return different learning rates, none of which diverges."""
    return np.geomspace(1e-4, 1e-3, trials).astype(np.float32)


class Lanes:
    """A sweep over rates with the training loss alone.

    By the engine's own plan, or with so many blocks on each device, or so wide.
    """

    def __init__(
        self, workload, trials: int, steps: int, blocks: int | None = None, width: int | None = None
    ):
        task, optimizer, batch_size = workload
        self.given = task, optimizer, jf.grid(learning_rate=rates(trials))
        self.settings = {
            "steps": steps,
            "batch_size": batch_size,
            "metric": "train_loss",
            "keep": None,
        }
        spec = prepare(*self.given, Settings(**self.settings))
        self.plan = plan_of(spec, Machine.here())
        if blocks is not None:
            self.plan = dataclasses.replace(self.plan, blocks=blocks)
        if width is not None:
            self.plan = self.plan.with_widths([width])

    def run(self) -> list[tuple[float, float, int]]:
        """Sweep; return wall time, CPU time and lane-steps after each segment.

        The first are taken after compiling.
        """
        times = []

        def report(progress):
            if progress.steps_done:
                times.append((time.perf_counter(), time.process_time(), progress.steps_done))

        jf.sweep(*self.given, **self.settings, plan=self.plan, progress=report)
        return times

    def cost(self) -> Cost:
        """Return the cost in the steady state."""
        (wall, cpu, before), *_, (wall_end, cpu_end, after) = self.run()
        return Cost(*(1e6 * x / (after - before) for x in (wall_end - wall, cpu_end - cpu)))


def epochs(workload, count: float) -> int:
    """Return the number of updates in so many epochs."""
    return math.ceil(count * workload.task.size / workload.batch_size)
