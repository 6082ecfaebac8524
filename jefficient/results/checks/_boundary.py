"""Is the best at an end of a range? A grid has ends; of values that were drawn, one is the last by chance."""

from collections.abc import Iterator

import numpy as np

from .._axes import scale_of
from .._dataset import hyperparameters
from ._reading import LEVEL, Finding, Reading

ENOUGH_VALUES = 3
"""Two values are a choice between two things, not a range with an end."""
LEADERS = 3
"""Of drawn values, so many of the best must be near the same end: by chance that is once in 60 times ..."""
OUTER = 0.2
"""... where the end is a fifth of the values: 2 · 0.2³."""


def boundary(reading: Reading) -> Iterator[Finding]:
    """The best value is the last of its range, and no value inside is as good."""
    for name, values in reading.varied():
        x = reading.axes[name]
        if _is_drawn(reading, values):
            yield from _leaders_at_an_end(reading, name, values)
            continue
        here = x[reading.best]
        compared = len(
            np.unique(x[reading.finished])
        )  # with one that finished, its value is an end for no reason
        if min(len(values), compared) < ENOUGH_VALUES or here not in (values[0], values[-1]):
            continue
        is_high = here == values[-1]
        natural = (
            (0, 1) if are_whole(values) else (0,)
        )  # nothing is below no penalty, or a batch of one row
        if (not is_high and here in natural) or _is_matched(
            reading, (x > values[0]) & (x < values[-1])
        ):
            continue
        beyond, how = _beyond(values, is_high)
        yield Finding(
            "warning",
            f"The best {name}, {here:.4g}, is the {'largest' if is_high else 'smallest'} of the {len(values)} tried "
            f"({values[0]:.4g} to {values[-1]:.4g}): a better one may lie outside.",
            f"Extend {name} {'upwards' if is_high else 'downwards'}: to about {beyond:.3g} ({how}).",
        )


def _is_drawn(reading: Reading, values: np.ndarray) -> bool:
    """Whether no value comes twice, though other axes vary: one of the drawn values is the last by chance."""
    distinct = [
        len(np.unique(reading.dataset[name].values)) for name in hyperparameters(reading.dataset)
    ]
    return (
        sum(count > 1 for count in distinct) > 1 and len(values) == reading.dataset.sizes["config"]
    )


def _leaders_at_an_end(reading: Reading, name: str, values: np.ndarray) -> Iterator[Finding]:
    """The best few are all near the same end of the range that was drawn from."""
    means = np.where(reading.finished, reading.means, np.inf)
    leaders = np.argsort(means, kind="stable")[:LEADERS]
    places = np.searchsorted(values, reading.axes[name][leaders]) / len(values)
    is_high = bool((places >= 1 - OUTER).all())
    from_zero = scale_of(values) == "linear" and 0 <= values[0] <= 2 * np.ptp(values) / len(
        values
    )  # a natural end
    if np.isfinite(means[leaders]).all() and (
        is_high or ((places < OUTER).all() and not from_zero)
    ):
        shown = ", ".join(f"{v:.3g}" for v in reading.axes[name][leaders])
        yield Finding(
            "warning",
            f"The {LEADERS} best configurations have their {name} ({shown}) among the "
            f"{'largest' if is_high else 'smallest'} fifth of the {len(values)} drawn: a better one may lie outside.",
            f"Draw {name} from a range that reaches further {'upwards' if is_high else 'downwards'}.",
        )


def are_whole(values: np.ndarray) -> bool:
    return bool((values % 1 == 0).all())


def _is_matched(reading: Reading, inside: np.ndarray) -> bool:
    """Whether the best of the configurations inside is not shown to be worse; a single unit is taken at its word."""
    inside = np.flatnonzero(inside & reading.finished)
    if not len(inside):
        return False
    p_value = reading.behind(inside[reading.means[inside].argmin()]).p_value
    return bool(p_value > LEVEL)


def _beyond(values: np.ndarray, is_high: bool) -> tuple[float, str]:
    """The next value of an axis past its end, at its own spacing."""
    beyond, how = _step_beyond(values, is_high)
    return (round(beyond) if are_whole(values) else beyond), how


def _step_beyond(values: np.ndarray, is_high: bool) -> tuple[float, str]:
    end, neighbour = (values[-1], values[-2]) if is_high else (values[0], values[1])
    if neighbour != 0 and end / neighbour > 0 and scale_of(values) != "linear":
        factor = max(end / neighbour, neighbour / end)
        return end * (end / neighbour), f"a factor of {factor:.3g}, as between the last two"
    step = abs(end - neighbour)
    if is_high and values[0] >= 0 and end < 1 <= end + step:  # a share, such as momentum or dropout
        return (1 + end) / 2, "half of what is left to 1"
    if not is_high and 0 < end <= step:
        return end / 2, "half of it"
    return end + step if is_high else end - step, f"a step of {step:.3g}, as between the last two"
