"""The page from its template. Jinja2 is imported where a page is written: it is an extra."""

import base64
import hashlib
import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..._core.errors import JefficientError
from ..._core.files import save_whole
from ..._core.text import displayed
from .. import plots
from .._best import choose, ties
from .._dataset import hyperparameters, score_of
from .._importance import QUANTILE, refusal
from .._plots import plot_of
from .._sensitivity import check_sensitivity
from .._simulation import Simulation
from .._table import table
from .._values import column
from ..checks import checks
from ._cells import table_of
from ._facts import is_under_way, number, optima, tried, written
from ._images import CAPTIONS, image_of, images

TIES = 10
"""Rows of the table of ties; the page says how many there are, and the other table has them all."""

ROWS = 10_000
"""Configurations in the table, the best: a row has about 850 bytes."""


def write_report(
    where: str,
    path: Path,
    dataset: xr.Dataset,
    space: Mapping[str, tuple],
    title: str | None,
    sensitivity: pd.DataFrame | None = None,
    stopping: Iterable[Simulation] = (),
) -> Path:
    """See `Result.report`."""
    _check_installed(where)
    if sensitivity is not None:
        check_sensitivity(where, sensitivity)
    content = _content(dataset, space, sensitivity, list(stopping))
    text = _page(content, title or "Results of a sweep")
    return save_whole(where, path, text.encode())


def _page(content: Mapping[str, Any], title: str) -> str:
    """Render the whole page. All content is escaped but this folder's own style and script."""
    import jinja2
    import markupsafe

    folder = files(__name__.rpartition(".")[0])
    style, script = ((folder / name).read_text("utf-8") for name in ("style.css", "script.js"))
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_displayed,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string((folder / "page.html").read_text("utf-8")).render(
        title=title,
        style=markupsafe.Markup(style),
        script=markupsafe.Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        number=number,
        **content,
    )


def _displayed(value: object) -> object:
    """Write a text or the lines of a text; what is HTML already stays."""
    import markupsafe

    if isinstance(value, list):
        return markupsafe.Markup("\n").join(map(displayed, value))
    return displayed(value) if type(value) is str else value


def _content(
    dataset: xr.Dataset,
    space: Mapping[str, tuple],
    sensitivity: pd.DataFrame | None,
    stopping: list[Simulation],
) -> dict[str, Any]:
    """Gather what the template shows."""
    try:
        best = choose(dataset, space, "best", None)
    except JefficientError:  # no configuration finished
        best = None
    could_be = None if best is None else ties(dataset)
    said, with_optimum = optima(dataset)
    findings = _findings(dataset, stopping)
    made, left_out = images(dataset, with_optimum)
    more = [image_of(plot, CAPTIONS[name], dataset) for _, name, plot in findings]
    return {
        "best": best,
        "metric": score_of(dataset).metric,
        "has_error": best is not None and bool(np.isfinite(best.standard_error)),
        "is_under_way": is_under_way(dataset),
        "tried": tried(dataset),
        "ties": None if could_be is None else table_of(could_be.head(TIES)),
        "ties_count": 0 if could_be is None else len(could_be),
        "has_repeats": dataset.sizes["seed"] * dataset.sizes["fold"] > 1,
        "optima": said,
        "findings": [(heading, plot.described()) for heading, _, plot in findings],
        "checks": checks(dataset),
        "images": [*made, *more],
        "sensitivity": None if sensitivity is None else table_of(sensitivity),
        "sensitivity_config": None if sensitivity is None else sensitivity.attrs["config"],
        "left_out": left_out,
        "table": table_of(table(dataset).head(ROWS), ranked=True),
        "table_count": dataset.sizes["config"],
        "attributes": [
            (str(name), written(value).split("\n")) for name, value in dataset.attrs.items()
        ],
    }


def _findings(dataset: xr.Dataset, stopping: list[Simulation]) -> list[tuple[str, str, plots.Plot]]:
    """Return the plots that have a section of their own: headings, names and plots."""
    wanted: list[tuple[Any, ...]] = []
    has_optuna = importlib.util.find_spec("optuna") is not None
    varied = [x for x in hyperparameters(dataset) if len(set(column(dataset, x).tolist())) > 1]
    has_many = len(varied) > 1 and dataset.sizes["config"] <= ROWS
    if has_optuna and has_many and refusal("", dataset, QUANTILE) is None:
        wanted.append(("What mattered", "importance"))
    if stopping:
        wanted.append(("What stopping would have cost", "stopping", stopping))
    score = score_of(dataset)
    return [(heading, *rest[:1], plot_of(dataset, score, *rest)) for heading, *rest in wanted]


def _check_installed(where: str) -> None:
    for name in ("jinja2", "matplotlib"):
        try:
            importlib.import_module(name)
        except ImportError:
            raise JefficientError(
                f"{where}: {name} must be installed, and is not. Run pip install "
                "'jefficient[plot]'."
            ) from None


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
