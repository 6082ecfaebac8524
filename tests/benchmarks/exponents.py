"""How often a power law's exponents land in Step Law's published intervals, on tables of its shape.

Li et al. (2025), "Predictable scale: Part I": 17 pairs of parameters N and tokens D, 120 runs each;
the best rate is proportional to N^-0.713 [-0.774, -0.655] and D^0.307 [0.271, 0.345]. The tables
are made (`step_law` of the tests), with these exponents and noise. Beside `Result.optimum`: a line
through the best run of each pair.

    python tests/benchmarks/exponents.py --tables 100
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from results.test_optimum import step_law


def is_inside(params, tokens):
    return -0.774 < params < -0.655 and 0.271 < tokens < 0.345


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=100)
    tables = parser.parse_args().tables
    found, simple, covered = [], [], []
    for seed in range(tables):
        result, columns, scores = step_law(np.random.default_rng(seed))
        law = result.optimum("rate", by=("params", "tokens")).law
        found.append((law.exponent["params"], law.exponent["tokens"]))
        covered.append(law.low["params"] < -0.713 < law.high["params"])
        covered.append(law.low["tokens"] < 0.307 < law.high["tokens"])

        n, d, rate = (np.array(columns[name]) for name in ("params", "tokens", "rate"))
        pairs = [np.flatnonzero((n == a) & (d == b)) for a, b in law.optima]
        best = [pair[scores[pair].argmin()] for pair in pairs]
        design = np.column_stack([np.ones(len(best)), np.log(n[best]), np.log(d[best])])
        simple.append(np.linalg.lstsq(design, np.log(rate[best]))[0][1:])
    for name, exponents in (("optimum", found), ("best run of each pair", simple)):
        inside = sum(is_inside(*each) for each in exponents)
        spread = np.std(exponents, axis=0)
        print(f"{name}: {inside} of {tables} inside, standard deviations {spread.round(3)}")
    print(f"the intervals of 95 % hold the true exponents {np.mean(covered):.1%} of the time")


if __name__ == "__main__":
    main()
