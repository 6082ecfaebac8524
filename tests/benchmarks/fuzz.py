"""Mutated files by the thousand: is each refused, or read as what it was, quickly?

    python tests/benchmarks/fuzz.py [--mutations 10000] [--seed 1] [--targets result,weights]

Prints for each kind of file how many were refused, read as they were, and read as something else
(files that were signed again); ends with 1 where one did something else. See tests/fuzzing.py.
"""

import argparse
import subprocess
import sys
from pathlib import Path

FUZZING = Path(__file__).parents[1] / "fuzzing.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", default="result,snapshot,weights")
    chosen = parser.parse_args()
    code = 0
    for target in chosen.targets.split(","):
        command = [sys.executable, FUZZING, target, str(chosen.mutations), str(chosen.seed)]
        done = subprocess.run(command, capture_output=True, text=True)
        failed = done.returncode != 0
        print(f"{target}: {done.stderr[-2000:] if failed else done.stdout.strip()}", flush=True)
        code |= failed
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
