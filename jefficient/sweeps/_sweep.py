"""The front doors to sweeps: run one, or ask what it would take."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from .._core.errors import ArgumentTypeError
from ..spaces import Space
from .stopping import StopRule
from .tasks import Task, Trial

if TYPE_CHECKING:
    from ..results import Result
    from ._search import Search
    from .planning import Plan
    from .scheduler import Progress


def sweep(
    task: Task | Trial,
    optimizer: Any = None,
    space: "Space | Search" = None,  # pyright: ignore[reportArgumentType]
    *,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    seeds: int = 1,
    folds: Any = None,
    metric: str = "valid_loss",
    mode: str | None = None,
    select: str = "last",
    eval_every: int | None = None,
    eval_batch_size: int | None = None,
    stop: StopRule | None = None,
    diverged_above: float | None = None,
    keep: str | None = "last",
    keep_configs: int = 10,
    layers: bool = False,
    key: jax.Array | None = None,
    plan: Any = None,
    directory: Any = None,
    snapshot_every: float = 30.0,
    progress: "bool | Callable[[Progress], None]" = True,
    executor: Any = None,
    parts: int | None = None,
) -> "Result":
    """Train every configuration of a space, many at a time, in one compiled program for each static combination.

    A hyperparameter goes where its name is asked for: each name of the space is passed, by keyword,
    to whichever of the task's `init`, `loss` and metrics and of `optimizer` has it in its
    signature. They may also ask for `steps` (the trial's total, int32), `steps_per_epoch` and
    `batch_size` (Python ints).

    Args:
        task: what is to be learned.
        optimizer: a function of hyperparameters that returns a gradient transformation of
            jefficient or optax (``jf.adam`` as it stands, a lambda), or a built transformation.
        space: the configurations, from `jf.grid`, `jf.sobol` or `jf.random`. Numbers are traced and
            share a program; `batch_size`, bools, None, strings, functions and what `jf.static`
            marks are static. Or what proposes them while the sweep runs, `jf.optuna`: then there is
            no `plan`, `directory` or `executor`, and `stop` judges among the configurations of a
            round.
        steps: updates of each trial; give this or `epochs`.
        epochs: passes over the training rows, ⌈epochs · rows / batch_size⌉ updates.
        batch_size: rows in a batch, where the space does not name it; by default 64, or all rows if
            fewer.
        folds: cross-validation: a number of folds (shuffled), a splitter of scikit-learn's kind, or
            pairs of row numbers (train, held out). All trials of a configuration are judged by
            their mean. A splitter's y and groups are ``data["y"]`` and ``data["groups"]``, or the
            second of a pair.
        seeds: repetitions of every configuration. All configurations share the initial parameters
            and the data order of a seed, so they are compared like with like.
        metric: what ranks configurations: ``valid_loss``, ``valid_<metric>`` or ``train_loss`` (the
            mean over the minibatches since the last evaluation). Evaluation is unpenalised.
        mode: ``"min"`` or ``"max"``; by default min for a loss, and required for anything else.
        select: the ``"last"`` evaluate a trial counts, or its ``"best"``.
        eval_every: updates between two evaluations; by default an epoch, or as many as give 50
            evaluates most.
        eval_batch_size: held-out rows evaluated at a time, so that many fit; by default all at
            once, or where they are not in memory 4 096 or 16 MiB of them. Means are weighted by
            rows.
        stop: `jf.successive_halving` or `jf.median_stop`: who is stopped early. A stopped
            configuration ranks behind all that finished.
        diverged_above: a training loss above it is a divergence, as one that is not finite always
            is.
        keep: which weights to keep: ``"last"``, those of the ``"best"`` evaluation, or None.
        keep_configs: of how many of the best configurations.
        layers: whether the norms of every layer's gradients, updates and weights are recorded: the
            variables `grad_norm`, `update_norm` and `weight_norm`, for `result.plot.layers`. It
            costs time, and since it is another program the numbers may differ in their last bits.
        key: typed PRNG key, ``jax.random.key(0, impl="threefry2x32")`` by default. Trial (seed s,
            fold f) draws from ``fold_in(fold_in(key, s), f)``, wherever it stands in the space.
            Keys of ``rbg`` are refused: under vmap their numbers depend on the neighbours.
        plan: what `jf.plan` gave, to lay the sweep out that way; or ``"measure"``, to try widths
            first and take the fastest; by default rules choose. The numbers depend on the width in
            their last bits, on nothing else of it.
        directory: where the sweep is kept while it runs, so that it survives its process: after a
            crash or Ctrl-C the same call goes on from there, bit for bit. A larger space in the
            same directory runs what is new. Another task, another optimizer or other data (told by
            256 of the rows where they are not in memory) are refused. Nothing in it is ever
            unpickled.
        snapshot_every: seconds from one snapshot to the next, at least; ``kill -9`` loses as much.
            With 0 there is one after every round of segments, and the sweep waits for it.
        progress: True for a bar in terminals and notebooks and lines elsewhere, False for nothing,
            or a function that is called with a `Progress` after every segment.
        executor: any `concurrent.futures.Executor` (a process pool's, Dask's, MPI's): the
            configurations are cut into parts, and each is an ordinary sweep in a worker. A part
            that is lost with its worker is handed out again. The numbers are bitwise those of one
            process; but for `stop`, which sees the configurations of a part alone. With
            `directory`, which all workers must see, parts resume. Needs the extra `executors`.
        parts: how many, with an executor; by default 8.

    Returns:
        A `Result`: `best()`, `table()`, `params()`, `plot` and the labelled `dataset`.

    Raises:
        ArgumentError: where an argument or a name of the space breaks a rule. What a function
            raises for a configuration is raised before anything is compiled, with a note that names
            the configuration: the optimizer is built for every configuration; `init`, the loss and
            the metrics are traced for 16 distinct sets of their hyperparameters and for the
            smallest and the largest value of each.
        ArgumentTypeError: where an argument is of another kind.
        JefficientError: where the directory is held by a running sweep, is of another sweep, or
            damaged.

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
        >>> result = jf.sweep(task, jf.sgd, jf.grid(learning_rate=[1e-3, 1e-1]), steps=100, progress=False)
        >>> result.best().hyperparameters
        {'learning_rate': 0.1}
        >>> dict(result.dataset.sizes)["config"]
        2
    """
    from ._run import run  # xarray and pandas load with the first sweep, not with jefficient
    from .planning import RunOptions, Settings

    settings = Settings(
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        seeds=seeds,
        folds=folds,
        metric=metric,
        mode=mode,
        select=select,
        eval_every=eval_every,
        eval_batch_size=eval_batch_size,
        stop=stop,
        diverged_above=diverged_above,
        keep=keep,
        keep_configs=keep_configs,
        layers=layers,
        key=key,  # pyright: ignore[reportArgumentType]
    )
    return run(
        task,
        optimizer,
        space,
        settings,
        RunOptions(plan, directory, snapshot_every, progress, executor, parts),
    )


def plan(
    task: Any, optimizer: Any = None, space: Any = None, *, measure: bool = False, **settings: Any
) -> "Plan":
    """How `jf.sweep` would lay a sweep out, how much memory it would take and how long, without training anything.

    Every program is compiled and tried out for a fraction of a second. (With
    `jf.use_compilation_cache` the sweep itself then starts at once.) The width of blocks, how many
    lanes are trained side by side in one ``vmap``, follows from rules: the kind of device, the size
    of a lane's state, whether there are convolutions; on a CPU also what else a lane works on and
    how many trials there are.

    Args:
        task: as in `jf.sweep`, and so are `optimizer`, `space` and **settings.
        optimizer: see `jf.sweep`.
        space: see `jf.sweep`.
        measure: try other widths and numbers of blocks too, and choose the fastest; compiles
            several times as often.
        **settings: steps, epochs, batch_size, seeds, folds, stop … of `jf.sweep`. Early stopping
            makes the time an upper bound.

    Returns:
        A `Plan`: print it, or give it to ``jf.sweep(plan=…)``. Seconds are those of this moment on
        this machine.

    Raises:
        ArgumentError: as `jf.sweep` does.

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
        >>> plan = jf.plan(task, jf.sgd, jf.grid(learning_rate=np.geomspace(1e-3, 1e-1, 20)), steps=100)
        >>> plan.programs[0].trials, plan.programs[0].steps
        (20, 2000)
    """
    from .planning import Settings, forecast, prepare

    known = [field.name for field in dataclasses.fields(Settings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ArgumentTypeError(f"jf.plan: settings must be among {known}, got {unknown}.")
    return forecast(prepare(task, optimizer, space, Settings(**settings)), measure)
