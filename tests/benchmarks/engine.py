"""The engine's figures, side by side, medians.

    python tests/benchmarks/engine.py [whole speed machinery devices grids stopping start]
        [--workload mlp-128] [--repeats 5] [--quick]

- whole: first and second calls of a sweep against an expert's program, each in its own process
- speed: planned lanes against loops, scans, maps, vmaps and scikit-learn, µs for a trial's update
- machinery: one block against a hand-written scan of the same width
- devices: two CPU devices, or two threads on one, against one block
- grids: cross-validated grids against scikit-learn's, wall time of a process with its compiling
- stopping: what successive halving saves
- start: from import to the first trained segment

Nothing is asserted, since times depend on what else runs. The load average is printed with every
table.
"""

import argparse
import importlib

from workloads import WORKLOADS

PARTS = ("whole", "speed", "machinery", "devices", "grids", "stopping", "start")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all of them")
    parser.add_argument(
        "--workload", choices=WORKLOADS, help="the only one of speed, machinery and devices"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="shorter trials, for a first look")
    arguments = parser.parse_args()
    names = [arguments.workload] if arguments.workload else list(WORKLOADS)
    for part in arguments.parts or PARTS:
        print(f"\n== {part}", flush=True)
        importlib.import_module(part).report(names, arguments.repeats, arguments.quick)
