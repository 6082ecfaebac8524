"""The style that all plots share.

Nothing global is changed, and matplotlib is imported only where something is drawn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..._core.errors import JefficientError
from .._axes import Scale, shown, smallest_positive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

COLORS = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#009E73")
"""Okabe and Ito's for colour-blind readers, without those near the red of the crosses."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "0.72"
Style = dict[str, Any]
"""Keywords of matplotlib."""
MANY = 2000
"""More dots than that are drawn thin, and as pixels in vector files."""


class Plot(Protocol):
    """What a plot shows, read from a dataset."""

    def draw(self, ax: "Axes") -> str:
        """Draw; return the legend's title."""
        ...

    def described(self) -> str:
        """Say it in a sentence."""
        ...


def new_axes(where: str) -> "Axes":
    """Make a figure; return its axes."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise JefficientError(
            f"{where}: matplotlib must be installed: pip install 'jefficient[plot]'."
        ) from None
    return plt.subplots(layout="constrained")[1]


def draw(plot: Plot, ax: "Axes", is_own: bool) -> None:
    """Draw a plot with its legend; `is_own` if the figure has nothing else."""
    with _plain_texts(ax):
        _legend(ax, plot.draw(ax), is_own)


@contextmanager
def _plain_texts(ax: "Axes") -> Iterator[None]:
    """Show texts that are written inside as they stand: a ``$`` begins no mathematics.

    What was there before stays as it is, and so do the powers of ten along axes.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    figure: Any = ax.figure
    texts_before = set(figure.findobj(Text))
    axes_before = set(figure.axes) - {ax}
    formatters_before = {axis.get_major_formatter() for axis in (ax.xaxis, ax.yaxis)}
    yield

    ours = set(figure.findobj(Text)) - texts_before
    drawn = set(figure.axes) - axes_before  # a colour bar has axes, too
    for axis in (axis for each in drawn for axis in (each.xaxis, each.yaxis)):
        ticks = {text for tick in axis.get_major_ticks() for text in tick.findobj(Text)}
        is_ours = axis.get_major_formatter() not in formatters_before
        if is_ours and isinstance(axis.get_major_locator(), FixedLocator):
            ours |= ticks
        else:
            ours -= ticks
        ours.add(axis.label)
    for text in ours:
        text.set(parse_math=False, usetex=False)


def entry(name: str) -> str:
    """Write a name for the legend, from which matplotlib leaves out what begins with "_"."""
    return f" {name}" if name.startswith("_") else name


def _legend(ax: "Axes", title: str, is_own: bool) -> None:
    """Explain the marks: above the axes if the figure is ours or the axes are full, else inside."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    style: Style = {"fontsize": "small"}
    if is_own:
        longest = max(map(len, labels))
        columns = 3 if longest < 27 else 2 if longest < 42 else 1
        style |= {"ncols": min(len(labels), columns), "frameon": False, "title_fontsize": "small"}
        figure: Any = ax.figure
        figure.legend(handles, labels, loc="outside upper center", title=title or None, **style)
    elif ax.images:
        style |= {"ncols": len(labels), "frameon": False, "bbox_to_anchor": (0.5, 1.0)}
        ax.legend(loc="lower center", **style)
    else:
        points = sum(np.size(line.get_xdata()) for line in ax.get_lines())
        loc = "best" if points <= MANY else "upper right"  # "best" searches for seconds
        ax.legend(title=title or None, loc=loc, **style)


def set_scale(ax: "Axes", along: Literal["x", "y"], scale: Scale, values: ArrayLike) -> None:
    """Set the scale of an axis, with few ticks and no labels between them."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

    if scale == "linear":
        return
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite) & (finite > 0)]
    more = {"linthresh": smallest_positive(finite), "linscale": 0.4} if scale == "symlog" else {}
    getattr(ax, f"set_{along}scale")(scale, **more)
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_minor_formatter(NullFormatter())
    decades = np.log10(finite.max() / finite.min())
    if scale == "log" and decades < 3:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1, 3)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    elif scale == "log":
        axis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=True))


def set_ticks_at(ax: "Axes", scale: Scale, values: np.ndarray) -> None:
    """Put ticks of the x axis at the values, if they are few and their labels do not touch."""
    from matplotlib.ticker import NullLocator

    given = np.unique(values)
    places = np.log(given) if scale == "log" else given
    if scale != "symlog" and 1 < len(given) < 10 and np.diff(places).min() > 0.11 * np.ptp(places):
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(given, [shown(x) for x in given.tolist()])


def draw_crosses(
    ax: "Axes", x: ArrayLike, y: ArrayLike, *, label: str = "diverged", **kwargs: Any
) -> None:
    """Draw red crosses for what diverged."""
    if np.size(x):
        style: Style = {"color": "red", "markersize": 8, "markeredgewidth": 1.5}
        style |= {"clip_on": False, "zorder": 5}
        ax.plot(x, y, "x", label=label, **style, **kwargs)


def draw_edge_crosses(
    ax: "Axes", x: np.ndarray, *, is_at_top: bool, label: str = "diverged"
) -> None:
    """Draw red crosses at the bad edge, for what has no value, and leave room for them."""
    if x.size:
        ax.margins(y=0.12)
        height = np.full(len(x), 0.96 if is_at_top else 0.04)
        draw_crosses(ax, x, height, label=label, transform=ax.get_xaxis_transform())
        if not any(np.isfinite(line.get_ydata()).any() for line in ax.get_lines()[:-1]):
            ax.set_yticks([])


def draw_ring(ax: "Axes", x: float, y: float) -> None:
    """Draw a ring around the best dot."""
    style: Style = {"markersize": 13, "markerfacecolor": "none"}
    style |= {"markeredgecolor": "black", "markeredgewidth": 2}
    ax.plot([x], [y], "o", label="best", **style)


def draw_nothing(ax: "Axes", text: str) -> None:
    """Say in the middle why there is nothing to see."""
    style: Style = {"ha": "center", "va": "center", "color": "0.35", "wrap": True}
    ax.text(0.5, 0.5, text, transform=ax.transAxes, **style)


def norm_of(scale: Scale, values: np.ndarray) -> "Normalize":
    """Return what maps values to colours on this scale."""
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    low = float(finite.min()) if finite.size else 0.0
    high = float(finite.max()) if finite.size else 1.0
    if scale == "log":
        return LogNorm(low, high)
    if scale == "symlog":
        return SymLogNorm(smallest_positive(finite), vmin=low, vmax=high, linscale=0.4)
    return Normalize(low, high)
