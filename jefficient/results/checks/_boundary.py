"""Check whether the best is at an end of a range.

A grid has ends; of values that were drawn, one is the last by chance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .._axes import scale_of
from .._dataset import hyperparameters
from .._values import column
from ._reading import LEVEL, Finding, Reading

ENOUGH_VALUES = 3
"""Two values are a choice between two things, not a range with an end."""
LEADERS = 3
"""Of drawn values, so many of the best must be near the same end."""
OUTER = 0.2
"""Share of the values that are near an end: by chance three are in 2 · 0.2³, one of 60 cases."""


class Edge(NamedTuple):
    """The best of an axis is at an end of it, and no value inside is as good.

    Attributes:
        is_high: whether it is the upper end.
        leaders: of drawn values, those of the best few configurations; else None.
    """

    is_high: bool
    leaders: np.ndarray | None = None


def boundary(reading: Reading) -> Iterator[Finding]:
    """The best value is the last of its range, and no value inside is as good."""
    for name, values in reading.varied():
        edge = edge_of(reading, name, values)
        if edge is None:
            continue
        extreme, way = ("largest", "upwards") if edge.is_high else ("smallest", "downwards")
        if edge.leaders is not None:
            shown = ", ".join(f"{v:.3g}" for v in edge.leaders)
            yield Finding(
                "warning",
                f"The {LEADERS} best configurations have their {name} ({shown}) among the "
                f"{extreme} fifth of the {len(values)} drawn: a better one may lie outside.",
                f"Draw {name} from a range that extends further {way}.",
            )
            continue
        outside, how = beyond(values, edge.is_high)
        outside = round(outside) if are_whole(values) else outside
        yield Finding(
            "warning",
            f"The best {name}, {reading.axes[name][reading.best]:.4g}, is the {extreme} of the "
            f"{len(values)} tried ({values[0]:.4g} to {values[-1]:.4g}): a better one may lie "
            "outside.",
            f"Extend {name} {way}: to about {outside:.3g} ({how}).",
        )


def edge_of(reading: Reading, name: str, values: np.ndarray) -> Edge | None:
    """Return the end of an axis of distinct `values` that the best is at, None if it is inside."""
    x = reading.axes[name]
    if _is_drawn(reading, values):
        return _leaders_at_an_end(reading, name, values)
    here = x[reading.best]
    # if a single value finished, it is an end for no reason
    compared = len(np.unique(x[reading.finished]))
    if min(len(values), compared) < ENOUGH_VALUES or here not in (values[0], values[-1]):
        return None
    is_high = bool(here == values[-1])
    # nothing is below no penalty, or a batch of one example
    natural = (0, 1) if are_whole(values) else (0,)
    if not is_high and here in natural:
        return None
    if _is_matched(reading, (x > values[0]) & (x < values[-1])):
        return None
    return Edge(is_high)


def _is_drawn(reading: Reading, values: np.ndarray) -> bool:
    """Whether no value comes twice, though other axes vary."""
    dataset = reading.dataset
    varied = [len(np.unique(column(dataset, x))) > 1 for x in hyperparameters(dataset)]
    return sum(varied) > 1 and len(values) == dataset.sizes["config"]


def _leaders_at_an_end(reading: Reading, name: str, values: np.ndarray) -> Edge | None:
    """Return the end of drawn values that the best few are all near."""
    means = np.where(reading.finished, reading.means, np.inf)
    leaders = np.argsort(means, kind="stable")[:LEADERS]
    if not np.isfinite(means[leaders]).all():
        return None
    places = np.searchsorted(values, reading.axes[name][leaders]) / len(values)
    is_high = bool((places >= 1 - OUTER).all())
    # a range that begins at zero has a natural end there
    gap = np.ptp(values) / len(values)
    from_zero = scale_of(values) == "linear" and 0 <= values[0] <= 2 * gap
    is_low = bool((places < OUTER).all()) and not from_zero
    return Edge(is_high, reading.axes[name][leaders]) if is_high or is_low else None


def are_whole(values: np.ndarray) -> bool:
    """Whether all values are whole numbers."""
    return bool((values % 1 == 0).all())


def _is_matched(reading: Reading, inside: np.ndarray) -> bool:
    """Whether the best of the configurations inside is not shown to be worse than the best."""
    inside = np.flatnonzero(inside & reading.finished)
    if not len(inside):
        return False
    # NaN for a single unit, whose order counts as it is
    return reading.p_value(inside[reading.means[inside].argmin()]) > LEVEL


def beyond(values: np.ndarray, is_high: bool) -> tuple[float, str]:
    """Return the next value past the end of an axis, at its own spacing, and why that one."""
    end, neighbour = values[[-1, -2]] if is_high else values[[0, 1]]
    if neighbour != 0 and end / neighbour > 0 and scale_of(values) != "linear":
        factor = max(end / neighbour, neighbour / end)
        return end * (end / neighbour), f"a factor of {factor:.3g}, as between the last two"
    step = abs(end - neighbour)
    if is_high and values[0] >= 0 and end < 1 <= end + step:  # a share, such as momentum
        return (1 + end) / 2, "half of what is left to 1"
    if not is_high and 0 < end <= step:
        return end / 2, "half of it"
    return end + step if is_high else end - step, f"a step of {step:.3g}, as between the last two"
