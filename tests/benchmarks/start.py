"""How soon lanes train: from import to the first trained segment of the 64-128-10 sweep.

In a fresh process: cold against twice the time that compiling a scan of a jitted train step takes
on one device; warm with jax's persistent cache.
"""

import argparse
import json
import statistics
import tempfile
import time

BEGUN = time.perf_counter()


def report(names, repeats, is_quick):
    """Print the medians."""
    from timing import fresh, machine

    runs = {"cold": [], "warm": [], "scan": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            runs["cold"].append(fresh(__file__, "lanes", cache))
            runs["warm"].append(fresh(__file__, "lanes", cache))
        with tempfile.TemporaryDirectory() as cache:
            runs["scan"].append(fresh(__file__, "scan", cache))
    medians = {
        way: {part: statistics.median(run[part] for run in seen) for part in seen[0]}
        for way, seen in runs.items()
    }
    print(machine())
    for way, parts in medians.items():
        print(
            f"  {way:<5}", ", ".join(f"{part} {t:.2f} s" for part, t in parts.items()), flush=True
        )


def lanes():
    import jax  # noqa: F401

    imported_jax = time.perf_counter()
    from timing import Lanes
    from workloads import mlp

    import jefficient  # noqa: F401

    imported = time.perf_counter()
    workload = mlp(128)
    (trained, *_), *_ = Lanes(workload, 64, 28).run()
    return {
        "jax": imported_jax - BEGUN,
        "jefficient": imported - imported_jax,
        "sweep": trained - imported,
        "all": trained - BEGUN,
    }


def scan():
    import jax

    imported_jax = time.perf_counter()
    import numpy as np
    import optax
    from workloads import mlp

    task, _, batch_size = mlp(128)

    def train(rate, rows):
        def step(carry, rows):
            params, state = carry
            grads = jax.grad(task.loss)(params, jax.tree.map(lambda x: x[rows], task.data))
            updates, state = optax.adam(rate).update(grads, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optax.adam(rate).init(params)), rows)[0]

    params = task.init(jax.random.key(0))
    begun = time.perf_counter()
    jax.jit(train).lower(1e-3, np.zeros((28, batch_size), np.int32)).compile()
    return {"jax": imported_jax - BEGUN, "compile": time.perf_counter() - begun}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=("lanes", "scan"))
    parser.add_argument("cache")
    arguments = parser.parse_args()
    import jax

    jax.config.update("jax_compilation_cache_dir", arguments.cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    print(json.dumps({"lanes": lanes, "scan": scan}[arguments.way]()))
