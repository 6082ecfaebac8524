"""Are the updates that branches save saved in time, too?

    python tests/benchmarks/branches.py [--hidden 64,256,512] [--repeats 5]

An MLP 64-hidden-10 on digits, Adam with a warmup–stable–decay schedule, batches of 64, 16 seeds:
five lengths trained from scratch, against one stable run and five cooldowns that start from its
states (examples/09_cooldowns.py). Both take turns, compiled before; medians of wall and CPU time.
"""

import argparse
import functools
import importlib.util
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import timing
from sklearn.datasets import load_digits

import jefficient as jf

EXAMPLE = Path(__file__).parents[2] / "examples" / "09_cooldowns.py"


def loaded():
    """Return the example as a module; its name begins with a number."""
    spec = importlib.util.spec_from_file_location("cooldowns", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def init(key, hidden):
    """Initialise an MLP with one hidden layer as He et al. do."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (64, hidden)) * jnp.sqrt(2 / 64),
        "b1": jnp.zeros(hidden),
        "w2": jax.random.normal(second, (hidden, 10)) * jnp.sqrt(2 / hidden),
        "b2": jnp.zeros(10),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", default="64,256,512")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(timing.machine())
    example = loaded()
    x, y = load_digits(return_X_y=True)
    data = {"x": (x / 16).astype(np.float32), "y": y}
    print("hidden: updates saved; wall time saved; CPU time saved (from scratch, branched)")
    for hidden in map(int, options.hidden.split(",")):
        task = jf.Task(
            init=functools.partial(init, hidden=hidden),
            loss=example.loss,
            data=data,
            validation=0.2,
        )
        plan = jf.plan(task, example.optimizer, example.space(), **example.SETTINGS)

        def scratch(task=task, plan=plan):
            given = {"plan": plan, "progress": False, **example.SETTINGS}
            return [jf.sweep(task, example.optimizer, example.space(), **given)]

        def branched(task=task, plan=plan):
            return example.branched(task, plan)

        made = updates_of(scratch())
        saved = 1 - updates_of(branched()) / made
        costs = {"scratch": [], "branched": []}
        for _ in range(options.repeats):
            for name, call in (("scratch", scratch), ("branched", branched)):
                wall, cpu = time.perf_counter(), time.process_time()
                call()
                costs[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        (wall, cpu), (wall_branched, cpu_branched) = (
            np.median(each, axis=0) for each in costs.values()
        )
        print(
            f"{hidden}: {saved:.0%}; {1 - wall_branched / wall:.0%}; {1 - cpu_branched / cpu:.0%} "
            f"(wall {wall:.2f}, {wall_branched:.2f} s; CPU {cpu:.2f}, {cpu_branched:.2f} s)",
            flush=True,
        )


def updates_of(results):
    """Return the updates that were made here, those before a start left out."""
    return sum(
        int((x.dataset["steps_taken"] - x.dataset.get("started_at", 0)).sum()) for x in results
    )


if __name__ == "__main__":
    main()
