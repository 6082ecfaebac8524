"""What one big trial costs: a transformer of ten million parameters, two trials, on this machine.

    python tests/benchmarks/big.py [--steps 16]

Each side in a process of its own: `jf.sweep`, a loop over a jitted and donated optax step, one
trial after the other, and the same loop in two threads, a trial in each. All make the same updates
and evaluate twice. Printed are wall and CPU seconds an update, compilation left out (a run of half
the updates is taken off), and the largest memory of the process beyond what it had before.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import machine
from workloads import transformer

import jefficient as jf

RATES = (1e-3, 3e-4)
BATCH = 8
VALIDATION = 64
SIDES = ("sweep", "loop", "threads")


def task_of():
    whole = transformer(model=256, layers=12).task
    training, validation = whole.data[VALIDATION:], whole.data[:VALIDATION]
    return jf.Task(whole.init, whole.loss, training[:2048], validation=validation)


def swept(task, steps):
    jf.sweep(
        task,
        jf.adam,
        jf.grid(learning_rate=RATES),
        steps=steps,
        eval_every=steps // 2,
        batch_size=BATCH,
        eval_batch_size=BATCH,
        keep="last",
        progress=False,
    )


class Loop:
    """A jitted step whose learning rate is an argument; parameters and state are donated."""

    def __init__(self, task):
        self.task = task
        self.init = jax.jit(task.init)
        self.step = jax.jit(self._step, donate_argnums=(0, 1))
        self.evaluate = jax.jit(task.loss)

    def _step(self, params, state, batch, rate):
        loss, gradient = jax.value_and_grad(self.task.loss)(params, batch)
        updates, state = optax.scale_by_adam().update(gradient, state)
        return optax.apply_updates(params, jax.tree.map(lambda u: -rate * u, updates)), state, loss

    def train(self, rate, steps):
        params = self.init(jax.random.key(0))
        state = optax.scale_by_adam().init(params)
        rng, losses = np.random.default_rng(0), []
        order = np.concatenate([rng.permutation(len(self.task.data)) for _ in range(2)])
        for i in range(steps):
            batch = jnp.asarray(self.task.data[order[i * BATCH : (i + 1) * BATCH]])
            params, state, loss = self.step(params, state, batch, rate)
            losses.append(loss)
            if (i + 1) % (steps // 2) == 0:
                validation = self.task.validation
                parts = [
                    self.evaluate(params, validation[j : j + BATCH])
                    for j in range(0, VALIDATION, BATCH)
                ]
                losses.append(np.mean(parts))
        return jax.block_until_ready(params)


def measured(side, steps):
    """Seconds of wall and CPU an update, and bytes, of one side in this process."""
    task = task_of()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loop = Loop(task)

    def run(steps):
        wall, cpu = time.perf_counter(), time.process_time()
        if side == "sweep":
            swept(task, steps)
        elif side == "loop":
            for rate in RATES:
                loop.train(rate, steps)
        else:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda rate: loop.train(rate, steps), RATES))
        return np.array([time.perf_counter() - wall, time.process_time() - cpu])

    run(2)  # compiles
    few, many = run(steps // 2), run(steps)
    each = (many - few) / (len(RATES) * (steps - steps // 2))
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return [*each.tolist(), grown]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=SIDES)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measured(args.side, args.steps)))
        return
    print(machine())
    found = {side: [] for side in SIDES}
    for _ in range(args.repeats):
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--steps", str(args.steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    for side, runs in found.items():
        wall, cpu, grown = np.median(runs, axis=0)
        print(f"{side:8s} {wall:7.3f} s, {cpu:7.3f} CPU s an update, {grown / 2**20:7.0f} MiB")


if __name__ == "__main__":
    main()
