"""Pictures as data addresses, each with a text that says the same."""

import base64
import io
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._core.errors import JefficientError
from .._dataset import hyperparameters

if TYPE_CHECKING:
    from .._result import Result

DOTS = 1000
"""Trials from which a picture is made of pixels at once: as a drawing it would have more bytes."""
BYTES = 150_000
"""A drawing, sharp at every size, may be as large as that; then pixels are tried, and the smaller is taken."""
AXES = 12
"""Hyperparameters that have a picture each."""


class Image(NamedTuple):
    """One picture: its caption, the fact in it, and its address."""

    caption: str
    alternative: str
    address: str


def images(result: "Result") -> tuple[list[Image], list[str]]:
    """The pictures that this result has, and sentences on those that were left out."""
    import numpy as np

    dataset = result.dataset
    varied = [name for name in hyperparameters(dataset) if len(np.unique(dataset[name].values.astype(str))) > 1]
    metric = dataset.attrs["metric"]
    wanted: list[tuple[str, tuple[Any, ...], str]] = [
        ("values", (name,), f"{metric} against {name}: dots are trials, the line the best mean at each value.")
        for name in varied[:AXES]
    ]
    wanted.append(("curves", (), f"Learning curves: {metric} of the best configurations, dashed in training."))
    if len(varied) > 1:
        wanted.append(("heatmap", (), "Two hyperparameters at once, the best over all others."))
    if dataset.sizes["config"] > 1:
        wanted.append(("progress", (), "The best so far, and what chance would have it be."))
    if dataset.sizes["seed"] * dataset.sizes["fold"] > 1:
        wanted.append(("spread", (), "The leaders, trial by trial."))
    if "layer" in dataset.dims and (dataset["status"] == "finished").any():
        wanted.append(("layers", (), "Norms of the updates of each layer, in the best configuration."))
    if "zeros" in dataset and np.nanmax(dataset["zeros"].values, initial=0) > 0:
        wanted.append(("sparsity", (), f"{metric} against the share of parameters that are exactly zero."))
    left_out = [f"No picture of {', '.join(varied[AXES:])}: {AXES} have one."] if varied[AXES:] else []
    made = []
    for name, arguments, caption in wanted:
        try:
            made.append(_image(result, name, arguments, caption))
        except JefficientError as error:
            left_out.append(str(error))
    return made, left_out


def _image(result: "Result", name: str, arguments: tuple, caption: str) -> Image:
    import matplotlib.style
    from matplotlib.figure import Figure

    alternative = result.plot.describe(name, *arguments)
    with matplotlib.style.context("default"):  # a dark style of the reader's own would be dark on a white card
        figure = Figure(figsize=(7.0, 4.6), layout="constrained")
        getattr(result.plot, name)(*arguments, ax=figure.add_subplot())
        return Image(caption, alternative, _address(figure, result.dataset["status"].size))


def _address(figure: Any, trials: int) -> str:
    drawing = _bytes(figure, "svg", metadata={"Date": None}) if trials <= DOTS else b""
    if drawing and len(drawing) <= BYTES:
        return _data("image/svg+xml", drawing)
    pixels = _bytes(figure, "png", dpi=200)
    if drawing and len(drawing) < len(pixels):
        return _data("image/svg+xml", drawing)
    return _data("image/png", pixels)


def _bytes(figure: Any, kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, facecolor="white", **settings)
    return file.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
