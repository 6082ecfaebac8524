"""How often a power law's exponents land in Step Law's published intervals, on tables of its shape.

Li et al. (2025), "Predictable scale: Part I": 17 pairs of parameters N and tokens D, 120 runs each;
the best rate is proportional to N^-0.713 [-0.774, -0.655] and D^0.307 [0.271, 0.345], the best
batch size to D^0.571 [0.534, 0.606]. The tables are made (`step_law` of the tests), with these
exponents and noise. Beside `Result.optimum`: a line through the best run of each pair.

    python tests/benchmarks/exponents.py --tables 100
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from results.made import made
from results.test_optimum import STEP_LAW, step_law


def by_best_runs(columns, scores, name, by):
    """Return the slopes of a line through the best run of each pair, in logarithms."""
    pairs = np.array([columns["params"], columns["tokens"]]).T
    _, places = np.unique(pairs, axis=0, return_inverse=True)
    runs = [np.flatnonzero(places == i) for i in range(places.max() + 1)]
    best = [pair[scores[pair].argmin()] for pair in runs]
    logs = [np.log(np.array(columns[each])[best]) for each in by]
    design = np.column_stack([np.ones(len(best)), *logs])
    return np.linalg.lstsq(design, np.log(np.array(columns[name])[best]))[0][1:]


def laws(seed):
    """Return for the rate and the batch size of a table: the law, and the slopes by best runs."""
    result, columns, scores = step_law(np.random.default_rng(seed))
    without_params = {x: columns[x] for x in ("tokens", "rate", "batch")}
    for_batch = made(scores[:, None, None], without_params)
    both = ("params", "tokens")
    return {
        "rate": (
            result.optimum("rate", by=both).law,
            by_best_runs(columns, scores, "rate", both),
        ),
        "batch": (
            for_batch.optimum("batch", by="tokens").law,
            by_best_runs(columns, scores, "batch", ["tokens"]),
        ),
    }


def report(tables=100):
    """Print how many tables have exponents inside, and how often intervals hold the true ones."""
    of_all = [laws(seed) for seed in range(tables)]
    for name, published in STEP_LAW.items():
        true, low, high = np.array(list(published.values())).T
        found = [each[name][0] for each in of_all]
        names = list(published)
        exponents, lows, highs = (
            np.array([_values(x, names) for x in (getattr(law, field) for law in found)])
            for field in ("exponent", "low", "high")
        )
        simple = np.array([each[name][1] for each in of_all])
        for method, slopes in (("optimum", exponents), ("best run of each pair", simple)):
            inside = ((low < slopes) & (slopes < high)).all(axis=1).sum()
            print(
                f"{name} by {' and '.join(names)}, {method}: {inside} of {tables} inside, means "
                f"{slopes.mean(axis=0).round(3)}, standard deviations {slopes.std(axis=0).round(3)}"
            )
        covered = ((lows < true) & (true < highs)).mean()
        print(f"  intervals of 95 % hold the true exponents {covered:.1%} of the time", flush=True)


def _values(x, names):
    return [x[name] for name in names] if isinstance(x, dict) else [x]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=100)
    report(parser.parse_args().tables)
