"""How wide should a block of lanes be here? Microseconds for one trial's update, by width.

    python tests/benchmarks/width.py [--workloads mlp-128,cnn] [--widths 1,2,4,8,16,32]
        [--rounds 7] [--seconds 0.3]

The engine's own program (batches per lane, freezing and metric accumulators included), one block
alone and two side by side in two threads. All widths take turns, a segment each, so that a busy
machine slows them alike. Medians over rounds and, in brackets, the least.
"""

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from workloads import WORKLOADS

import jefficient as jf
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.programs._lanes import Shared, zeros
from jefficient.sweeps.scheduler import Queue

FOREVER = 2**30  # updates of a trial


class Program:
    """The engine's program for a workload at one width, and the updates in some seconds."""

    def __init__(self, workload, width, seconds):
        settings = Settings(
            steps=FOREVER,
            eval_every=FOREVER,
            batch_size=workload.batch_size,
            metric="train_loss",
            keep="last",
        )
        space = jf.grid(learning_rate=np.geomspace(1e-4, 1e-2, width))
        spec = prepare(workload.task, workload.optimizer, space, settings)
        program = spec.lane_program(0, width)
        self.width, self.device = width, jax.local_devices()[0]
        self.queue = Queue.of(spec.groups[0], program)
        self.shared = jax.device_put(Shared(spec.data, settings.key), self.device)
        idle = self.queue.idle_commands()
        self.shapes = program.empty(idle, self.shared)
        begun = time.perf_counter()
        self.segment = program.lower(self.shapes, idle, self.shared).compile()
        self.compiling = time.perf_counter() - begun
        self.updates = 1
        block, enough = Block(self), 1e6 * seconds / 2
        while block.run() * self.updates * width < enough:
            self.updates *= 2


class Block:
    """Lanes that run on and on."""

    def __init__(self, program):
        self.program, self.done = program, 0
        self.lanes = zeros(program.shapes, program.device)
        self.run(is_fresh=True)

    def run(self, is_fresh=False):
        """Microseconds for one lane's update in a segment."""
        program, every = self.program, np.arange(self.program.width)
        self.done += program.updates
        fresh = np.full(len(every), is_fresh)
        commands = program.queue.commands(every, fresh, np.zeros(len(every), int))
        commands = commands._replace(until=np.full(len(every), self.done, np.int32))
        begun = time.perf_counter()
        self.lanes, _ = jax.block_until_ready(program.segment(self.lanes, commands, program.shared))
        return 1e6 * (time.perf_counter() - begun) / program.updates / len(every)


def side_by_side(blocks):
    """Microseconds for one lane's update, with a thread for each block."""
    with ThreadPoolExecutor(len(blocks)) as pool:
        return statistics.mean(pool.map(Block.run, blocks)) / len(blocks)


def megabytes(lanes):
    """What one lane takes: parameters, state and weights set aside."""
    leaves = [
        x for x in jax.tree.leaves(lanes) if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    ]
    return sum(x.size * x.dtype.itemsize for x in leaves) / leaves[0].shape[0] / 1e6


def table(name, widths, rounds, seconds):
    programs = [Program(WORKLOADS[name](), width, seconds) for width in widths]
    pairs = [[Block(program), Block(program)] for program in programs]
    times = {width: ([], []) for width in widths}
    for _ in range(rounds):
        for width, pair in zip(widths, pairs, strict=True):
            times[width][0].append(pair[0].run())
            times[width][1].append(side_by_side(pair))
    print(f"{name}, {megabytes(programs[0].shapes):.2f} MB a lane")
    for program in programs:
        one, two = (f"{statistics.median(t):8.1f} ({min(t):8.1f})" for t in times[program.width])
        print(
            f"  width {program.width:>3}: {one} one block, {two} two blocks; "
            f"compiled in {program.compiling:.1f} s"
        )
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"  load average {load}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--widths", default="1,2,4,8,16,32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a segment, roughly")
    arguments = parser.parse_args()
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, "
        f"µs for a lane's update, median (least)",
        flush=True,
    )
    for workload in arguments.workloads.split(","):
        table(
            workload,
            [int(w) for w in arguments.widths.split(",")],
            arguments.rounds,
            arguments.seconds,
        )
