"""`jf.hypergradient` and `jf.plan_hypergradient`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from .._core.errors import ArgumentTypeError
from .tasks import CrossValidation, Optimizer, Task, Trial

if TYPE_CHECKING:
    from ._gradient_run import Hypergradient, HypergradientPlan


def hypergradient(
    task: Task | Trial,
    optimizer: Optimizer | None = None,
    point: Mapping[str, Any] | None = None,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    seeds: int = 1,
    folds: CrossValidation | None = None,
    metric: str = "valid_loss",
    eval_every: int | None = None,
    eval_batch_size: int | None = None,
    diverged_above: float | None = None,
    key: jax.Array | None = None,
    wrt: Sequence[str] | None = None,
    mode: str = "auto",
) -> "Hypergradient":
    """Differentiate the mean validation score of a training run in its hyperparameters.

    The derivative is exact, that of the whole run: through every update, the schedule, the penalty
    and `init`. The score is the number that `jf.sweep` reports of this point at its last
    evaluation, the mean over seeds and folds, with the same keys, batches and folds.

    Forward mode carries one tangent of the train state along for each number that is
    differentiated. Reverse mode goes back through the run with a cost that does not depend on how
    many numbers there are; it keeps about √steps states and trains each segment between two of them
    again. [Derivatives](../derivatives.md) says what both take.

    Args:
        task: as in `jf.sweep`; its examples in memory.
        optimizer: as in `jf.sweep`.
        point: hyperparameter to value, such as ``result.best().hyperparameters``. Floats, and
            arrays or lists of floats, are differentiated; see `wrt`.
        steps: as in `jf.sweep`, and so are `epochs`, `batch_size`, `seeds`, `folds`, `eval_every`,
            `eval_batch_size`, `diverged_above` and `key`.
        epochs: see `steps`.
        batch_size: see `steps`.
        seeds: repetitions; each has its own derivative, so that signal and noise are told apart.
        folds: see `steps`.
        metric: what is differentiated: ``valid_loss``, ``valid_<metric>`` for one that is computed
            in JAX and smooth, or ``train_loss``.
        eval_every: updates between two evaluations: ``train_loss`` is the mean since the one
            before.
        eval_batch_size: see `steps`.
        diverged_above: see `steps`.
        key: see `steps`.
        wrt: names of the point to differentiate in, by default all of them. Whole numbers and
            static values have no derivative: where the point has some, name the others here.
        mode: ``"forward"``, ``"reverse"``, or ``"auto"``: which is predicted to be the faster one
            of those that fit into memory; `jf.plan_hypergradient` says what is predicted.

    Returns:
        A `Hypergradient`. With a `JefficientWarning` if derivatives explode, as they do where
        training is chaotic: they are right, and useless, since they hold for tiny changes only.

    Raises:
        ArgumentError: what `jf.sweep` raises; if a name of `wrt` is a whole number or static, the
            metric has no derivative (an error rate, one scored on the host), a trial diverges, or a
            derivative is not finite. The message names the number.
        ArgumentTypeError: if an argument is of another kind.

    References:
        Maclaurin, Duvenaud and Adams (2015), "Gradient-based Hyperparameter Optimization through
        Reversible Learning"; Franceschi et al. (2017), "Forward and Reverse Gradient-Based
        Hyperparameter Optimization"; Griewank and Walther (2008), "Evaluating Derivatives", chapter
        12, for checkpoints; Metz et al. (2021), "Gradients are Not All You Need", for chaos.

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
        >>> found = jf.hypergradient(task, jf.sgd, {"learning_rate": 0.1}, steps=10, seeds=3)
        >>> found.gradient["learning_rate"] < 0  # a larger one would be better
        True
        >>> found.gradient_by_trial["learning_rate"].shape
        (3, 1)
    """
    from ._gradient_run import differentiated

    settings = {
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "seeds": seeds,
        "folds": folds,
        "metric": metric,
        "eval_every": eval_every,
        "eval_batch_size": eval_batch_size,
        "diverged_above": diverged_above,
        "key": key,
    }
    return differentiated(task, optimizer, point, settings, wrt, mode)


def plan_hypergradient(
    task: Task | Trial,
    optimizer: Optimizer | None = None,
    point: Mapping[str, Any] | None = None,
    *,
    wrt: Sequence[str] | None = None,
    mode: str = "auto",
    **settings: Any,
) -> "HypergradientPlan":
    """Predict what `jf.hypergradient` would take in both modes: time, and memory.

    Nothing is trained, but the programs are compiled, and timed for a fraction of a second; a
    `jf.hypergradient` in the same process then starts at once.

    Args:
        task: as in `jf.hypergradient`, and so are all others.
        optimizer: see `task`.
        point: see `task`.
        wrt: see `task`.
        mode: see `task`.
        **settings: steps, epochs, batch_size, seeds, folds, … of `jf.hypergradient`.

    Returns:
        A `HypergradientPlan`: print it. Seconds are those of this moment on this machine.

    Raises:
        ArgumentError: as `jf.hypergradient`, but for what only training can tell.

    Examples:
        >>> import jefficient as jf
        >>> import jax, numpy as np
        >>> task = jf.Task(
        ...     init=lambda key: jax.numpy.zeros(3),
        ...     loss=lambda w, batch: ((batch - w) ** 2).mean(),
        ...     data=np.ones((20, 3), np.float32),
        ...     validation=0.5,
        ... )
        >>> plan = jf.plan_hypergradient(task, jf.sgd, {"learning_rate": 0.1}, steps=100)
        >>> plan.mode
        'forward'
    """
    from ._gradient_run import planned

    known = hypergradient.__kwdefaults__ or {}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ArgumentTypeError(
            f"jf.plan_hypergradient: settings must be among {sorted(known)}, got {unknown}."
        )
    return planned(task, optimizer, point, settings, wrt, mode)
