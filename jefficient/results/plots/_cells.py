"""Scores over two hyperparameters: cells of a product, dots of what is none."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .._axes import scale_of, shown
from ._style import MANY, Style, draw_crosses, draw_ring, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._heatmap import HeatmapPlot


LETTERS = 36
"""That fit below a picture with a colour bar in all, gaps between labels left out."""


def draw_cells(ax: "Axes", picture: "HeatmapPlot", colors: Style) -> Any:
    """One cell for each pair of values; returns what a colour bar explains."""
    cells = picture.cells
    values = np.where(cells >= 0, picture.means[cells], np.nan)
    ax.set_facecolor("0.93")
    image = ax.imshow(np.ma.masked_invalid(values), origin="lower", aspect="auto", **colors)
    for y, x in np.argwhere(cells < 0):
        _frame(ax, x, y, hatch="///", edgecolor="0.6", linewidth=0)
    y, x = np.nonzero((cells >= 0) & picture.diverged[cells])
    draw_crosses(ax, x, y)
    _annotate(ax, values, image)
    if picture.best is not None:
        place = picture.place[:, picture.best]
        _frame(ax, *place, edgecolor="white", linewidth=5, zorder=4)
        _frame(ax, *place, edgecolor="black", linewidth=2.5, zorder=4.1, label="best")
    for axis, labels, most in ((ax.xaxis, picture.values[0], 8), (ax.yaxis, picture.values[1], 14)):
        every = -(-len(labels) // most)
        texts = [shown(x) for x in labels[::every].tolist()]
        slant: Style = (
            {"rotation": 30, "ha": "right"}
            if axis is ax.xaxis and len("".join(texts)) > LETTERS
            else {}
        )
        axis.set_ticks(range(0, len(labels), every), texts, **slant)
    return image


def draw_dots(ax: "Axes", picture: "HeatmapPlot", colors: Style) -> Any:
    """One dot for each configuration; returns what a colour bar explains."""
    is_number = [np.issubdtype(column.dtype, np.number) for column in picture.columns]
    x, y = (
        (column if numbers else place).astype(float)
        for column, place, numbers in zip(picture.columns, picture.place, is_number, strict=True)
    )
    seen, is_many = np.isfinite(picture.means), len(x) > MANY
    style: Style = {
        "s": 12 if is_many else 45,
        "rasterized": is_many,
        "edgecolor": "0.3",
        "linewidth": 0.3,
        **colors,
    }
    dots = ax.scatter(x[seen], y[seen], c=picture.means[seen], **style)
    draw_crosses(ax, x[picture.diverged], y[picture.diverged])
    if picture.best is not None:
        draw_ring(ax, x[picture.best], y[picture.best])
    for along, axis, position, values, numbers in zip(
        ("x", "y"), (ax.xaxis, ax.yaxis), (x, y), picture.values, is_number, strict=True
    ):
        if numbers:
            set_scale(ax, along, scale_of(position), position)
        else:
            axis.set_ticks(range(len(values)), [str(value) for value in values])
    return dots


def _frame(ax: "Axes", x: int, y: int, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, **style))


def _annotate(ax: "Axes", values: np.ndarray, image: Any) -> None:
    """The numbers, in three digits or two, where they fit."""
    figure: Any = ax.figure
    width = 0.8 * ax.bbox.width / figure.dpi / values.shape[1]  # inches, less the colour bar
    places = np.argwhere(np.isfinite(values))
    for digits in (3, 2):
        texts = [_short(float(values[y, x]), digits) for y, x in places]
        if texts and max(map(len, texts)) * 0.08 < width and values.shape[0] <= 14:
            break
    else:
        return
    for (y, x), text in zip(places, texts, strict=True):
        red, green, blue, _ = image.cmap(image.norm(values[y, x]))
        is_bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        style: Style = {"ha": "center", "va": "center", "fontsize": "small"}
        ax.text(x, y, text, color="black" if is_bright else "white", **style)


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}g}" if abs(value) < 99.5 else f"{value:.0f}"
