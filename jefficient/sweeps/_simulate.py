"""`jf.simulate`."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .._core.checks import check_count, check_positive_finite
from .._core.errors import ArgumentError, ArgumentTypeError
from .stopping import StopRule

if TYPE_CHECKING:
    from ..results import Result
    from ..results import Simulation as Simulation
    from ._recorded import Recorded

WHERE = "jf.simulate"


def simulate(
    stop: StopRule,
    curves: "Result | np.ndarray",
    *,
    steps: ArrayLike | None = None,
    steps_per_epoch: float | None = None,
    mode: str | None = None,
    select: str | None = None,
    lanes: int | None = None,
) -> "Simulation":
    """Say what a stopping rule would have saved and lost, on curves that were recorded whole.

    Nothing is trained. Of a result, the decisions are those of ``jf.sweep(…, stop=stop)`` with the
    same arguments on the same machine, trial by trial: the engine's own queues, lanes and pruner
    run, with as many lanes and blocks as the result records, and read what was measured then. (On
    fewer or more devices the engine observes in another order, and may decide otherwise.)

    Of an array, it is a sweep of one seed in one block of `lanes`. By default that is one lane for
    each configuration: all of them are observed together, evaluation by evaluation.

    Args:
        stop: the rule.
        curves: the result of a sweep without ``stop=``; or an array (configs, evaluations) of
            scores, as of a published table. A number that is not finite is a divergence, and so
            must be all after it.
        steps: with an array, the updates at each evaluation, whole numbers (evaluations,) or
            (configs, evaluations), rising from 1 or more; by default 1, 2, ….
        steps_per_epoch: with an array, for rules that count in epochs; by default there are none.
        mode: with an array, whether the best is the "min" (default) or the "max".
        select: with an array, whether the "last" evaluation counts (default) or the "best".
        lanes: with an array, how many configurations train at a time; the next one begins where one
            ends.

    Returns:
        A `Simulation`: its `cost`, `regret` and the configurations `stopped`.
        ``result.plot.stopping([…])`` draws several.

    Raises:
        ArgumentError: if a trial of the result was stopped or interrupted, no configuration
            finished, there is only one evaluation, the rule counts in epochs where there are none,
            an array is of another shape; or the result is of several sweeps, an executor, a search
            or data read during training, and so does not tell in which order the engine observes.
        ArgumentTypeError: if `stop` is no `jf.StopRule`, or `curves` no result or numbers.

    Examples:
        >>> import numpy as np
        >>> import jefficient as jf
        >>> curves = np.array([[0.9, 0.5, 0.1], [0.8, 0.6, 0.4], [0.7, 0.7, 0.7]])
        >>> found = jf.simulate(jf.successive_halving(3, min_steps=1), curves)
        >>> found.stopped, round(found.cost, 3), round(found.regret, 3)
        ((0, 1), 0.556, 0.6)
    """
    from ..results import Result

    if not isinstance(stop, StopRule):
        raise ArgumentTypeError(f"{WHERE}: stop must be a jf.StopRule, got stop={stop!r}.")
    of_array = {
        "steps": steps,
        "steps_per_epoch": steps_per_epoch,
        "mode": mode,
        "select": select,
        "lanes": lanes,
    }
    if not isinstance(curves, Result):
        recorded = _from_array(curves, **of_array)
    else:
        for name, x in of_array.items():
            if x is not None:
                raise ArgumentError(
                    f"{WHERE}: {name} goes with an array of curves, got {name}={x!r} with a "
                    f"result, which has its own."
                )
        recorded = _from_result(curves)
    _check_rule(stop, recorded)
    return _simulated(stop, recorded)


def _from_result(result: "Result") -> "Recorded":
    from ._recorded import from_result

    status = result.dataset["status"].values.astype(str)
    short = np.unique(status[~np.isin(status, ("finished", "diverged"))]).tolist()
    if short:
        raise ArgumentError(
            f"{WHERE}: every trial of the result must have finished or diverged, got trials that "
            f"are {' or '.join(short)}. What they would have reached is not known: take a sweep "
            f"without stop=."
        )
    _check_evaluations(result.dataset.sizes["evaluation"])
    return from_result(result)


def _from_array(
    curves: ArrayLike,
    steps: ArrayLike | None,
    steps_per_epoch: float | None,
    mode: str | None,
    select: str | None,
    lanes: int | None,
) -> "Recorded":
    from ..results import Score
    from ._recorded import from_curves

    values = np.asarray(curves)
    if values.dtype.kind not in "iuf":
        raise ArgumentTypeError(
            f"{WHERE}: curves must be a jf.Result or an array of numbers, got "
            f"{type(curves).__name__}."
        )
    if values.ndim != 2 or not values.size:
        raise ArgumentError(
            f"{WHERE}: curves must have the shape (configs, evaluations), got shape {values.shape}."
        )
    _check_evaluations(values.shape[1])
    is_lost = ~np.isfinite(values)
    recovered = (is_lost[:, :-1] & ~is_lost[:, 1:]).any(axis=1)
    if recovered.any():
        raise ArgumentError(
            f"{WHERE}: a configuration that diverges must stay so, got numbers after what is not "
            f"finite in configuration {int(recovered.argmax())}."
        )
    if lanes is not None:
        check_count(WHERE, lanes=lanes)
    if steps_per_epoch is not None:
        check_positive_finite(WHERE, steps_per_epoch=steps_per_epoch)
    per_epoch = np.nan if steps_per_epoch is None else float(steps_per_epoch)
    score = Score.checked(WHERE, "score", mode or "min", select or "last", ("score",))
    return from_curves(values, score, _checked_steps(steps, values.shape), per_epoch, lanes)


def _checked_steps(steps: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return the updates at each evaluation, int array (configs, evaluations)."""
    given = np.arange(1, shape[1] + 1) if steps is None else np.asarray(steps)
    if given.dtype.kind not in "iu" or given.shape not in (shape, shape[1:]):
        raise ArgumentError(
            f"{WHERE}: steps must be whole numbers of shape {shape[1:]} or {shape}, got "
            f"{given.dtype} of shape {given.shape}."
        )
    if (np.diff(given, axis=-1, prepend=0) < 1).any():
        raise ArgumentError(f"{WHERE}: steps must rise from 1 or more, got steps={steps!r}.")
    return np.broadcast_to(given.astype(int), shape)


