"""Checks of how the best configuration was trained."""

from collections.abc import Iterator

import numpy as np

from ._reading import Curve, Finding, Reading

RELEVANT = 0.05
"""Share of all that training gained: less would not matter, however significant."""
FLAT = 0.01
"""Share of all that training gained: the half of it that gained less was not needed."""
LAST = 0.2
"""Share of a curve that is its end: long enough to contain more than one bad evaluation."""
FEW_EVALUATIONS = 5
"""A fifth of fewer is less than one."""
MOSTLY = 0.5
"""Clipping is for outliers: if more updates are clipped, max_norm sets the length of the steps."""


def overfitting(reading: Reading) -> Iterator[Finding]:
    """The validation metric got worse again while the training loss went on falling."""
    metric = reading.score.metric
    curve = reading.curve(metric)
    train = reading.curve("train_loss")
    if reading.is_prequential:
        return  # nothing is held out
    if metric == "train_loss" or curve is None or train is None or curve.when != train.when:
        return
    best = int(curve.mean.argmin())
    last = curve.evaluations - 1
    worse = curve.mean[last] - curve.mean[best]
    if worse <= RELEVANT * curve.gain or not curve.is_real(best, last):
        return
    if train.mean[last] >= train.mean[best]:
        return
    if (curve.values[:, : best + 1] == 0).all():
        return  # a count of errors before the model predicted anything is none to go back to
    at_best, at_last = (reading.score.sign * curve.mean[i] for i in (best, last))
    evidence = (
        f"The best configuration overfits: its {metric} was best at {curve.when[best]}, "
        f"{at_best:.4g}, and is {at_last:.4g} at {curve.when[last]}, while train_loss fell from "
        f"{train.mean[best]:.4g} to {train.mean[last]:.4g}."
    )
    if reading.score.select == "last":
        next_step = "Try select='best', fewer epochs, or a stronger decay."
        yield Finding("warning", evidence, next_step)
    else:
        next_step = (
            "The best evaluation counts here (select='best'); fewer epochs would do, and a "
            "stronger decay may help."
        )
        yield Finding("note", evidence, next_step)


def improving(reading: Reading) -> Iterator[Finding]:
    """The score was still getting better at the end."""
    curve = reading.curve(reading.score.metric)
    if curve is None or curve.evaluations < FEW_EVALUATIONS or curve.gain <= 0:
        return
    if reading.is_prequential:
        return  # a stream cannot be made longer, and its mean goes on falling
    last = curve.evaluations - 1
    before = last - max(1, round(LAST * curve.evaluations))
    gain = curve.mean[before] - curve.mean[last]
    if gain > RELEVANT * curve.gain and curve.is_real(last, before):
        yield Finding(
            "warning",
            f"The best configuration was still improving: {gain / curve.gain:.0%} of what training "
            f"brought to its {reading.score.metric} came after {curve.when[before]}, of "
            f"{_end(curve)}.",
            "Train longer (epochs or steps), or try a larger learning rate.",
        )


def saturated(reading: Reading) -> Iterator[Finding]:
    """The second half of the training made the score neither better nor worse."""
    curve = reading.curve(reading.score.metric)
    if curve is None or curve.evaluations < FEW_EVALUATIONS or curve.gain <= 0:
        return
    if reading.is_prequential:
        return  # the whole stream is what is scored
    half = (curve.evaluations - 1) // 2
    gain = curve.mean[half] - curve.mean[half:].min()
    worse = curve.mean[-1] - curve.mean.min()
    if gain < FLAT * curve.gain and worse <= RELEVANT * curve.gain:
        yield Finding(
            "note",
            f"The best configuration was done early: after {curve.when[half]}, of {_end(curve)}, "
            f"its {reading.score.metric} improved by {gain / curve.gain:.1%} of what training "
            "brought in all.",
            f"About {curve.when[half]} is enough: spend the rest on more configurations"
            f"{' or folds' if reading.are_seeds_alike else ', seeds or folds'}.",
        )


def clipped(reading: Reading) -> Iterator[Finding]:
    """Most updates were clipped."""
    if "clipped" not in reading.dataset:
        return
    shares = reading.dataset["clipped"].isel(config=reading.best).values
    shares = shares[np.isfinite(shares)]
    if shares.size and shares.mean() > MOSTLY:
        yield Finding(
            "warning",
            f"clip_by_global_norm shortened {shares.mean():.0%} of the best configuration's "
            "updates: max_norm, not the learning rate, sets their length.",
            "Raise max_norm, so that it clips outliers alone, or lower the learning rate.",
        )


def rising(reading: Reading) -> Iterator[Finding]:
    """The training loss went up at the end, or all along."""
    curve = reading.curve("train_loss")
    if curve is None or curve.evaluations < 2 or reading.is_prequential:
        return  # where a stream's loss rises, `drift` says so
    least = int(curve.mean.argmin())
    last = curve.evaluations - 1
    rise = curve.mean[last] - curve.mean[least]
    if rise > RELEVANT * np.ptp(curve.mean) and curve.is_real(least, last):
        yield Finding(
            "warning",
            f"The best configuration's train_loss rises: from {curve.mean[least]:.4g} at "
            f"{curve.when[least]} to {curve.mean[last]:.4g} at {curve.when[last]}.",
            "Lower the learning rate, let a schedule lower it towards the end, or clip gradients.",
        )


def _end(curve: Curve) -> str:
    return curve.when[-1].split()[-1]
