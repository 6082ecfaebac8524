"""Checks of what was tried: its failures, its spacing, and how sure the best configuration is."""

import json
from collections.abc import Iterator

import numpy as np

from .._axes import counted, scale_of
from .._best import ties
from .._dataset import TRIAL, array_of, hyperparameters
from .._statistics import standard_errors
from .._values import is_varied
from ._boundary import are_whole
from ._reading import LEVEL, Finding, Reading, mend_data

FEW = 3
"""If only one or two finished, the score at the end compares hardly anything."""
MANY = 0.25
"""Share of the configurations: one value of four on an axis was out of reach."""


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
            f"The best {name}, {low:.4g}, is at the edge of divergence: at {high:.4g}, all else "
            f"the same, {count} of {trials} trials diverged.",
            f"Try values between {low:.4g} and {high:.4g}, or move the edge by warmup or gradient "
            "clipping.",
        )


def diverged(reading: Reading) -> Iterator[Finding]:
    """Many configurations diverged."""
    count = int(reading.diverged.sum())
    configs = len(reading.diverged)
    if count >= MANY * configs:
        yield Finding(
            "warning",
            f"{count} of {counted(configs, 'configuration')} ({count / configs:.0%}) have a "
            "diverged trial: nothing is learned from that part of the space.",
            mend_data(reading.dataset)
            or "Lower the top of the range of learning rates, or add warmup or gradient clipping.",
        )


def noise(reading: Reading) -> Iterator[Finding]:
    """Another configuration could be the best."""
    count = int(reading.finished.sum())
    if count < 2:
        return
    repeats = reading.units.values.shape[1]
    if repeats == 1:
        yield Finding(
            "warning",
            f"Each of the {count} configurations has one trial: nothing tells whether the best is "
            "better than others or luckier.",
            "If a trial draws random numbers, repeat the sweep with seeds=3 or more. The stream "
            "itself is one: compare window_<metric> along it."
            if reading.is_prequential
            else "Repeat the sweep with folds=5 or, if a trial draws random numbers, seeds=3 or "
            "more.",
        )
        return
    others = len(ties(reading.dataset)) - 1
    if others > 0:
        units = "folds" if reading.dataset.sizes["fold"] > 1 else "seeds"
        yield Finding(
            "note",
            f"The best is within noise of {others} other configuration{'s' * (others > 1)} of "
            f"{count}: {repeats} {units} do not tell which of them is best.",
            f"Two tell next to nothing apart: add {reading.repeats}."
            if repeats == 2
            else "Take the cheapest or simplest of them (result.ties(), result.best(rule='1se', "
            f"prefer=…)), or add {reading.repeats}.",
        )


def own_losses(reading: Reading) -> Iterator[Finding]:
    """The configurations are ranked by a loss that takes a hyperparameter which varies."""
    dataset = reading.dataset
    taken = json.loads(dataset.attrs.get("loss_takes", "{}")).get(dataset.attrs["metric"], [])
    varied = [x for x in hyperparameters(dataset) if x in taken and is_varied(dataset, x)]
    if varied:
        names = " and ".join(varied)
        yield Finding(
            "note",
            f"The loss takes {names}. Where that changes what is measured (the weight of a term, "
            "a margin, label smoothing) and not what the model predicts, losses of different "
            "configurations do not compare.",
            "Rank by a metric that is the same for all: Task(metrics=…), then "
            "jf.sweep(metric=…) or result.ranked_by(…).",
        )


def stopped(reading: Reading) -> Iterator[Finding]:
    """The stopping rule decided, and hardly anything was left to compare at the end."""
    status = array_of(reading.dataset, "status", *TRIAL)
    stopped_early = int((status == "stopped").any(axis=(1, 2)).sum())
    done = int(reading.finished.sum())
    if stopped_early and done < FEW:
        were = "was" if stopped_early == 1 else "were"
        yield Finding(
            "warning",
            f"{done} of {counted(len(reading.finished), 'configuration')} finished, "
            f"{stopped_early} {were} stopped early: the best was chosen by evaluations in the "
            "middle of training, which mislead if curves cross, above all under a falling learning "
            "rate.",
            "Let the rule begin later (min_steps, min_epochs) or stop fewer (eta), or leave it "
            "out, and see whether the best is the same.",
        )


def coarse(reading: Reading) -> Iterator[Finding]:
    """A better value is expected between the best and its neighbours on an axis."""
    for name, _ in reading.varied():
        lower = reading.beside(name, -1)
        upper = reading.beside(name, 1)
        if lower is None or upper is None:
            continue
        if not (_is_worse(reading, lower) and _is_worse(reading, upper)):
            continue
        points = [lower, reading.best, upper]
        x = reading.axes[name][points]
        y = reading.means[points]
        is_log = x[0] > 0 and scale_of(reading.axes[name]) != "linear"
        best_x, gain = _vertex(np.log(x) if is_log else x, y)
        best_x = float(np.exp(best_x) if is_log else best_x)
        if are_whole(reading.axes[name]) and round(best_x) in x:
            continue  # whole numbers leave no room between
        error = float(standard_errors(reading.dataset)[reading.best])
        if gain > error:
            low, high = (x[0], x[1]) if best_x < x[1] else (x[1], x[2])
            yield Finding(
                "note",
                f"The values of {name} are far apart around the best: both neighbours, {x[0]:.4g} "
                f"and {x[2]:.4g}, are worse, and a parabola through the three has its best at "
                f"{best_x:.3g}, better by {gain:.2g} (standard error {error:.2g}).",
                f"Try values between {low:.4g} and {high:.4g}, around {best_x:.3g}.",
            )


def _is_worse(reading: Reading, config: int) -> bool:
    return bool(reading.finished[config] and reading.p_value(config) <= LEVEL)


def _vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Find the least point of the parabola through three points, and how far below the middle."""
    a, b, _ = np.polyfit(x - x[1], y - y[1], 2)
    return float(x[1] - b / (2 * a)), float(b**2 / (4 * a))
