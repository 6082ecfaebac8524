"""Whole calls: a sweep's first and second call against a program that an expert writes by hand.

450 updates of Adam on batches of 64 digits. The expert's program runs on two CPU devices:
`shard_map`, on each `lax.map` over blocks of 8 trials under `vmap`, in each one `lax.scan`; all
trials share one order of examples, made in advance, and nothing is evaluated, stopped or kept.
Seconds of the call, imports and data left out, each in a process of its own; the second call has
other rates.

- sweep: `jf.sweep` as it comes, ranked by the training loss
- expert: the program above

The last row has trials of 10 updates. Then second calls of the first row take turns in one process:
what orders of examples that are each trial's own cost, and what evaluations do.
"""

import argparse
import dataclasses
import json
import statistics
import time
from functools import partial

import numpy as np
from timing import Cost, by_turns, fresh, machine

ROWS = {
    "MLP 64-32-10, 256 rates": (32, 256, 450),
    "MLP 64-32-10, 1 024 rates": (32, 1024, 450),
    "MLP 64-128-10, 128 rates": (128, 128, 450),
    "MLP 64-512-10, 64 rates": (512, 64, 450),
    "MLP 64-32-10, 8 rates, 10 updates": (32, 8, 10),
}
BATCH_SIZE = 64
BLOCK = 8
DEVICES = 2


def rates(trials, call):
    """Return other rates in each call."""
    return np.geomspace(1e-4 * (1 + call), 1e-2, trials).astype(np.float32)


def sweep(hidden, trials, steps, of_task=None, **changes):
    from workloads import mlp

    import jefficient as jf

    task, optimizer, _ = mlp(hidden)
    task = dataclasses.replace(task, **(of_task or {}))

    def call(number):
        space = jf.grid(learning_rate=rates(trials, number))
        settings = {"steps": steps, "batch_size": BATCH_SIZE, "metric": "train_loss", **changes}
        return jf.sweep(task, optimizer, space, **settings, progress=False).best().score

    return call


def expert(hidden, trials, steps):
    import jax

    jax.config.update("jax_num_cpu_devices", DEVICES)
    import optax
    from jax.sharding import AxisType, PartitionSpec
    from workloads import mlp

    task, _, _ = mlp(hidden)
    mesh = jax.make_mesh((DEVICES,), ("device",), axis_types=(AxisType.Auto,))
    data = jax.tree.map(np.asarray, task.data)

    def trial(rate, data, order):
        tx = optax.adam(rate)
        params = task.init(jax.random.key(0))

        def step(carry, rows):
            params, state = carry
            batch = jax.tree.map(lambda x: x[rows], data)
            loss, grads = jax.value_and_grad(task.loss)(params, batch)
            updates, state = tx.update(grads, state)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (params, tx.init(params)), order)[1].mean()

    def of_device(rates, data, order):
        blocks = rates.reshape(-1, min(BLOCK, len(rates)))
        return jax.lax.map(
            lambda block: jax.vmap(trial, (0, None, None))(block, data, order), blocks
        ).ravel()

    spec = PartitionSpec("device"), PartitionSpec(), PartitionSpec()
    program = jax.jit(
        jax.shard_map(
            of_device, mesh=mesh, in_specs=spec, out_specs=PartitionSpec("device"), check_vma=False
        )
    )

    def call(number):
        generator = np.random.default_rng(number)
        order = generator.integers(0, task.size, (steps, BATCH_SIZE)).astype(np.int32)
        losses = np.asarray(program(rates(trials, number), data, order))
        return float(losses.min())

    return call


WAYS = {"sweep": sweep, "expert": expert}


def report(names, repeats, is_quick):
    """Print medians, and how they compare."""
    print(machine())
    print(f"  {'':<34} {'sweep 1st':>10} {'2nd':>6} {'expert 1st':>11} {'2nd':>6} {'ratios':>12}")
    for row, (hidden, trials, steps) in ROWS.items():
        if is_quick and trials > 256:
            continue
        runs = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way, seen in runs.items():
                seen.append(fresh(__file__, way, str(hidden), str(trials), str(steps)))
        first, second = (
            [statistics.median(run[call] for run in seen) for seen in runs.values()]
            for call in ("first", "second")
        )
        shown = f"{first[0]:>10.2f} {second[0]:>6.2f} {first[1]:>11.2f} {second[1]:>6.2f}"
        ratios = f"{first[0] / first[1]:.2f}, {second[0] / second[1]:.2f}"
        print(f"  {row:<34} {shown} {ratios:>12}", flush=True)
    report_parts(3 * repeats)


def report_parts(repeats):
    """Print second calls with parts of a sweep left out that the expert's program does not have."""
    row = "MLP 64-32-10, 256 rates"
    hidden, trials, steps = ROWS[row]
    sequential = {"of_task": {"order": "sequential"}}
    once = {"eval_every": steps}
    variants = {
        "as it comes": {},
        "in the order of the data": sequential,
        "evaluated once": once,
        "both": {**sequential, **once},
    }
    calls = {name: sweep(hidden, trials, steps, **changes) for name, changes in variants.items()}
    for call in calls.values():
        call(0)
    costs = by_turns(
        {name: partial(Cost.of, partial(call, 1), 1) for name, call in calls.items()}, repeats
    )
    print(f"  {row}, second call: wall and CPU seconds")
    for name, cost in costs.items():
        print(f"  {name:<34} {cost.wall / 1e6:>10.2f} {cost.cpu / 1e6:>6.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("numbers", type=int, nargs=3)
    arguments = parser.parse_args()
    call = WAYS[arguments.way](*arguments.numbers)
    times = {}
    for number, name in enumerate(("first", "second")):
        begun = time.perf_counter()
        call(number)
        times[name] = time.perf_counter() - begun
    print(json.dumps(times))
