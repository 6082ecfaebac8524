"""What the page says in words: what was tried, and where it comes from."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..._core.errors import ArgumentError
from .._axes import labelled, sentence
from .._dataset import hyperparameters
from .._local_fit import FEWEST
from .._optimum import optimum
from .._values import column

UNDECIDED = ("running", "interrupted")


def statuses(dataset: xr.Dataset) -> dict[str, int]:
    """Count how many trials ended in which way, most first."""
    counts = pd.Series(dataset["status"].values.astype(str).ravel()).value_counts()
    return {str(name): int(count) for name, count in counts.items()}


def is_under_way(dataset: xr.Dataset) -> bool:
    """Whether some trials have not ended: the best is the best so far."""
    return any(name in UNDECIDED for name in statuses(dataset))


def tried(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """Say what was tried, in numbers."""
    sizes = dataset.sizes
    attributes = dataset.attrs
    ends = [f"{number(count)} {name}" for name, count in statuses(dataset).items()]
    facts = [
        ("Configurations", number(sizes["config"])),
        ("Seeds", number(sizes["seed"])),
        ("Folds", number(sizes["fold"]) if sizes["fold"] > 1 else "none"),
        ("Trials", number(dataset["status"].size)),
        ("Of these", ", ".join(ends)),
        ("Ranked by", _ranked_by(attributes)),
        ("Time", duration(attributes["seconds"]) if "seconds" in attributes else ""),
        ("Device", str(attributes.get("device", ""))),
    ]
    return [(name, text) for name, text in facts if text]


def _ranked_by(attributes: Mapping[str, Any]) -> str:
    which = "smallest" if attributes["mode"] == "min" else "largest"
    return f"{attributes['metric']}, {which} first, at the {attributes['select']} evaluation"


def optima(dataset: xr.Dataset) -> tuple[list[str], list[str]]:
    """Say of every hyperparameter with enough numbers where its optimum is, or why it has none.

    Returns:
        The sentences, and the names of those that have one.
    """
    said = []
    found = []
    for name in hyperparameters(dataset):
        values = column(dataset, name)
        if not np.issubdtype(values.dtype, np.number) or len(np.unique(values)) < FEWEST:
            continue
        try:
            said.append(str(optimum("", dataset, name)))
            found.append(name)
        except ArgumentError as error:
            said.append(sentence(f"no optimum of {labelled(name)}{error}".removesuffix(".")))
    return said, found


def written(value: Any) -> str:
    """Write JSON over several lines, anything else as it is."""
    try:
        parsed = json.loads(value)
    except (TypeError, ValueError):
        parsed = None
    if isinstance(parsed, dict | list):
        return json.dumps(parsed, indent=2, ensure_ascii=False)
    return str(value)


def number(count: int) -> str:
    """Put thin gaps between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """Write seconds, or minutes and seconds, or hours and minutes."""
    if not np.isfinite(seconds):
        return ""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
