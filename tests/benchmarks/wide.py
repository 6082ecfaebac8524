"""How wide should blocks of very many small trials be here? Seconds of whole sweeps, by width.

    python tests/benchmarks/wide.py [--workloads logistic,softmax] [--trials 1000]
        [--widths 8,16,32,64] [--stop]

300 updates of Adam, 50 evaluations, from the call to the result; programs come from jax's
persistent cache. All widths take turns; medians over rounds. With --stop trials are stopped by
successive halving.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time

import numpy as np
from timing import machine
from workloads import WORKLOADS

import jefficient as jf


def table(name, trials, widths, rounds, stop):
    workload = WORKLOADS[name]()
    given = (
        workload.task,
        workload.optimizer,
        jf.grid(learning_rate=np.geomspace(1e-4, 1e-1, trials)),
    )
    settings = {
        "steps": 300,
        "eval_every": 6,
        "batch_size": workload.batch_size,
        "keep": None,
        "stop": stop,
    }
    settings["metric"] = "train_loss"
    plan = jf.plan(*given, **settings)
    times, utilization = {width: [] for width in widths}, {}
    for turn in range(rounds + 1):
        for width in widths:
            programs = tuple(dataclasses.replace(program, width=width) for program in plan.programs)
            begun = time.perf_counter()
            result = jf.sweep(
                *given,
                **settings,
                plan=dataclasses.replace(plan, programs=programs),
                progress=False,
            )
            if turn:  # the first one compiles
                times[width].append(time.perf_counter() - begun)
                utilization[width] = result.dataset.attrs["utilization"]
    print(f"{name}, {trials:,} trials, the rule's width is {plan.programs[0].width}; {machine()}")
    for width in widths:
        print(
            f"  width {width:>3}: {statistics.median(times[width]):6.2f} s, "
            f"utilization {utilization[width]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", default="line,logistic,softmax,mlp-8,mlp-32,mlp-128")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--widths", default="8,16,32,64,128,256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stop", action="store_true")
    arguments = parser.parse_args()
    stop = jf.successive_halving(eta=3, min_steps=18) if arguments.stop else None
    with tempfile.TemporaryDirectory() as folder:
        jf.use_compilation_cache(folder)
        for workload in arguments.workloads.split(","):
            table(
                workload,
                arguments.trials,
                [int(w) for w in arguments.widths.split(",")],
                arguments.rounds,
                stop,
            )
