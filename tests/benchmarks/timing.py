"""What the benchmarks share: turns, fresh processes, and lanes as they run in a sweep."""

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from unittest import mock

import jax
import numpy as np

import jefficient as jf
from jefficient.sweep import _run


def by_turns(measures: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Medians of measures that take turns, so that a busy machine slows them alike."""
    samples = [{name: measure() for name, measure in measures.items()} for _ in range(repeats)]
    return {name: statistics.median(sample[name] for sample in samples) for name in measures}


def machine() -> str:
    """Where and how busy."""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return f"{jax.devices()[0].device_kind} x {jax.local_device_count()}, jax {jax.__version__}, load average {load}"


def seconds(function: Callable, *arguments) -> float:
    """For a call, its arrays awaited."""
    begun = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - begun


def fresh(script: str, *arguments: str) -> dict:
    """Run a script of this folder in a process of its own: what it prints last, read as JSON, and its wall time."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    wall = time.perf_counter() - begun
    return {"wall": wall, **json.loads(done.stdout.splitlines()[-1])}


@contextlib.contextmanager
def planned(blocks: int | None = None, width: int | None = None):
    """Sweeps with so many blocks a device, so wide; the engine's own choice where None."""
    with contextlib.ExitStack() as stack:
        if blocks is not None:
            stack.enter_context(mock.patch.object(_run, "workers", return_value=blocks))
        if width is not None:
            stack.enter_context(mock.patch.object(_run, "width_for", return_value=width))
        yield


def rates(trials: int) -> np.ndarray:
    """So many different learning rates, none of which diverges."""
    return np.geomspace(1e-4, 1e-3, trials).astype(np.float32)


class Lanes:
    """A sweep over rates that looks at nothing but the training loss, at its default looks."""

    def __init__(self, workload, trials: int, steps: int, eval_every: int | None = None):
        self.workload, self.trials, self.steps, self.eval_every = workload, trials, steps, eval_every

    def run(self) -> list[tuple[float, int]]:
        """Sweep; when how many lane-steps were done, first of all after compiling and the first segment."""
        times = []

        def report(progress):
            if progress.steps_done:
                times.append((time.perf_counter(), progress.steps_done))

        task, optimizer, batch_size = self.workload
        jf.sweep(
            task,
            optimizer,
            jf.grid(learning_rate=rates(self.trials)),
            steps=self.steps,
            batch_size=batch_size,
            metric="train_loss",
            eval_every=self.eval_every,
            keep=None,
            progress=report,
        )
        return times

    def microseconds(self) -> float:
        """For one trial's update, compiling apart."""
        (begun, before), *_, (ended, after) = self.run()
        return 1e6 * (ended - begun) / (after - before)


def epochs(workload, count: float) -> int:
    """Updates in so many epochs."""
    return math.ceil(count * workload.task.size / workload.batch_size)
