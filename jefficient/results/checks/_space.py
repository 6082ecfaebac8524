"""Checks of what was tried: its failures, its spacing, and how sure the winner is."""

from collections.abc import Iterator

import numpy as np

from .._axes import scale_of
from .._best import ties
from ._boundary import are_whole
from ._reading import LEVEL, Finding, Reading

FEW = 3
"""With one or two that finished, the score at the end compares hardly anything."""
MANY = 0.25
"""A quarter of the configurations: one value of four on an axis was out of reach."""


def divergence_edge(reading: Reading) -> Iterator[Finding]:
    """The next larger value beside the best diverged."""
    trials = reading.dataset.sizes["seed"] * reading.dataset.sizes["fold"]
    for name, _ in reading.varied():
        next_one = reading.beside(name, 1)
        if next_one is None or not reading.diverged[next_one]:
            continue
        count = int((reading.dataset["status"].isel(config=next_one) == "diverged").sum())
        low, high = (reading.axes[name][config] for config in (reading.best, next_one))
        yield Finding(
            "warning",
            f"The best {name}, {low:.4g}, is at the edge of divergence: at {high:.4g}, all else the same, "
            f"{count} of {trials} trials diverged.",
            f"Try values between {low:.4g} and {high:.4g}, or what moves the edge: warmup, clipping gradients.",
        )


def diverged(reading: Reading) -> Iterator[Finding]:
    """Many configurations diverged."""
    count, configs = int(reading.diverged.sum()), len(reading.diverged)
    if count >= MANY * configs:
        yield Finding(
            "warning",
            f"{count} of {configs} configurations ({count / configs:.0%}) have a diverged trial: that part of the "
            "space tells nothing.",
            "Lower the top of the range of learning rates, or add warmup or gradient clipping.",
        )


def noise(reading: Reading) -> Iterator[Finding]:
    """The winner could be another one."""
    count = int(reading.finished.sum())
    if count < 2:
        return
    if reading.repeats == 1:
        yield Finding(
            "warning",
            f"Each of the {count} configurations has one trial: nothing tells whether the best is better than others "
            "or luckier.",
            "Repeat the sweep with seeds=3 or more, or with folds=5.",
        )
    elif (others := len(ties(reading.dataset)) - 1) > 0:
        yield Finding(
            "note",
            f"The best is within noise of {others} other configuration{'s' * (others > 1)} of {count}: which of them "
            f"is best, {reading.repeats} {'folds' if reading.dataset.sizes['fold'] > 1 else 'seeds'} do not tell.",
            "Take whichever of them is cheapest or simplest (result.ties(), result.best(rule='1se', prefer=…)), or "
            "add seeds or folds.",
        )


def stopped(reading: Reading) -> Iterator[Finding]:
    """The stopping rule decided, and hardly anything was left to compare at the end."""
    status = reading.dataset["status"].values
    cut, done = int((status == "stopped").any(axis=(1, 2)).sum()), int(reading.finished.sum())
    if cut and done < FEW:
        yield Finding(
            "warning",
            f"{done} of {len(reading.finished)} configurations finished, {cut} were stopped early: the best was chosen "
            "by evaluations in the middle of training, which curves that cross, under a falling rate above all, mislead.",
            "Let the rule begin later (min_steps, min_epochs) or stop fewer (eta), or leave it out, and see whether "
            "the same one wins.",
        )


def coarse(reading: Reading) -> Iterator[Finding]:
    """A better value is foreseen between the best and its neighbours on an axis."""
    for name, _ in reading.varied():
        lower, upper = (reading.beside(name, direction) for direction in (-1, 1))
        if (
            lower is None
            or upper is None
            or not (_is_worse(reading, lower) and _is_worse(reading, upper))
        ):
            continue
        points = [lower, reading.best, upper]
        x, y = reading.axes[name][points], reading.means[points]
        is_log = x[0] > 0 and scale_of(reading.axes[name]) != "linear"
        best_x, gain = _vertex(np.log(x) if is_log else x, y)
        best_x = float(np.exp(best_x) if is_log else best_x)
        if (
            are_whole(reading.axes[name]) and round(best_x) in x
        ):  # whole numbers leave no room between
            continue
        error = float(reading.errors[reading.best])
        if gain > error:
            low, high = (x[0], x[1]) if best_x < x[1] else (x[1], x[2])
            yield Finding(
                "note",
                f"The values of {name} are far apart around the best: both neighbours, {x[0]:.4g} and {x[2]:.4g}, are "
                f"worse, and a parabola through the three has its best at {best_x:.3g}, better by {gain:.2g} "
                f"(standard error {error:.2g}).",
                f"Evaluation between {low:.4g} and {high:.4g}, around {best_x:.3g}.",
            )


def _is_worse(reading: Reading, config: int) -> bool:
    return bool(reading.finished[config] and reading.behind(config).p_value <= LEVEL)


def _vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Where the parabola through three points, the middle one the lowest, is least, and how far below that."""
    a, b, _ = np.polyfit(x - x[1], y - y[1], 2)
    return float(x[1] - b / (2 * a)), float(b**2 / (4 * a))
