"""Derivatives of training: time and memory of forward and reverse mode, against training alone.

    python tests/benchmarks/gradients.py [--repeats 5]

Of each case: seconds of a sweep of the one point, and of `jf.hypergradient` in both modes, the
fastest of some calls, all of them compiled before; CPU seconds beside wall seconds, since other
programs on the machine disturb these less. Then the memory that a call takes beyond what the
process has, sampled every millisecond in a process of its own, against what
`jf.plan_hypergradient` predicts.
"""

import argparse
import contextlib
import ctypes
import functools
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf

POINT = {"learning_rate": 1e-3, "b1": 0.9, "weight_decay": 1e-2}
CASES = {  # hidden units, examples in a batch, updates, names to differentiate in
    "small, 1 number": (64, 32, 1000, ["learning_rate"]),
    "small, 3 numbers": (64, 32, 1000, list(POINT)),
    "medium, 3 numbers": (256, 128, 200, list(POINT)),
}
MEMORY = (512, 64, 144, list(POINT))


def task(hidden):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 20)).astype(np.float32)

    def init(key):
        a, b, c = jax.random.split(key, 3)
        return {
            "a": jax.random.normal(a, (20, hidden)) / 20**0.5,
            "b": jax.random.normal(b, (hidden, hidden)) / hidden**0.5,
            "c": jax.random.normal(c, (hidden,)) / hidden**0.5,
        }

    def loss(params, batch):
        x, y = batch
        h = jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"])
        return jnp.mean((h @ params["c"] - y) ** 2)

    return jf.Task(init=init, loss=loss, data=(x, np.sin(x.sum(1))), validation=0.2)


def optimizer(learning_rate, b1, weight_decay):
    return jf.adamw(learning_rate, b1=b1, weight_decay=weight_decay)


def fastest(call, repeats):
    """Wall and CPU seconds, each the smallest."""
    call()
    wall, cpu = [], []
    for _ in range(repeats):
        begun, busy = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - busy)
    return min(wall), min(cpu)


def times(name, repeats):
    hidden, batch_size, steps, wrt = CASES[name]
    the_task = task(hidden)
    space = jf.grid(**{key: [x] for key, x in POINT.items()})
    settings = {"steps": steps, "batch_size": batch_size}
    whole = {**settings, "eval_every": steps, "progress": False}
    wall, cpu = fastest(lambda: jf.sweep(the_task, optimizer, space, **whole), repeats)
    print(f"{name}: trial {wall:.3f} s ({cpu:.3f} s CPU)")

    def derivative(mode):
        return jf.hypergradient(the_task, optimizer, POINT, **settings, wrt=wrt, mode=mode)

    for mode in ("forward", "reverse"):
        own, busy = fastest(functools.partial(derivative, mode), repeats)
        print(f"  {mode}: {own / wall:.1f} × the trial ({busy / cpu:.1f} × its CPU seconds)")
    plan = jf.plan_hypergradient(the_task, optimizer, POINT, **settings, wrt=wrt)
    print("  predicted: " + str(plan).replace("\n", "\n  "), flush=True)


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(call):
    """Bytes beyond those before, at most."""
    gc.collect()
    with contextlib.suppress(OSError):  # what compiling has freed is still resident
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = resident()
    most = before
    is_over = threading.Event()

    def sample():
        nonlocal most
        while not is_over.wait(1e-3):
            most = max(most, resident())

    thread = threading.Thread(target=sample)
    thread.start()
    call()
    is_over.set()
    thread.join()
    return most - before


def memory(mode):
    hidden, batch_size, steps, wrt = MEMORY
    the_task = task(hidden)
    given = {"steps": steps, "batch_size": batch_size, "wrt": wrt}
    plan = jf.plan_hypergradient(the_task, optimizer, POINT, **given)

    def call():
        jf.hypergradient(the_task, optimizer, POINT, **given, mode=mode)

    call()
    measured = peak(call)
    predicted = getattr(plan, mode).bytes
    mib = 2**20
    print(
        f"{mode}: {measured / mib:.0f} MiB measured, {predicted / mib:.0f} MiB predicted "
        f"({predicted / measured - 1:+.0%})",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", choices=["forward", "reverse"])
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory)
        return
    for name in CASES:
        times(name, arguments.repeats)
    # What is freed goes back at once, so that what is resident is what is held.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    for mode in ("forward", "reverse"):
        subprocess.run([sys.executable, __file__, "--memory", mode], env=environment, check=True)


if __name__ == "__main__":
    main()
