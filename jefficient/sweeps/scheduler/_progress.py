"""How far a sweep is: a bar in a terminal or notebook, lines elsewhere, or a function."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable

from ..._core import html
from ..._core.errors import ArgumentTypeError
from ..._core.text import displayed


@dataclasses.dataclass(frozen=True)
class Progress:
    """A sweep's progress.

    Attributes:
        trials_done: trials that have finished, diverged or been stopped.
        trials: all of them.
        steps_done: lane-steps made (one trial's update is one lane-step).
        steps: all of them, as far as is known: what is stopped or diverges makes them fewer.
        seconds: since the first program began to compile.
        rate: lane-steps a second since it was compiled.
        diverged: trials that have diverged.
        stopped: trials that were stopped early.
        utilization: share of the lane-steps computed in which a trial was trained.
        metric: what the score is.
        best: the best mean score of a configuration whose trials are all done; None before the
            first.
    """

    trials_done: int
    trials: int
    steps_done: int
    steps: int
    seconds: float
    rate: float
    diverged: int
    stopped: int
    utilization: float
    metric: str
    best: float | None

    @property
    def seconds_left(self) -> float:
        """At this rate; inf before the first segment."""
        return (self.steps - self.steps_done) / self.rate if self.rate > 0 else math.inf

    def __str__(self) -> str:
        best = "" if self.best is None else f", best {self.metric} {self.best:.4g}"
        diverged = f", {self.diverged} diverged" if self.diverged else ""
        stopped = f", {self.stopped} stopped" if self.stopped else ""
        utilization = f", {self.utilization:.0%} of lanes busy" if self.steps_done else ""
        text = f"{self.trials_done}/{self.trials} trials, {self.rate:,.0f} lane-steps/s"
        return displayed(f"{text}{utilization}{best}{stopped}{diverged}")


Reporter = Callable[[Progress], object]


def reporter(where: str, progress: bool | Reporter) -> tuple[Reporter, Callable[[], None]]:
    """What to call with each `Progress`, and what to call at the end."""
    if callable(progress):
        return progress, _nothing
    if not isinstance(progress, bool):
        raise ArgumentTypeError(
            f"{where}: progress must be True, False or a function, got progress={progress!r}."
        )
    if not progress:
        return _nothing, _nothing
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        return _notebook()
    return _bar() if console.is_terminal else _lines()


def _nothing(*_: object) -> None:
    pass


def _notebook(seconds_between: float = 0.2) -> tuple[Reporter, Callable[[], None]]:
    """Show a bar below the cell, which stays when the sweep has ended."""
    from IPython.display import HTML, DisplayHandle

    shown = DisplayHandle()
    shown.display(HTML(html.paragraph("compiling")))
    last_time = 0.0
    latest: Progress | None = None

    def show() -> None:
        if latest is not None and latest.steps_done:
            bar = f'<progress value="{latest.steps_done}" max="{latest.steps}"></progress>'
            shown.update(HTML(bar + html.paragraph(_with_time_left(latest))))

    def report(progress: Progress) -> None:
        nonlocal last_time, latest
        latest = progress
        if time.monotonic() - last_time >= seconds_between:
            last_time = time.monotonic()
            show()

    return report, show


def _bar() -> tuple[Reporter, Callable[[], None]]:
    from rich import progress as rich_progress
    from rich.console import Console

    bar = rich_progress.Progress(
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
    )
    task = bar.add_task("compiling", total=None)
    bar.start()

    def report(progress: Progress) -> None:
        description = _with_time_left(progress) if progress.steps_done else "compiling"
        bar.update(
            task, total=progress.steps, completed=progress.steps_done, description=description
        )

    return report, bar.stop


def _lines(seconds_between: float = 5.0) -> tuple[Reporter, Callable[[], None]]:
    """Print a line now and then, and always the last one."""
    last_line = time.monotonic()
    is_ended = False

    def report(progress: Progress) -> None:
        nonlocal last_line, is_ended
        was_ended = is_ended
        is_ended = progress.trials_done == progress.trials
        is_due = time.monotonic() - last_line >= seconds_between
        if is_due or (is_ended and not was_ended):
            last_line = time.monotonic()
            print(f"jf.sweep: {_with_time_left(progress)}", file=sys.stderr, flush=True)

    return report, _nothing


def _with_time_left(progress: Progress) -> str:
    is_known = progress.trials_done < progress.trials and math.isfinite(progress.seconds_left)
    return f"{progress}, {progress.seconds_left:,.0f} s left" if is_known else str(progress)
