"""What the page says in words: the answer, what was tried, and where it comes from."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..._core.errors import JefficientError

if TYPE_CHECKING:
    from .._result import Result

UNDECIDED = ("running", "interrupted")


def best_of(result: "Result") -> Any:
    """The best configuration, or None where none finished."""
    try:
        return result.best()
    except JefficientError:
        return None


def statuses(result: "Result") -> dict[str, int]:
    """How many trials ended in which way, most first."""
    counts = pd.Series(result.dataset["status"].values.astype(str).ravel()).value_counts()
    return {str(name): int(count) for name, count in counts.items()}


def is_under_way(result: "Result") -> bool:
    """Whether some trials are not over: what is best is the best so far."""
    return any(name in statuses(result) for name in UNDECIDED)


def tried(result: "Result") -> list[tuple[str, str]]:
    """What was tried, in numbers."""
    sizes, attributes = result.dataset.sizes, result.dataset.attrs
    rows = [
        ("Configurations", number(sizes["config"])),
        ("Seeds", number(sizes["seed"])),
        ("Folds", number(sizes["fold"]) if sizes["fold"] > 1 else "none"),
        ("Trials", number(result.dataset["status"].size)),
        (
            "Of these",
            ", ".join(f"{number(count)} {name}" for name, count in statuses(result).items()),
        ),
        ("Ranked by", _ranked_by(attributes)),
        ("Time", duration(attributes["seconds"]) if "seconds" in attributes else ""),
        ("Device", str(attributes.get("device", ""))),
    ]
    return [(name, text) for name, text in rows if text]


def _ranked_by(attributes: dict) -> str:
    which = "smallest" if attributes["mode"] == "min" else "largest"
    evaluation = "last evaluation" if attributes["select"] == "last" else "best evaluation"
    return f"{attributes['metric']}, {which} first, at the {evaluation}"


def kept(result: "Result") -> list[tuple[str, str]]:
    """Every attribute of the dataset, objects written out."""
    return [(str(name), written(value)) for name, value in result.dataset.attrs.items()]


def written(value: Any) -> str:
    """JSON over several lines, anything else as it is."""
    try:
        parsed = json.loads(value)
    except (TypeError, ValueError):
        return str(value)
    return (
        json.dumps(parsed, indent=2, ensure_ascii=False)
        if isinstance(parsed, dict | list)
        else str(value)
    )


def number(count: int) -> str:
    """With thin gaps between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds, or hours and minutes."""
    if not np.isfinite(seconds):
        return ""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
