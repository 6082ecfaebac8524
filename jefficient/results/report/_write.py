"""The page from its template. Jinja2 is imported where a page is written: it is an extra."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.errors import JefficientError
from ..._core.files import write_whole
from ._cells import table_of
from ._facts import best_of, is_under_way, kept, number, tried
from ._images import images

if TYPE_CHECKING:
    from .._result import Result

TIES = 10
"""Rows of the table of ties; the page says how many there are, and the other table has them all."""

ROWS = 10_000
"""Configurations that the page shows, the best: its size is theirs, about 850 bytes each."""


def write_report(where: str, path: Path, result: "Result", title: str | None) -> None:
    """See `Result.report`."""
    text = page(where, result, title)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise JefficientError(
            f"{where}: {path} must be writable, got {error}. Choose another path."
        ) from error


def page(where: str, result: "Result", title: str | None) -> str:
    """The whole page. Everything that is not of this folder is escaped."""
    try:
        import jinja2
        import markupsafe
        import matplotlib as matplotlib
    except ImportError as error:
        raise JefficientError(
            f"{where}: {error.name} must be installed, and is not. Run pip install 'jefficient[plot]'."
        ) from None

    folder = files(__name__.rpartition(".")[0])
    style, script = ((folder / name).read_text("utf-8") for name in ("style.css", "script.js"))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((folder / "page.html").read_text("utf-8")).render(
        title=title or "Results of a sweep",
        style=markupsafe.Markup(style),
        script=markupsafe.Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        number=number,
        **_content(result),
    )


def _content(result: "Result") -> dict[str, Any]:
    best = best_of(result)
    ties = result.ties() if best is not None else None
    pictures, left_out = images(result)
    return {
        "best": best,
        "metric": result.score.metric,
        "has_error": best is not None and bool(np.isfinite(best.standard_error)),
        "is_under_way": is_under_way(result),
        "tried": tried(result),
        "ties": None if ties is None else table_of(ties.head(TIES)),
        "ties_count": 0 if ties is None else len(ties),
        "has_repeats": result.dataset.sizes["seed"] * result.dataset.sizes["fold"] > 1,
        "checks": result.checks(),
        "images": pictures,
        "left_out": left_out,
        "table": table_of(result.table().head(ROWS), ranked=True),
        "table_count": result.dataset.sizes["config"],
        "attributes": kept(result),
    }


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
