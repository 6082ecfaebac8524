"""What refills, per-lane batches by the keyed bijection, freezing and scores cost: one block in one thread.

engine   jf.sweep with one block: trials of 20 epochs, looked at after each
segments the engine's program alone, without the host: a look after every epoch, no refills
scan     a hand-written scan of a vmap of the same width, an order of batches made in advance for each lane
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import Lanes, by_turns, epochs, machine, planned, rates, seconds
from width import Block, Program
from workloads import WORKLOADS

WIDTHS = {"mlp-32": 8, "mlp-128": 8, "mlp-512": 4, "cnn": 1, "transformer": 1}
EPOCHS = {"mlp-32": 20, "mlp-128": 20, "mlp-512": 20, "cnn": 10, "transformer": 0.2}


class Machinery:
    """A workload at one width."""

    def __init__(self, name):
        self.workload, self.width = WORKLOADS[name](), WIDTHS[name]
        task, _, batch_size = self.workload
        self.steps = epochs(self.workload, EPOCHS[name])
        self.look = max(self.steps // 20, 1)
        self.lanes = Lanes(self.workload, 4 * self.width, self.steps, self.look)
        self.block = Block(Program(self.workload, self.width, seconds=0.01))
        order = np.random.default_rng(0)
        self.rows = order.integers(0, task.size, (self.width, self.steps, batch_size)).astype(np.int32)
        self.params = task.init(jax.random.key(0))
        self.scanned = jax.jit(jax.vmap(self.train))
        self.scan()

    def train(self, rate, rows):
        def step(carry, rows):
            params, state = carry
            batch = jax.tree.map(lambda x: x[rows], self.workload.task.data)
            updates, state = optax.adam(rate).update(jax.grad(self.workload.task.loss)(params, batch), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (self.params, optax.adam(rate).init(self.params)), rows)[0]

    def engine(self):
        with planned(blocks=1, width=self.width):
            return self.lanes.microseconds()

    def segments(self):
        self.block.program.updates = self.look
        return float(np.mean([self.block.run() for _ in range(4 * self.steps // self.look)]))

    def scan(self):
        return 1e6 * seconds(self.scanned, jnp.asarray(rates(self.width)), self.rows) / self.width / self.steps


def report(names, repeats, is_quick):
    """A line for each workload."""
    for name in names:
        it = Machinery(name)
        times = by_turns({"engine": it.engine, "segments": it.segments, "scan": it.scan}, repeats)
        shown = ", ".join(f"{way} {time:.1f}" for way, time in times.items())
        print(f"{name}, width {it.width}: µs an update: {shown}; engine / scan {times['engine'] / times['scan']:.2f}")
        print(f"  {machine()}", flush=True)
