"""Microseconds for an update: one block, two threads on one device, two CPU devices."""

import argparse
import json

import jax
from speed import SIZES
from timing import Cost, Lanes, fresh, machine, median
from workloads import WORKLOADS

CASES = {"one block": (1, 1), "two threads": (1, 2), "two devices": (2, 1)}
"""Devices, and blocks on each."""


def report(names, repeats, is_quick):
    """Print a line for each workload."""
    for name in names:
        trials, steps = SIZES[name]
        size = (str(trials), str(max(steps // 4, 10) if is_quick else steps))
        times = {case: [] for case in CASES}
        for _ in range(repeats):
            for case, (devices, blocks) in CASES.items():
                times[case].append(fresh(__file__, name, *size, str(devices), str(blocks))["cost"])
        medians = {case: median([Cost(*t) for t in seen]) for case, seen in times.items()}
        one = medians["one block"].wall
        shown = [
            f"{case} {t.wall:.1f} µs ({t.cpu:.1f} of CPU), {one / t.wall:.2f} x"
            for case, t in medians.items()
        ]
        print(f"{name}: {'; '.join(shown)}; {machine()}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=WORKLOADS)
    for argument in ("trials", "steps", "devices", "blocks"):
        parser.add_argument(argument, type=int)
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", arguments.devices)
    lanes = Lanes(
        WORKLOADS[arguments.name](), arguments.trials, arguments.steps, blocks=arguments.blocks
    )
    print(json.dumps({"cost": lanes.cost()}))