def _check_evaluations(count: int) -> None:
    if count < 2:
        raise ArgumentError(
            f"{WHERE}: curves must have two or more evaluations, since a rule stops between them, "
            f"got {count}."
        )


def _check_rule(stop: StopRule, recorded: "Recorded") -> None:
    has_epochs = all(np.isfinite(group.steps_per_epoch).all() for group in recorded.groups)
    if stop.needs_epochs and not has_epochs:
        raise ArgumentError(
            f"{WHERE}: a rule that counts in epochs must come with curves that have some, got "
            f"stop={stop!r}. Take one that counts updates, or give steps_per_epoch with an array."
        )


def _simulated(stop: StopRule, recorded: "Recorded") -> "Simulation":
    from ..results import Simulation, Status
    from ._recorded import standing

    given = recorded
    whole = standing(given.score, given.values, given.status, given.steps_taken, given.step)
    if whole.best is None:
        raise ArgumentError(
            f"{WHERE}: a configuration must have finished in all its trials, got none such of "
            f"{len(given.values)}."
        )

    record = recorded.played(stop)
    curves = record.curves
    left = standing(
        given.score,
        curves.measured[given.score.metric],
        curves.status,
        curves.steps_taken,
        given.step,
    )
    regret = np.nan
    if left.best is not None:
        regret = given.score.sign * float(whole.means[left.best] - whole.means[whole.best])
    begun = curves.started_at
    is_stopped = (curves.status == Status.STOPPED).any(axis=(1, 2))
    return Simulation(
        rule=repr(stop),
        metric=given.score.metric,
        cost=float((curves.steps_taken - begun).sum() / (given.steps_taken - begun).sum()),
        regret=regret,
        stopped=tuple(np.flatnonzero(is_stopped).tolist()),
        best=left.best,
        status=np.array([x.name.lower() for x in Status], object)[curves.status],
        steps_taken=curves.steps_taken,
        utilization=record.utilization,
    )
