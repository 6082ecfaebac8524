"""A point and the settings of a call, checked; its derivatives, and what they will take."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core.debugging import tools_off
from .._core.devices import Machine
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.warn import warn
from ..results import Derivatives, factor_of, mean_and_error, one_of
from ..spaces import Axis, Space, grid
from .derivatives import Differentiator, without_derivative
from .planning import Settings, SweepSpec, prepare
from .tasks import Optimizer, Task, Trial, annotate_checks

WHERE = "jf.hypergradient"

MODES = ("auto", "forward", "reverse")


class Hypergradient(NamedTuple):
    """The derivative of a score in hyperparameters.

    Attributes:
        score: the mean of the metric over seeds and folds, as `jf.sweep` of this point has it.
        gradient: name to ∂score/∂x: a float, or for an array of hyperparameters an array like it.
        gradient_by_trial: name to each trial's own derivative, float32 array (seeds, folds, …),
            whose mean `gradient` is.
        standard_error: name to the standard error of `gradient`, like it; over seeds, or over folds
            where there are some, corrected for what they share (see `Result.compare`). NaN for one
            trial.
        exploding: names whose derivative is so large that a change of the hyperparameter by 1 %
            would, were it linear, move the score of some trial by more than its whole size.
    """

    score: float
    gradient: dict[str, Any]
    gradient_by_trial: dict[str, Any]
    standard_error: dict[str, Any]
    exploding: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ModePlan:
    """What one mode takes.

    Attributes:
        seconds: predicted for all trials, programs compiled.
        bytes: predicted memory of the blocks that run side by side, the data left out.
    """

    seconds: float
    bytes: int

    def __str__(self) -> str:
        return f"about {self.seconds:.2g} s, {self.bytes / 2**20:,.1f} MiB"


@dataclasses.dataclass(frozen=True)
class HypergradientPlan:
    """What `jf.hypergradient` takes. ``print`` it to read it.

    Attributes:
        mode: "forward" or "reverse": the one asked for, or chosen.
        trials: seeds × folds.
        directions: how many numbers are differentiated, elements of arrays counted.
        steps: updates of the longest trial.
        segment: updates between two checkpoints of reverse mode.
        width: trials in a block, by mode.
        trial: what training alone takes.
        forward: what forward mode takes.
        reverse: what reverse mode takes.
    """

    mode: str
    trials: int
    directions: int
    steps: int
    segment: int
    width: Mapping[str, int]
    trial: ModePlan
    forward: ModePlan
    reverse: ModePlan

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.mode} mode: {self.trials} trials of {self.steps:,} updates, "
                f"{self.directions} numbers",
                f"  training alone: {self.trial}",
                f"  forward: {self.forward}",
                f"  reverse: {self.reverse}, in segments of {self.segment:,} updates",
            ]
        )


@tools_off()
def differentiated(
    task: Task | Trial,
    optimizer: Optimizer | None,
    point: Mapping[str, Any] | None,
    settings: dict[str, Any],
    wrt: Sequence[str] | None,
    mode: str,
) -> Hypergradient:
    """Differentiate; see `jf.hypergradient`."""
    one_of(WHERE, "mode", mode, MODES)
    with annotate_checks():
        differentiator = _differentiator(task, optimizer, point, settings, wrt)
        machine = Machine.here()
        derivatives = differentiator.run(differentiator.layout(mode, machine), machine)
    return _labelled(derivatives, differentiator.spec)


@tools_off()
def planned(
    task: Task | Trial,
    optimizer: Optimizer | None,
    point: Mapping[str, Any] | None,
    settings: dict[str, Any],
    wrt: Sequence[str] | None,
    mode: str,
) -> HypergradientPlan:
    """Predict; see `jf.plan_hypergradient`."""
    one_of("jf.plan_hypergradient", "mode", mode, MODES)
    with annotate_checks():
        differentiator = _differentiator(task, optimizer, point, settings, wrt)
        machine = Machine.here()
        layouts = {x: differentiator.layout(x, machine) for x in ("forward", "reverse")}
        taken = {x: differentiator.tried(layout, machine) for x, layout in layouts.items()}
        return HypergradientPlan(
            mode=differentiator.layout(mode, machine).mode,
            trials=differentiator.evaluations.size,
            directions=differentiator.directions,
            steps=differentiator.steps,
            segment=layouts["reverse"].length,
            width={x: layout.width for x, layout in layouts.items()},
            trial=ModePlan(*taken["reverse"][1]),
            forward=ModePlan(*taken["forward"][0]),
            reverse=ModePlan(*taken["reverse"][0]),
        )


def _differentiator(
    task: Task | Trial,
    optimizer: Optimizer | None,
    point: Mapping[str, Any] | None,
    settings: dict[str, Any],
    wrt: Sequence[str] | None,
) -> Differentiator:
    """Check everything that can be checked before compilation."""
    space = _space(point)
    names = _names(space, wrt)
    if isinstance(task, Task):  # its test set has no part in it
        task = task.without_test()
    spec = prepare(task, optimizer, space, Settings(**settings, mode="min", keep=None))
    count = spec.groups[0].evaluations[0].shape[1]
    shape = spec.settings.seeds, spec.problem.folds
    return Differentiator(WHERE, spec, 0, names, np.full(shape, count - 1))


def _space(point: object) -> Space:
    """Return the space of one configuration."""
    if not isinstance(point, Mapping) or not point:
        raise ArgumentTypeError(
            f"{WHERE}: point must be a dict of hyperparameters with one value each, got "
            f"point={point!r}."
        )
    axes = {name: grid(**{name: _axis(x)}) for name, x in point.items()}
    return math.prod(list(axes.values())[1:], start=next(iter(axes.values())))


def _axis(x: Any) -> Axis | list[Any]:
    """Return one value as an axis; what `jf.static` marks is one already.

    A list of floats is an array, as `Result.best` has it; whole numbers may be the shape of layers.
    """
    if isinstance(x, Axis):
        return x
    if isinstance(x, list):
        has_floats = all(isinstance(number, float) for number in jax.tree.leaves(x))
        return [np.array(x) if has_floats else x]
    return [x.item() if getattr(x, "shape", None) == () else x]


def _names(space: Space, wrt: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names to differentiate in, all of them with floats."""
    if len(space) != 1:
        raise ArgumentError(
            f"{WHERE}: point must have one value of each hyperparameter, got {space!r}."
        )
    if isinstance(wrt, str):
        raise ArgumentTypeError(f"{WHERE}: wrt must be a list of names, got wrt={wrt!r}.")
    names = space.names if wrt is None else tuple(wrt)
    for name in names:
        if name not in space.names:
            raise ArgumentError(
                f"{WHERE}: wrt must be among the names of the point, {list(space.names)}, got "
                f"{name!r}."
            )
        why = without_derivative(space, name)
        if why is not None:
            others = [x for x in space.names if without_derivative(space, x) is None]
            advice = f"Differentiate in the others: wrt={others}." if others else ""
            if why == "whole number" and "." not in str(space[0][name]):
                advice = f"{advice} If it is no count, write it as a float.".strip()
            raise ArgumentError(
                f"{WHERE}: a hyperparameter must be a float to have a derivative, got the {why} "
                f"{name}={space.labels(name)[0]!r}. {advice}"
            )
    if not names:
        raise ArgumentError(f"{WHERE}: wrt must have at least one name, got {list(names)}.")
    return names


def _labelled(derivatives: Derivatives, spec: SweepSpec) -> Hypergradient:
    """Average over trials."""
    sizes = spec.problem.sizes
    train, test = (float(np.mean(x)) for x in (sizes.training, sizes.validation))
    seeds, folds = derivatives.score.shape
    factor = factor_of(seeds, folds, train, test)
    means = {}
    errors = {}
    for name, x in derivatives.gradients.items():
        means[name], errors[name] = (_plain(y) for y in mean_and_error(x, factor))
    exploding = tuple(name for name in means if derivatives.is_exploding(name).any())
    if exploding:
        warn(
            f"{WHERE}: the derivative explodes in {', '.join(exploding)}: were it linear, a change "
            f"by 1 % would move the score by more than its whole size. So it is where training is "
            f"chaotic or about to diverge (Metz et al. 2021): the number is right for tiny changes "
            f"only and says little of others. Lower the learning rate, clip gradients, or take "
            f"fewer steps; compare gradient_by_trial."
        )
    score = float(derivatives.score.astype(float).mean())
    return Hypergradient(score, means, derivatives.gradients, errors, exploding)


def _plain(x: np.ndarray) -> float | np.ndarray:
    return float(x) if x.ndim == 0 else x
