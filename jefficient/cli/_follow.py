"""`jefficient show --follow`: a sweep as it runs, from its snapshots."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._core.text import displayed
from ._table import fitted

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from jefficient.results import Result

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE = 20  # characters
LANES = 60  # of them are drawn at most
MOMENT = 0.5  # seconds from one look at the directory to the next
LONGEST = 5.0  # seconds after which it is read again, though it has no new snapshot
INTERRUPTED = 3
"""Exit code where a sweep is not over, and no process goes on with it."""


class Standing(NamedTuple):
    """How far a sweep is.

    Attributes:
        over: trials that have finished, diverged or been stopped.
        trials: all of them.
        diverged: how many have diverged.
        stopped: how many were stopped.
        steps_done: lane-steps made (one trial's update is one).
        steps_left: lane-steps to come, if nothing more is stopped or diverges.
        seconds: since the sweep began.
        lanes: the share of its updates that each trial under way has made, float array (n,).
        is_running: whether a process trains.
    """

    over: int
    trials: int
    diverged: int
    stopped: int
    steps_done: int
    steps_left: int
    seconds: float
    lanes: np.ndarray
    is_running: bool

    @property
    def is_done(self) -> bool:
        """Whether every trial is over."""
        return self.over == self.trials

    @property
    def seconds_left(self) -> float:
        """At the rate so far; inf before the first segment."""
        return self.steps_left * self.seconds / self.steps_done if self.steps_done else math.inf

    def __str__(self) -> str:
        counts = {"stopped": self.stopped, "diverged": self.diverged}
        others = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
        text = f"{self.over:,} of {self.trials:,} trials are over{others}"
        text += f", {_duration(self.seconds)} so far"
        if not self.is_running:
            return f"{text}, {'done' if self.is_done else 'interrupted'}"
        is_known = math.isfinite(self.seconds_left)
        return f"{text}, about {_duration(self.seconds_left)} left" if is_known else text


def standing(result: "Result") -> Standing:
    """Count what has become of the trials."""
    from jefficient.results import Status, by_fold, status_of

    dataset = result.dataset
    status = status_of(dataset)
    over = np.isin(status, (Status.FINISHED, Status.DIVERGED, Status.STOPPED))
    whole = np.broadcast_to(by_fold(dataset, "step").max(axis=-1)[:, None], status.shape)
    begun = dataset["started_at"].transpose("config", "seed", "fold").values
    taken = dataset["steps_taken"].transpose("config", "seed", "fold").values
    is_under_way = (status == Status.RUNNING) & (taken > begun)
    return Standing(
        over=int(over.sum()),
        trials=status.size,
        diverged=int((status == Status.DIVERGED).sum()),
        stopped=int((status == Status.STOPPED).sum()),
        steps_done=int((taken - begun).sum()),
        steps_left=int((whole - taken)[~over].sum()),
        seconds=float(dataset.attrs.get("seconds", 0.0)),
        lanes=taken[is_under_way] / whole[is_under_way],
        is_running=bool((status == Status.RUNNING).any()),
    )


def view(
    result: "Result", top: int, name: str, age: float = 0.0, width: int = 80
) -> "RenderableType":
    """Draw a sweep: how far it is, its lanes, the ranking with curves, what has diverged.

    Args:
        result: as `jf.load` returns it for a directory.
        top: configurations in the ranking.
        name: of the directory.
        age: seconds since the snapshot.
        width: columns of the terminal.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    now = standing(result)
    total = max(now.steps_done + now.steps_left, 1)
    lines: list[RenderableType] = [
        Text(f"{displayed(name)}: {now}", style="bold"),
        Padding(ProgressBar(total=total, completed=now.steps_done, width=min(width, LANES)), 0),
    ]
    if now.is_running:
        busy = float(result.dataset.attrs.get("utilization", 1.0))
        drawn = "".join(map(_block, np.sort(now.lanes)[::-1][:LANES]))
        more = "…" if len(now.lanes) > LANES else ""
        lines.append(Text(f"{len(now.lanes)} trials under way: {drawn}{more}"))
        lines.append(Text(f"lanes are {busy:.0%} busy; as of {_duration(age)} ago", style="dim"))
    table, left_out = fitted(ranking(result, top), width)
    lines.append(table)
    if left_out:
        lines.append(Text(f"no room for: {', '.join(left_out)}", style="dim"))
    if now.diverged:
        lines.append(Text(diverged(result), style="red"))
    return Group(*lines)


def ranking(result: "Result", top: int) -> "pd.DataFrame":
    """Return the best configurations as texts: number, score, curve, hyperparameters."""
    import pandas as pd

    metric = result.score.metric
    frame = result.table().head(top)
    curves = mean_curves(result)[frame.index.to_numpy()]
    columns = {"config": frame.index, metric: frame[metric], "curve": sparklines(curves)}
    columns |= {name: frame[name].tolist() for name in result.space}
    texts = {displayed(name): [_text(x) for x in column] for name, column in columns.items()}
    return pd.DataFrame(texts)


def mean_curves(result: "Result") -> np.ndarray:
    """Return the metric's mean over the trials that were evaluated, (configs, evaluations)."""
    values = result.dataset[result.score.metric].transpose("config", "evaluation", "seed", "fold")
    flat = values.values.reshape(*values.shape[:2], -1)
    seen = np.isfinite(flat)
    total = np.sum(flat, axis=-1, where=seen)
    count = seen.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def sparklines(curves: np.ndarray, width: int = CURVE) -> list[str]:
    """Draw each of some curves (n, evaluations) as a line of blocks, all on one scale.

    It is logarithmic if all values are positive and span more than a decade. NaN is a dot.
    """
    count = curves.shape[1]
    chosen = np.linspace(0, count - 1, min(width, count)).round().astype(int)
    drawn = curves[:, chosen].astype(float)
    seen = drawn[np.isfinite(drawn)]
    if not len(seen):
        return ["·" * len(chosen)] * len(curves)
    if seen.min() > 0 and seen.max() > 10 * seen.min():
        drawn = np.log(drawn)
        seen = np.log(seen)
    shares = (drawn - seen.min()) / ((seen.max() - seen.min()) or 1.0)
    return ["".join("·" if math.isnan(x) else _block(x) for x in row) for row in shares]


def diverged(result: "Result") -> str:
    """Name the configurations with a diverged trial, the first five."""
    is_diverged = (result.dataset["status"] == "diverged").any(("seed", "fold"))
    configs = np.flatnonzero(is_diverged.transpose("config").values).tolist()
    named = []
    for config in configs[:5]:
        values = (f"{name}={_text(column[config])}" for name, column in result.space.items())
        named.append(f"{config} ({', '.join(values)})")
    more = f" and {len(configs) - 5:,} more" if len(configs) > 5 else ""
    return displayed(f"diverged: {', '.join(named)}{more}")


def follow(path: str, top: int) -> int:
    """Draw a sweep until it ends; return the exit code. In a pipe, print a line a snapshot."""
    from rich.console import Console
    from rich.live import Live

    if not sys.stdout.isatty():
        now = None
        for result, age in looks(path):
            if result is not None and age == 0.0:
                now = standing(result)
                print(displayed(str(now)), flush=True)
        return 0 if now is not None and now.is_done else INTERRUPTED

    console = Console(highlight=False)
    last = None
    with Live(console=console, auto_refresh=False) as live:
        for result, age in looks(path):
            if result is None:
                live.update("waiting for the first snapshot", refresh=True)
                continue
            last = result
            live.update(view(result, top, path, age, console.width), refresh=True)
    return 0 if last is not None and standing(last).is_done else INTERRUPTED


def looks(path: str) -> "Iterator[tuple[Result | None, float]]":
    """Yield the result of a directory, and the seconds since it was read first, until it ends.

    It is 0 for each new snapshot; the result is None before the first.
    """
    import jefficient as jf
    from jefficient.sweeps.checkpoint import EmptyError

    result = None
    files: list[tuple[Path, int]] = []
    written = read = 0.0
    while True:
        found = _snapshots(Path(path))
        if result is None or found != files or time.monotonic() - read > LONGEST:
            try:
                result = jf.load(path)
            except EmptyError:
                result = None
            read = time.monotonic()
        if found != files:
            files, written = found, read
            yield result, 0.0
        else:
            yield result, time.monotonic() - written
        if result is not None and not standing(result).is_running and _have_all_begun(Path(path)):
            return
        time.sleep(MOMENT)


def _snapshots(path: Path) -> list[tuple[Path, int]]:
    """Return the snapshots of a sweep and of its parts, with their times."""
    found = []
    for file in (*path.glob("*.json"), *path.glob("part-*/*.json")):
        try:
            found.append((file, file.stat().st_mtime_ns))
        except OSError:
            continue  # a running sweep has replaced it since
    return sorted(found)


def _have_all_begun(path: Path) -> bool:
    """Return whether all parts of a sweep in parts have a folder: between two none is held."""
    parts = sorted(x.name for x in path.glob("part-*-of-*"))
    return not parts or len(parts) >= int(parts[0].rpartition("-")[2])


def _block(share: float) -> str:
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]


def _text(x: object) -> str:
    return displayed(f"{x:.4g}" if isinstance(x, float) else str(x))


def _duration(seconds: float) -> str:
    """Write seconds: 42 s, 3 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
