"""Published tables beside what jefficient gives (docs/reproduced.md). Nothing is asserted.

    python tests/benchmarks/reproduced.py [deepobs quadratic scikit_learn coverage exponents]

- deepobs: the 135 published runs of DeepOBS's `quadratic_deep`
- quadratic: the expected loss of a noisy quadratic against its closed form
- scikit_learn: paths, optima and the choices of GridSearchCV
- coverage: how often the interval of `optimum` holds the exact optimum
- exponents: Step Law's exponents on tables of its shape
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

PARTS = {
    "deepobs": "published.deepobs",
    "quadratic": "published.quadratic",
    "scikit_learn": "published.scikit_learn",
    "coverage": "coverage",
    "exponents": "exponents",
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all of them")
    for part in parser.parse_args().parts or PARTS:
        began = time.perf_counter()
        print(f"\n== {part}", flush=True)
        importlib.import_module(PARTS[part]).report()
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)
