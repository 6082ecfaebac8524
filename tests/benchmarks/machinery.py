"""What refills, batches per lane, freezing and scores cost: one block in one thread.

- engine: jf.sweep with one block: trials of 20 epochs, evaluated after each
- segments: the engine's program without the host: an evaluation after every epoch, no refills
- scan: a hand-written scan of a vmap of the same width, the order of batches made in advance
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import Cost, Lanes, by_turns, epochs, machine, median, rates
from width import Block, Program
from workloads import WORKLOADS

WIDTHS = {"mlp-32": 8, "mlp-128": 8, "mlp-512": 4, "cnn": 1, "transformer": 1}
EPOCHS = {"mlp-32": 20, "mlp-128": 20, "mlp-512": 20, "cnn": 10, "transformer": 0.2}


class Machinery:
    """One workload at one width."""

    def __init__(self, name):
        self.workload = WORKLOADS[name]()
        self.width = WIDTHS[name]
        task, _, batch_size = self.workload
        self.steps = epochs(self.workload, EPOCHS[name])
        self.lanes = Lanes(self.workload, 4 * self.width, self.steps, blocks=1, width=self.width)
        self.block = Block(Program(self.workload, self.width, seconds=0.01))
        order = np.random.default_rng(0)
        shape = (self.width, self.steps, batch_size)
        self.indices = order.integers(0, task.size, shape).astype(np.int32)
        self.params = task.init(jax.random.key(0))
        self.scanned = jax.jit(jax.vmap(self.train))
        self.scan()

    def train(self, rate, indices):
        def step(carry, indices):
            params, state = carry
            batch = jax.tree.map(lambda x: x[indices], self.workload.task.data)
            grads = jax.grad(self.workload.task.loss)(params, batch)
            updates, state = optax.adam(rate).update(grads, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (self.params, optax.adam(rate).init(self.params)), indices)[0]

    def engine(self):
        return self.lanes.cost()

    def segments(self):
        evaluation = min(epochs(self.workload, 1), self.steps)
        self.block.program.updates = evaluation
        count = 4 * self.steps // evaluation
        return median([Cost.of(self.block.run, evaluation * self.width) for _ in range(count)])

    def scan(self):
        learning_rates = jnp.asarray(rates(self.width))
        updates = self.width * self.steps
        return Cost.of(lambda: self.scanned(learning_rates, self.indices), updates)


def report(names, repeats, is_quick):
    """Print two lines for each workload."""
    for name in names:
        it = Machinery(name)
        times = by_turns({"engine": it.engine, "segments": it.segments, "scan": it.scan}, repeats)
        shown = ", ".join(
            f"{way} {cost.wall:.1f} ({cost.cpu:.1f} of CPU)" for way, cost in times.items()
        )
        ratios = [
            ours / theirs for ours, theirs in zip(times["engine"], times["scan"], strict=True)
        ]
        print(f"{name}, width {it.width}: µs an update: {shown}")
        print(f"  engine / scan {ratios[0]:.2f}, of CPU {ratios[1]:.2f}; {machine()}", flush=True)
