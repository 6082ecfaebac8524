"""Checks of how the best configuration was trained.

The reasons of each threshold stand beside it.
"""

from collections.abc import Iterator

import numpy as np

from ._reading import Curve, Finding, Reading

RELEVANT = 0.05
"""A twentieth of what training brought in all: below that nobody would act, whatever its significance."""
FLAT = 0.01
"""A half of the training that brought less than a hundredth of the whole was not needed."""
LAST = 0.2
"""The end of a curve: its last fifth is long enough to outlast a bad evaluation, and short enough to be the end."""
FEW_LOOKS = 5
"""With fewer evaluations a fifth of them is less than one."""
MOSTLY = 0.5
"""Clipping is for outliers.

Where more than half of the updates are clipped, the bound sets the step's length.
"""


def overfitting(reading: Reading) -> Iterator[Finding]:
    """The validation metric got worse again while the training loss went on falling."""
    curve, train = reading.curve(reading.score.metric), reading.curve("train_loss")
    if (
        reading.score.metric == "train_loss"
        or curve is None
        or train is None
        or curve.when != train.when
    ):
        return
    best, last = int(curve.mean.argmin()), curve.evaluations - 1
    worse = curve.mean[last] - curve.mean[best]
    if (
        worse <= RELEVANT * curve.gain
        or not curve.is_real(best, last)
        or train.mean[last] >= train.mean[best]
    ):
        return
    metric, sign = reading.score.metric, reading.score.sign
    counts = reading.score.select == "last"
    evidence = (
        f"The best configuration overfits: its {metric} was best at {curve.when[best]}, "
        f"{sign * curve.mean[best]:.4g}, and is {sign * curve.mean[last]:.4g} at {curve.when[last]}, while "
        f"train_loss fell from {train.mean[best]:.4g} to {train.mean[last]:.4g}."
    )
    advice = "Try select='best', fewer epochs, or a stronger decay."
    spared = "The best evaluation counts here (select='best'); fewer epochs would do, and a stronger decay may help."
    yield Finding("warning", evidence, advice) if counts else Finding("note", evidence, spared)


def improving(reading: Reading) -> Iterator[Finding]:
    """The score was still getting better at the end."""
    curve = reading.curve(reading.score.metric)
    if curve is None or curve.evaluations < FEW_LOOKS or curve.gain <= 0:
        return
    last = curve.evaluations - 1
    before = last - max(1, round(LAST * curve.evaluations))
    gain = curve.mean[before] - curve.mean[last]
    if gain > RELEVANT * curve.gain and curve.is_real(last, before):
        yield Finding(
            "warning",
            f"The best configuration was still improving: {gain / curve.gain:.0%} of what training brought to its "
            f"{reading.score.metric} came after {curve.when[before]}, of {_end(curve)}.",
            "Train longer (epochs or steps), or try a larger learning rate.",
        )


def saturated(reading: Reading) -> Iterator[Finding]:
    """The second half of the training brought nothing, and cost nothing either."""
    curve = reading.curve(reading.score.metric)
    if curve is None or curve.evaluations < FEW_LOOKS or curve.gain <= 0:
        return
    half = (curve.evaluations - 1) // 2
    gain = curve.mean[half] - curve.mean[half:].min()
    worse = curve.mean[-1] - curve.mean.min()
    if gain < FLAT * curve.gain and worse <= RELEVANT * curve.gain:
        yield Finding(
            "note",
            f"The best configuration was done early: after {curve.when[half]}, of {_end(curve)}, its "
            f"{reading.score.metric} improved by {gain / curve.gain:.1%} of what training brought in all.",
            f"About {curve.when[half]} is enough: spend the rest on more configurations, seeds or folds.",
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
            f"clip_by_global_norm shortened {shares.mean():.0%} of the best configuration's updates: its bound, not "
            "the learning rate, sets their length.",
            "Raise max_norm, so that it catches outliers alone, or lower the learning rate.",
        )


def rising(reading: Reading) -> Iterator[Finding]:
    """The training loss went up at the end, or all along."""
    curve = reading.curve("train_loss")
    if curve is None or curve.evaluations < 2:
        return
    least, last = int(curve.mean.argmin()), curve.evaluations - 1
    rise = curve.mean[last] - curve.mean[least]
    if rise > RELEVANT * np.ptp(curve.mean) and curve.is_real(least, last):
        yield Finding(
            "warning",
            f"The best configuration's train_loss rises: from {curve.mean[least]:.4g} at {curve.when[least]} to "
            f"{curve.mean[last]:.4g} at {curve.when[last]}.",
            "Lower the learning rate, let a schedule lower it towards the end, or clip gradients.",
        )


def _end(curve: Curve) -> str:
    return curve.when[-1].split()[-1]
