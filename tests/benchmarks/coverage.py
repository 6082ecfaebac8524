"""How often the interval of `Result.optimum` holds the exact optimum, known in closed form.

The noisy quadratic of Zhang et al. (2019), "Which algorithmic choices matter at which batch sizes?
Insights from a noisy quadratic model": examples z ~ N(0, 1) are fresh in every step, the loss is
½ Σ hᵢ (wᵢ - zᵢ)², and SGD starts from w = 1. The expected loss after T steps is known for every
rate (`exact`), and its minimum found by SciPy. Each replication is a sweep of its own: n seeds,
which share their examples over all rates.

    python tests/benchmarks/coverage.py --replications 1000

Beside it, in the same window, the percentile bootstrap over seeds: it covers too little.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
from scipy import optimize

from jefficient.results._local_fit import fit_minimum


class Quadratic(NamedTuple):
    """A noisy quadratic, the training of it, and the rates that are tried."""

    h: np.ndarray
    batch: int
    steps: int
    rates: np.ndarray

    def exact(self, log_rate):
        """The expected loss after the last step."""
        k = 1 - np.exp(log_rate) * self.h
        noise = np.square(1 - k) / self.batch  # variance that a step adds
        squares = k ** (2 * self.steps)
        variance = noise * (1 - squares) / (1 - k**2)
        return 0.5 * (self.h * (squares + variance + 1)).sum()

    def optimum(self):
        """The logarithm of the best rate."""
        ends = np.log(self.rates[[0, -1]])
        return optimize.minimize_scalar(
            self.exact, bounds=ends, method="bounded", options={"xatol": 1e-9}
        ).x

    def losses(self, rng, runs):
        """Train, (rates, runs): the loss of fresh examples, in expectation over those."""
        step = (self.rates[:, None, None] * self.h).astype(np.float32)
        w = np.ones((len(self.rates), runs, len(self.h)), np.float32)
        for _ in range(self.steps):
            mean = rng.standard_normal(w.shape[1:], dtype=np.float32) / np.float32(self.batch**0.5)
            w += step * (mean - w)
        return 0.5 * (self.h * (np.square(w.astype(float)) + 1)).sum(axis=-1)


MANY = Quadratic(np.linspace(1, 0.1, 100), 4, 20, np.geomspace(0.05, 1.6, 16))
FEW_RATES = MANY._replace(rates=np.geomspace(0.05, 1.6, 11))
NEAR = MANY._replace(batch=1, h=np.linspace(1, 0.1, 20), rates=np.geomspace(0.02, 0.8, 33))
PROBLEMS = {
    "100 eigenvalues from 0.1 to 1, 16 rates": MANY,
    "the same, 11 rates": FEW_RATES,
    "20 eigenvalues from 0.1 to 1, 33 rates, a spread between seeds as large as the curve": NEAR,
    "20 eigenvalues 1/√i: few dominate, losses are skewed": Quadratic(
        1 / np.sqrt(np.arange(1, 21)), 2, 50, np.geomspace(0.02, 1.4, 17)
    ),
}


def located(problem, losses):
    """The fit as `Result.optimum` makes it, for losses (rates, seeds); None where it refuses."""
    x = np.log(problem.rates)
    means = losses.mean(axis=1, keepdims=True)
    if means.argmin() in (0, len(x) - 1):
        return None
    logs = np.log(means) + (losses - means) / means
    fit = fit_minimum(x, logs, 1 / losses.shape[1], 0.95)
    return fit if fit and fit.low >= x[0] and fit.high <= x[-1] else None


def percentiles(problem, losses, fit, rng, draws=400):
    """The percentile bootstrap in the same window, unweighted."""
    x = np.log(problem.rates)
    inside = (x >= fit.x[0]) & (x <= fit.x[-1])
    drawn = rng.integers(losses.shape[1], size=(draws, losses.shape[1]))
    logs = np.log(losses[inside][:, drawn].mean(axis=-1))
    a, b, c = np.polyfit(fit.x - fit.centre, logs, 3)[:3]
    root = np.sqrt(np.maximum(b**2 - 3 * a * c, 0))
    return fit.centre + np.quantile((-b + root) / (3 * a), [0.025, 0.975])


def report(replications=1000, numbers_of_seeds=(4, 8, 16)):
    """Print coverage and width of the intervals for each problem and number of seeds."""
    for name, problem in PROBLEMS.items():
        optimum = problem.optimum()
        print(f"\n{name}: the exact optimum is {np.exp(optimum):.4f}")
        for seeds in numbers_of_seeds:
            rng = np.random.default_rng(seeds)
            began = time.process_time()
            losses = problem.losses(rng, replications * seeds)
            losses = losses.reshape(len(problem.rates), replications, seeds)
            fits = [located(problem, losses[:, i]) for i in range(replications)]
            seconds = time.process_time() - began
            kept = [(i, fit) for i, fit in enumerate(fits) if fit]
            low, high = np.array([[fit.low, fit.high] for _, fit in kept]).T
            covers = (low <= optimum) & (optimum <= high)
            simple = [percentiles(problem, losses[:, i], fit, rng) for i, fit in kept]
            hits = [low <= optimum <= high for low, high in simple]
            print(
                f"{seeds:3d} seeds: covered {covers.mean():.1%} (too high "
                f"{(low > optimum).mean():.1%}, too low {(high < optimum).mean():.1%}), "
                f"median factor between the ends {np.exp(np.median(high - low)):.2f}, "
                f"refused {1 - len(kept) / len(fits):.1%}; "
                f"percentile bootstrap {np.mean(hits):.1%}; {seconds:.0f} s of CPU",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 8, 16])
    chosen = parser.parse_args()
    report(chosen.replications, chosen.seeds)
