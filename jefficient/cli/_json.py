"""`jefficient show --json`: a result for programs to read. The page on the command line has it."""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ._follow import standing

if TYPE_CHECKING:
    import pandas as pd

    from jefficient.results import Result

SCHEMA = "jefficient.show/1"
"""The number grows if an entry is removed or means something else; entries may be added."""


def as_json(result: "Result", top: int) -> str:
    """Write a result as one object of JSON; what is not finite is null."""
    return json.dumps(_plain(described(result, top)), indent=2, allow_nan=False)


def described(result: "Result", top: int) -> dict[str, Any]:
    """Describe a result by what JSON has, but for numbers that are not finite."""
    from jefficient import JefficientError

    now = standing(result)
    score = result.score
    best = ties = None
    try:
        best = _best(result)
        ties = result.ties().index.tolist()
    except JefficientError:
        pass
    frame = result.table()
    return {
        "schema": SCHEMA,
        "state": "running" if now.is_running else "finished" if now.is_done else "interrupted",
        "score": {"metric": score.metric, "mode": score.mode, "select": score.select},
        "trials": _counts(result),
        "updates": {"done": now.steps_done, "left": now.steps_left},
        "seconds": {"so_far": now.seconds, "left": now.seconds_left if now.is_running else 0.0},
        "best": best,
        "ties": ties,
        "configurations": len(frame),
        "ranking": [_ranked(result, frame, config) for config in frame.index[:top]],
        "checks": [
            {
                "name": check.name,
                "severity": check.severity,
                "evidence": check.evidence,
                "next_step": check.next_step,
            }
            for check in result.checks()
        ],
    }


def _best(result: "Result") -> dict[str, Any]:
    best = result.best()
    return {
        "config": best.config,
        "hyperparameters": _hyperparameters(result, best.config),
        "score": best.score,
        "standard_error": best.standard_error,
    }


def _counts(result: "Result") -> dict[str, int]:
    """Count the trials by status."""
    from jefficient.results import Status, status_of

    counts = np.bincount(status_of(result.dataset).ravel(), minlength=len(Status)).tolist()
    return {"all": sum(counts)} | {x.name.lower(): counts[x] for x in Status}


def _ranked(result: "Result", frame: "pd.DataFrame", config: int) -> dict[str, Any]:
    """Describe a configuration: a row of the table, with its numbers in full."""
    row = frame.loc[config].drop(list(result.space)).to_dict()
    metric = result.score.metric
    counts = {name: int(row.pop(name)) for name in ("trials", "stopped", "diverged")}
    return {
        "config": int(config),
        "hash": str(result.dataset["hash"].sel(config=config).item()),
        "hyperparameters": _hyperparameters(result, config),
        "score": row.pop(metric),
        "standard_deviation": row.pop(f"{metric}_std"),
        "standard_error": row.pop(f"{metric}_se"),
        "metrics": row,
        **counts,
    }


def _hyperparameters(result: "Result", config: int) -> dict[str, Any]:
    return {name: column[config] for name, column in result.space.items()}


def _plain(x: object) -> object:
    """Return what JSON has: arrays as lists, null for what is not finite."""
    if isinstance(x, dict):
        return {str(name): _plain(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    if isinstance(x, np.ndarray | np.generic):
        return _plain(x.tolist())
    return None if isinstance(x, float) and not math.isfinite(x) else x
