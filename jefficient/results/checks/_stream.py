"""Check of a stream: whether the best configuration's errors rise along it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .._distributions import t_sf
from ._reading import LEVEL, Finding, Reading

FEWEST = 5
"""Windows on each side of a place: a t-test of fewer finds only what is plain to see."""
SHARE = 5
"""Each side has a fifth of all windows where that is more."""


class Rise(NamedTuple):
    """A place where a windowed score gets worse.

    `last`: the last window before it; `before`, `after`: means over the `windows` on each side;
    `p_value`: one-sided, corrected for all `places`.
    """

    last: int
    before: float
    after: float
    windows: int
    places: int
    p_value: float


def clearest_rise(scores: np.ndarray) -> Rise | None:
    """Find where a windowed score rises most clearly; None where there are too few windows.

    At each place the windows before and after are compared by Welch's one-sided t-test, and the
    least p-value is multiplied by the number of places (Bonferroni), as ADWIN compares neighbouring
    parts of a stream (Bifet and Gavaldà 2007). Windows are taken as independent. A score that falls
    while the model learns makes a rise less likely to be found, never more.

    Args:
        scores: of each window, float array (windows,); the smaller, the better.
    """
    size = max(FEWEST, len(scores) // SHARE)
    if len(scores) < 2 * size:
        return None
    sides = np.lib.stride_tricks.sliding_window_view(scores, size)
    before, after = sides[:-size], sides[size:]
    rise = after.mean(axis=1) - before.mean(axis=1)

    variances = np.stack([before.var(axis=1, ddof=1), after.var(axis=1, ddof=1)]) / size
    variances += np.square(np.finfo(np.float32).eps * np.abs(scores).max() + 1e-30)  # of digits
    total = variances.sum(axis=0)
    degrees = (size - 1) * total**2 / np.square(variances).sum(axis=0)
    p_values = t_sf(rise / np.sqrt(total), degrees)
    place = int(p_values.argmin())
    return Rise(
        last=place + size - 1,
        before=float(before[place].mean()),
        after=float(after[place].mean()),
        windows=size,
        places=len(rise),
        p_value=float(min(1.0, len(rise) * p_values[place])),
    )


def drift(reading: Reading) -> Iterator[Finding]:
    """The windowed score of the best configuration gets worse somewhere along the stream."""
    if not reading.is_prequential:
        return
    metric = reading.score.metric
    name = f"window_{metric.partition('_')[2]}"
    curve = reading.curve(name)
    if curve is None:
        return
    sign = 1 if name == metric else reading.score.sign  # else the curve has it
    rise = clearest_rise(sign * curve.mean)
    if rise is None or rise.p_value > LEVEL:
        return
    before, after = (reading.score.sign * x for x in (rise.before, rise.after))
    yield Finding(
        "warning",
        f"The best configuration's {name} gets worse along the stream, most clearly after "
        f"{curve.when[rise.last]}: from {before:.4g} to {after:.4g} (means over {rise.windows} "
        f"windows before and after; p = {rise.p_value:.1g}, Welch's t-test corrected for "
        f"{rise.places} places).",
        "The data drift there, or training becomes unstable. Look at result.plot.curves"
        f"({name!r}): what is best on average over the whole stream need not be best after it.",
    )
