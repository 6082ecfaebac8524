"""`jf.tune`: a wide look, a close one, and more seeds for ties, within a limit of time."""

import dataclasses
import os
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._core.checks import check_positive_finite
from .._core.errors import ArgumentError, JefficientError, JefficientWarning
from ..spaces import OPTIMIZERS, Range, Space, sobol, starting_space
from ._sweep import sweep
from .tasks import Optimizer, Task, Trial

if TYPE_CHECKING:
    from ..results import Best, Result

WHERE = "jf.tune"
WIDE = 64
"""Points of the wide look: a power of two, which are balanced."""
SHARES = {"wide": 0.5, "close": 0.7, "ties": 1.0}
"""Of the time that is left, what each look may take."""
TIES = 8


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What `tune` found; printed it says what was done at each step, and why.

    Attributes:
        results: those of the looks, by name: "wide", "close", "ties". Looks for which no time was
            left are not there.
        steps: a text for each step.
    """

    results: "Mapping[str, Result]" = dataclasses.field(repr=False)
    steps: tuple[str, ...]

    @property
    def result(self) -> "Result":
        """The last look that was done; of looks that were cut short, the one with the best score.

        A later look has more seeds, so its scores are surer. One that time cut short may lack the
        good configurations, so it counts only where it has a better one. The first look if in none
        a configuration finished.
        """
        found = None
        for result in self.results.values():
            if _has_best(result) and (found is None or _replaces(result, found)):
                found = result
        return found or self.results["wide"]

    def best(self) -> "Best":
        """Return the best configuration of `result`."""
        return self.result.best()

    def __str__(self) -> str:
        return "\n".join(self.steps)


def tune(
    task: Task | Trial,
    optimizer: Optimizer,
    *,
    time_limit: float = 60,
    ranges: Mapping[str, Range] | None = None,
    progress: bool = True,
    report: str | os.PathLike | None = None,
    **settings: Any,
) -> Tuned:
    """Search as the guide does by hand: a wide look, a close look, and more seeds for the ties.

    The wide look draws 64 points of `jf.sobol` from the ranges, the close one is
    `Result.next_space` of it, and what then could be as good as the best, the best eight at most,
    is trained with twice the seeds. Each is an ordinary sweep, and each step says what it did.

    Args:
        task: as in `jf.sweep`.
        optimizer: see `jf.sweep`.
        time_limit: seconds for all of it, compilation included. The wide look gets half at most,
            the close one 70 % of what is left, the ties the rest. After the limit no segment
            begins, so that it is exceeded by one segment, or by one compilation.
        ranges: where to start, as for `jf.sobol`; by default `jf.starting_space` of the optimizer,
            if that is `adam`, `adamw` or `sgd`, without its batch sizes: each would take the time
            of a program, and a batch size should suit the hardware (Godbole et al. 2023).
        progress: True to print what each step did, False for nothing.
        report: where to write the report of `Tuned.result`, if anywhere; none if nothing finished.
        **settings: steps or epochs, folds, metric, … of `jf.sweep`, for all looks. `seeds` are
            those of the wide look.

    Returns:
        A `Tuned`: `best()`, all results, and the steps as text.

    Raises:
        ArgumentError: if the time is not positive, there are no ranges for the optimizer, one of
            `plan`, `start` and `directory` is given, or for what `jf.sweep` refuses.

    Examples:
        >>> import jefficient as jf
        >>> import jax, numpy as np
        >>> x = np.linspace(-1, 1, 50, dtype=np.float32)
        >>> task = jf.Task(
        ...     init=lambda key: jax.numpy.zeros(()),
        ...     loss=lambda w, batch: ((batch["x"] * w - batch["y"]) ** 2).mean(),
        ...     data={"x": x, "y": 3 * x},
        ...     validation=0.2,
        ... )
        >>> rates = {"learning_rate": jf.LogUniform(1e-3, 1)}
        >>> tuned = jf.tune(task, jf.sgd, ranges=rates, steps=50, progress=False)
        >>> list(tuned.results)
        ['wide', 'close', 'ties']
    """
    check_positive_finite(WHERE, time_limit=time_limit)
    for name in sorted({"plan", "start", "directory"} & set(settings)):
        raise ArgumentError(
            f"{WHERE}: {name} must not be given, since each look is a sweep of its own, got "
            f"{name}={settings[name]!r}."
        )
    search = _Looks(task, optimizer, settings, time.monotonic() + time_limit, bool(progress))
    given = _ranges(optimizer, ranges)
    wide = search.look("wide", sobol(WIDE, **given), f"{WIDE} points of a Sobol' sequence.")
    if wide is not None and _has_best(wide):
        space = wide.next_space()
        settings["seeds"] = max(space.seeds, settings.get("seeds", 1))
        close = search.look("close", space, str(space))
        if close is not None and _has_best(close) and len(close.ties()) > 1:
            ties = close.ties().index[:TIES].tolist()
            settings["seeds"] *= 2
            why = f"{len(close.ties())} could be the best: twice the seeds for {len(ties)} of them."
            search.look("ties", space.subset(ties), why)
    found = Tuned(search.results, tuple(search.steps))
    if report is not None and _has_best(found.result):
        found.result.report(report)
    return found


@dataclasses.dataclass
class _Looks:
    """The looks so far, and the time by which all must be done."""

    task: Task | Trial
    optimizer: Optimizer
    settings: dict[str, Any]
    deadline: float
    is_printed: bool
    results: "dict[str, Result]" = dataclasses.field(default_factory=dict)
    steps: list[str] = dataclasses.field(default_factory=list)

    def look(self, name: str, space: Space, why: str) -> "Result | None":
        """Sweep a space in its share of the time; None if none is left, or Ctrl-C ended it."""
        left = self.deadline - time.monotonic()
        end = time.monotonic() + SHARES[name] * left
        if left <= 0 and self.results:
            self._say(f"{name}: no time is left.")
            return None
        self._say(f"{name}: {space!r}\n{why}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "jf.sweep: interrupted", JefficientWarning)
            result = sweep(
                self.task,
                self.optimizer,
                space,
                time_limit=max(SHARES[name] * left, 1e-9),
                progress=False,
                **self.settings,
            )
        self.results[name] = result
        is_cut = _is_cut(result)
        is_by_user = is_cut and time.monotonic() < end
        ended = "nothing finished" if not _has_best(result) else f"best: {result.best()}"
        self._say(f"{name}: {ended}{'; interrupted before it was done' if is_cut else ''}.")
        return None if is_by_user else result

    def _say(self, text: str) -> None:
        self.steps.append(text)
        if self.is_printed:
            print(text)


def _ranges(optimizer: Optimizer, ranges: Mapping[str, Range] | None) -> Mapping[str, Any]:
    """Return the ranges to start from; every batch size would be a program to compile."""
    if ranges is not None:
        return ranges
    name = getattr(optimizer, "__name__", "")
    if name not in OPTIMIZERS:
        raise ArgumentError(
            f"{WHERE}: ranges must be given for an optimizer that is not one of "
            f"{list(OPTIMIZERS)}, got {optimizer!r}. jf.starting_space has some to begin with."
        )
    found = starting_space(name)
    return {x: found[x] for x in found if x != "batch_size"}


def _is_cut(result: "Result") -> bool:
    return bool((result.dataset["status"] == "interrupted").any())


def _replaces(later: "Result", earlier: "Result") -> bool:
    """Whether the answer is that of a later look."""
    sign = later.score.sign
    return not _is_cut(later) or sign * later.best().score < sign * earlier.best().score


def _has_best(result: "Result") -> bool:
    try:
        result.best()
    except JefficientError:
        return False
    return True
