"""Does a sweep take the memory that `jf.plan` predicts?

    python tests/benchmarks/memory.py

Sweeps of wide MLPs, each in a process of its own at several widths of blocks: what the plan says
that a device needs, against how far the process grew while it trained.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf
from jefficient._core.devices import Machine
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._plan import plan_of
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.planning._timing import tried

CASES = [(2048, 1), (2048, 4), (1024, 16), (4096, 1), (4096, 2)]
"""Units of each of two hidden layers, lanes in a block."""


def task(hidden):
    def init(key):
        first, second = jax.random.split(key)
        scale = hidden**-0.5
        return {
            "w1": scale * jax.random.normal(first, (64, hidden)),
            "w2": scale * jax.random.normal(second, (hidden, hidden)),
            "w3": jnp.zeros((hidden,)),
        }

    def loss(params, batch):
        h = jnp.tanh(jnp.tanh(batch["x"] @ params["w1"]) @ params["w2"])
        return ((h @ params["w3"] - batch["y"]) ** 2).mean()

    x = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
    return jf.Task(init, loss, {"x": x, "y": x[:, 0]})


def resident():
    """Return how many bytes of this process are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def grown(hidden, width):
    """Return (predicted, measured) bytes of one sweep."""
    settings = {
        "steps": 12,
        "eval_every": 3,
        "batch_size": 32,
        "metric": "train_loss",
        "keep": None,
    }
    arguments = task(hidden), jf.adam, jf.grid(learning_rate=np.geomspace(1e-4, 1e-2, 4 * width))
    warm_up = task(8), jf.adam, jf.grid(learning_rate=[0.1])
    jf.sweep(*warm_up, **settings, progress=False)  # the compiler itself takes memory
    spec = prepare(*arguments, Settings(**settings))
    plan = plan_of(spec, Machine.here())
    plan = dataclasses.replace(plan, programs=(dataclasses.replace(plan.programs[0], width=width),))
    before, peak, is_over = resident(), 0, threading.Event()

    def sample():
        nonlocal peak
        while not is_over.wait(0.005):
            peak = max(peak, resident())

    sampler = threading.Thread(target=sample)

    def begin(progress):
        if progress.steps_done and sampler.ident is None:
            sampler.start()

    jf.sweep(*arguments, **settings, plan=plan, progress=begin)
    is_over.set()
    return tried(spec, plan, Machine.here()).bytes, peak - before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--one", nargs=2, type=int, help="hidden units and width of one sweep, in this process"
    )
    one = parser.parse_args().one
    if one:
        print(json.dumps(grown(*one)))
        sys.exit()
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, MiB a device")
    for hidden, width in CASES:
        command = [sys.executable, __file__, "--one", str(hidden), str(width)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        predicted, measured = (x / 2**20 for x in json.loads(done.stdout.splitlines()[-1]))
        print(
            f"64-{hidden}-{hidden}-1, width {width:>2}: {predicted:8,.0f} predicted, "
            f"{measured:8,.0f} measured",
            flush=True,
        )
        time.sleep(0.5)
