"""Two CPU devices, and two threads on one device, against one block on one device: microseconds for an update."""

import argparse
import json
import statistics

import jax
from speed import SIZES
from timing import Lanes, fresh, machine, planned
from workloads import WORKLOADS

CASES = {"one block": (1, 1), "two threads": (1, 2), "two devices": (2, 1)}
"""Devices, and blocks on each."""


def report(names, repeats, is_quick):
    """A line for each workload."""
    for name in names:
        trials, steps = SIZES[name]
        size = (str(trials), str(max(steps // 4, 10) if is_quick else steps))
        times = {case: [] for case in CASES}
        for _ in range(repeats):
            for case, (devices, blocks) in CASES.items():
                times[case].append(fresh(__file__, name, *size, str(devices), str(blocks))["microseconds"])
        medians = {case: statistics.median(t) for case, t in times.items()}
        shown = ", ".join(f"{case} {t:.1f} ({medians['one block'] / t:.2f} x)" for case, t in medians.items())
        print(f"{name}: {shown}; {machine()}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=WORKLOADS)
    for argument in ("trials", "steps", "devices", "blocks"):
        parser.add_argument(argument, type=int)
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", arguments.devices)
    with planned(blocks=arguments.blocks):
        time = Lanes(WORKLOADS[arguments.name](), arguments.trials, arguments.steps).microseconds()
    print(json.dumps({"microseconds": time}))
