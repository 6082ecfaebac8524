"""Planned lanes against what people do today: microseconds for one trial's update, compiling apart.

Every way trains with Adam on batches of one size, in an order made in advance for all but the
lanes, and evaluates nothing:
  lanes         jf.sweep in its steady state, reading the training loss after every epoch
  loop          a Python loop over a jitted optax step, the rate an argument
  closed over   the same, the rate closed over: compiles for every trial, and that counts
  scan          one jitted scan a trial, a trial after the other
  map           lax.map of such scans over trials
  vmap          one scan of a vmap over all trials, an order of batches for each
  vmap, shared  the same with one order for all (no seeds, no folds)
  scikit-learn  GridSearchCV(MLPClassifier, n_jobs=2), one split, not refitted
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import Cost, Lanes, by_turns, machine, rates
from workloads import WORKLOADS, digits

SIZES = {
    "mlp-32": (128, 1120),
    "mlp-128": (64, 1120),
    "mlp-512": (64, 280),
    "cnn": (32, 280),
    "transformer": (16, 30),
}
"""Trials and updates of each, some seconds for the lanes."""

FEW = 4  # trials of the ways that train one after another


class Ways:
    """A workload trained in every way.

    Each method is one measurement, warm after the first call.
    """

    def __init__(self, name, is_quick):
        self.name, self.workload = name, WORKLOADS[name]()
        trials, steps = SIZES[name]
        self.trials, self.steps = (
            (trials // 2, max(steps // 4, 10)) if is_quick else (trials, steps)
        )
        task, _, batch_size = self.workload
        order = np.random.default_rng(0)
        self.rows = order.integers(0, task.size, (self.steps, batch_size)).astype(np.int32)
        self.short = self.rows[: max(self.steps // 8, 2)]
        self.own_rows = order.integers(0, task.size, (self.trials, *self.short.shape)).astype(
            np.int32
        )
        self.params = task.init(jax.random.key(0))
        self.rates = jnp.asarray(rates(self.trials))
        self.planned = Lanes(self.workload, self.trials, self.steps)
        self.jitted = jax.jit(self.step)
        self.scanned = jax.jit(self.train)
        self.mapped = jax.jit(
            lambda rates, rows: jax.lax.map(lambda rate: self.train(rate, rows), rates)
        )
        self.vmapped = jax.jit(jax.vmap(self.train))
        self.vmapped_shared = jax.jit(jax.vmap(self.train, (0, None)))

    def step(self, params, state, rows, rate):
        batch = jax.tree.map(lambda x: x[rows], self.workload.task.data)
        updates, state = optax.adam(rate).update(
            jax.grad(self.workload.task.loss)(params, batch), state
        )
        return optax.apply_updates(params, updates), state

    def train(self, rate, rows):
        start = self.params, optax.adam(rate).init(self.params)
        return jax.lax.scan(lambda carry, rows: (self.step(*carry, rows, rate), None), start, rows)[
            0
        ]

    def lanes(self):
        return self.planned.cost()

    def loop(self):
        def trial(rate):
            params, state = self.params, optax.adam(rate).init(self.params)
            for rows in self.rows:
                params, state = self.jitted(params, state, rows, rate)
            return params

        return self._each(trial)

    def closed_over(self):
        def trial(rate):
            step = jax.jit(lambda params, state, rows: self.step(params, state, rows, float(rate)))
            params, state = self.params, optax.adam(float(rate)).init(self.params)
            for rows in self.rows:
                params, state = step(params, state, rows)
            return params

        return self._each(trial)

    def scan(self):
        return self._each(lambda rate: self.scanned(rate, self.rows))

    def map(self):
        return Cost.of(lambda: self.mapped(self.rates[:FEW], self.rows), FEW * self.steps)

    def vmap(self):
        return Cost.of(
            lambda: self.vmapped(self.rates, self.own_rows), self.trials * len(self.short)
        )

    def vmap_shared(self):
        return Cost.of(
            lambda: self.vmapped_shared(self.rates, self.short), self.trials * len(self.short)
        )

    def scikit_learn(self):
        from sklearn.model_selection import GridSearchCV
        from sklearn.neural_network import MLPClassifier

        hidden = int(self.name.removeprefix("mlp-"))
        x, y = digits()["x"], digits()["y"]
        per_epoch = -(-len(x) // 64)
        n_epochs = max(self.steps // per_epoch, 1)
        model = MLPClassifier(
            (hidden,), batch_size=64, max_iter=n_epochs, tol=0.0, n_iter_no_change=10**6, alpha=0.0
        )
        split = [(np.arange(len(x)), np.arange(10))]
        search = GridSearchCV(
            model, {"learning_rate_init": rates(2 * FEW).tolist()}, n_jobs=2, cv=split, refit=False
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Cost.of(lambda: search.fit(x, y) and None, 2 * FEW * n_epochs * per_epoch)

    def _each(self, trial):
        """Measure some trials that are trained one after another."""
        trained = lambda: [jax.block_until_ready(trial(rate)) for rate in self.rates[:FEW]]  # noqa: E731
        return Cost.of(trained, FEW * self.steps)

    def measures(self):
        names = ["lanes", "loop", "closed_over", "scan", "map", "vmap", "vmap_shared"]
        names += ["scikit_learn"] if self.name.startswith("mlp") else []
        return {name.replace("_", " "): getattr(self, name) for name in names}


def report(names, repeats, is_quick):
    """Print a table for each workload."""
    print(machine())
    for name in names:
        ways = Ways(name, is_quick)
        for way, measure in ways.measures().items():
            if way not in ("lanes", "closed over"):
                measure()  # compiles, starts processes
        times = by_turns(ways.measures(), repeats)
        wall = {way: cost.wall for way, cost in times.items()}
        best = min(set(wall) - {"lanes"}, key=lambda way: wall[way])
        print(f"\n{name}: {ways.trials} trials of {ways.steps} updates, {machine()}")
        print(f"  {ways.planned.plan}".replace("\n", "\n  "))
        for way, cost in times.items():
            ratio = cost.wall / wall["lanes"]
            print(
                f"  {way:<14} {cost.wall:10.1f} µs an update ({cost.cpu:10.1f} of CPU), "
                f"{ratio:7.2f} x the lanes"
            )
        print(
            f"  lanes have {wall[best] / wall['lanes']:.2f} x the speed of the best of the others "
            f"({best})",
            flush=True,
        )
