"""Plots as data addresses, each with a text that says the same."""

import base64
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from ..._core.errors import JefficientError
from .._dataset import hyperparameters, score_of, trial_values
from .._plots import plot_of
from .._values import column, is_array
from ..plots import Plot, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 1000
"""Trials from which a plot is made of pixels at once: as a drawing it would have more bytes."""
BYTES = 150_000
"""A drawing, sharp at every size, may be that large; beyond it the smaller of both is taken."""
AXES = 12
"""Hyperparameters that have a plot each."""
SPARSE = 0.01
"""Share of zeros from which they are plotted: single zeros come by chance."""
CAPTIONS = {
    "values": "Dots are trials, the line joins the best mean at each value.",
    "curves": "The best configurations in colour, dashed in training.",
    "curves sharpness": "Largest eigenvalue of the Hessian of the training loss.",
    "curves noise_scale": "Noise of the gradients, in examples.",
    "heatmap": "A cell has the best score over all other hyperparameters.",
    "progress": "The band has the best of 90 % of random draws.",
    "spread": "Each mark is a trial; lines join those that start alike.",
    "knots": "Each line is a configuration, the best one black.",
    "layers": "Means over seeds and folds.",
    "sparsity": "Each dot is a configuration.",
    "optimum": "The band has the best value; values that diverged are crosses.",
    "importance": "Shares, with intervals over seeds or folds.",
    "stopping": "Each mark is a rule; the lower and the further left, the better.",
}


class Image(NamedTuple):
    """One plot: what its marks are, the fact in it, and its address."""

    caption: str
    alternative: str
    address: str


def images(dataset: xr.Dataset, with_optimum: list[str]) -> tuple[list[Image], list[str]]:
    """Draw the plots of a result; return them, and sentences on those that are left out."""
    varied = [
        name
        for name in hyperparameters(dataset)
        if len(np.unique(column(dataset, name).astype(str))) > 1
    ]
    left_out = []
    if varied[AXES:]:
        left_out.append(f"No plot of {', '.join(varied[AXES:])}: {AXES} have one.")

    made = []
    optima = [("optimum", name) for name in with_optimum]
    for name, *arguments in [*optima, *_wanted(dataset, varied)]:
        try:
            plot = plot_of(dataset, score_of(dataset), name, *arguments)
            caption = CAPTIONS.get(" ".join((name, *arguments)), CAPTIONS[name])
            made.append(image_of(plot, caption, dataset))
        except JefficientError as error:
            left_out.append(str(error))
    return made, left_out


def image_of(plot: Plot, caption: str, dataset: xr.Dataset) -> Image:
    """Draw one plot of a result."""
    return Image(caption, plot.described(), _address(plot, dataset["status"].size))


def _wanted(dataset: xr.Dataset, varied: list[str]) -> list[tuple[str, ...]]:
    """Choose the plots that say something of this dataset: names, and arguments after them."""
    score = score_of(dataset)
    sizes = dataset.sizes
    is_scored = np.isfinite(trial_values(dataset, score, score.metric)).all(axis=(1, 2)).any()
    wanted: list[tuple[str, ...]] = [
        ("knots" if is_array(dataset, name) else "values", name) for name in varied[:AXES]
    ]
    wanted.append(("curves",))
    for name in ("sharpness", "noise_scale"):
        if name in dataset and np.isfinite(dataset[name].values).any():
            wanted.append(("curves", name))
    if sum(not is_array(dataset, name) for name in varied) > 1:
        wanted.append(("heatmap",))
    if is_scored and sizes["config"] > 1:
        wanted.append(("progress",))
    if is_scored and sizes["seed"] * sizes["fold"] > 1:
        wanted.append(("spread",))
    if "layer" in dataset.dims and (dataset["status"] == "finished").any():
        wanted.append(("layers",))
    if "zeros" in dataset and np.nanmax(dataset["zeros"].values, initial=0) >= SPARSE:
        wanted.append(("sparsity",))
    return wanted


def _address(plot: Plot, trials: int) -> str:
    """Draw a plot; return it as a data address."""
    import matplotlib.style
    from matplotlib.figure import Figure

    # a dark style of the reader's own would be dark on a white card
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        ax = figure.add_subplot()
        draw(plot, ax, is_own=True)

        drawing = _bytes(figure, "svg", metadata={"Date": None}) if trials <= DOTS else b""
        if drawing and len(drawing) <= BYTES:
            return _data("image/svg+xml", drawing)
        pixels = _bytes(figure, "png", dpi=200)
        if drawing and len(drawing) < len(pixels):
            return _data("image/svg+xml", drawing)
        return _data("image/png", pixels)


def _bytes(figure: "Figure", kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, facecolor="white", **settings)
    return file.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
