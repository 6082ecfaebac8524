"""Pictures as data addresses, each with a text that says the same."""

import base64
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._core.errors import JefficientError
from .._dataset import hyperparameters, trial_values
from ..plots import legend

if TYPE_CHECKING:
    from .._result import Result

DOTS = 1000
"""Trials from which a picture is made of pixels at once: as a drawing it would have more bytes."""
BYTES = 150_000
"""A drawing, sharp at every size, may be as large as that; then pixels are tried, and the smaller is taken."""
AXES = 12
"""Hyperparameters that have a picture each."""

SPARSE = 0.01
"""Share of zeros from which there is a picture of them: single ones come by chance."""


class Image(NamedTuple):
    """One picture: what its marks are, the fact in it, and its address."""

    caption: str
    alternative: str
    address: str


def images(result: "Result") -> tuple[list[Image], list[str]]:
    """The pictures that this result has, and sentences on those that were left out."""
    dataset = result.dataset
    varied = [
        name
        for name in hyperparameters(dataset)
        if len(np.unique(dataset[name].values.astype(str))) > 1
    ]
    metric = dataset.attrs["metric"]
    wanted: list[tuple[str, tuple[Any, ...], str]] = [
        ("values", (name,), "Dots are trials, the line joins the best mean at each value.")
        for name in varied[:AXES]
    ]
    wanted.append(("curves", (), "The best configurations in colour, dashed in training."))
    if len(varied) > 1:
        wanted.append(
            ("heatmap", (), "In each cell it is the best over all other hyperparameters.")
        )
    is_scored = np.isfinite(trial_values(dataset, result.score, metric)).all(axis=(1, 2)).any()
    if is_scored and dataset.sizes["config"] > 1:
        wanted.append(("progress", (), "The band is what chance would have the best be."))
    if is_scored and dataset.sizes["seed"] * dataset.sizes["fold"] > 1:
        wanted.append(("spread", (), "Each mark is a trial; lines join those that start alike."))
    if "layer" in dataset.dims and (dataset["status"] == "finished").any():
        wanted.append(("layers", (), "Means over seeds and folds."))
    if "zeros" in dataset and np.nanmax(dataset["zeros"].values, initial=0) >= SPARSE:
        wanted.append(("sparsity", (), "Each dot is a configuration."))
    left_out = (
        [f"No picture of {', '.join(varied[AXES:])}: {AXES} have one."] if varied[AXES:] else []
    )
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
    with matplotlib.style.context(
        "default"
    ):  # a dark style of the reader's own would be dark on a white card
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        ax = getattr(result.plot, name)(*arguments, ax=figure.add_subplot())
        if (
            inside := ax.get_legend()
        ) is not None:  # the figure has nothing else: above the axes it covers nothing
            inside.remove()
            legend(ax, inside.get_title().get_text(), is_own=True)
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
