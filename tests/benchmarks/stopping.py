"""What successive halving saves in time and updates, with many more trials than lanes."""

import statistics
import time

import numpy as np
from timing import machine
from workloads import mlp

import jefficient as jf

TRIALS, EPOCHS = 256, 18


def steady(stop):
    """Run a sweep; return seconds and updates after its first segment, utilization and width."""
    workload = mlp(128)
    times = []

    def report(progress):
        if progress.steps_done:
            times.append((time.perf_counter(), progress.steps_done))

    rates = np.geomspace(1e-5, 3e-1, TRIALS).astype(np.float32)
    result = jf.sweep(
        jf.Task(workload.task.init, workload.task.loss, workload.task.data, validation=0.2),
        workload.optimizer,
        jf.grid(learning_rate=np.random.default_rng(0).permutation(rates)),
        epochs=EPOCHS,
        batch_size=workload.batch_size,
        stop=stop,
        keep=None,
        progress=report,
    )
    (begun, before), *_, (ended, after) = times
    return (
        ended - begun,
        after - before,
        result.dataset.attrs["utilization"],
        int(result.dataset["block_width"][0]),
    )


def report(names, repeats, is_quick):
    """Print one line."""
    runs = {"all": [], "stopped": []}
    for _ in range(min(repeats, 3)):
        runs["all"].append(steady(None))
        runs["stopped"].append(steady(jf.successive_halving(eta=3, min_epochs=2)))
    full, stopped = (
        [statistics.median(x) for x in zip(*runs[case], strict=True)] for case in ("all", "stopped")
    )
    time_share = stopped[0] / full[0]
    step_share = stopped[1] / full[1]
    print(
        f"{TRIALS} trials of {EPOCHS} epochs: {full[0]:.1f} s; stopped early {stopped[0]:.1f} s; "
        f"{step_share:.2f} of the updates in {time_share:.2f} of the time, "
        f"{time_share / step_share:.2f} x; utilization {full[2]:.2f} and {stopped[2]:.2f}; "
        f"{machine()}"
    )
