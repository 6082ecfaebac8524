"""`jf.sweep` and `jf.plan`."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import jax

from .._core.errors import ArgumentTypeError
from .._core.logger import Logger
from ..spaces import Space
from .stopping import StopRule
from .tasks import CrossValidation, Optimizer, Task, Trial

if TYPE_CHECKING:
    from ..results import Result
    from ._search import Search
    from .planning import Plan
    from .scheduler import Progress


def sweep(
    task: Task | Trial,
    optimizer: Optimizer | None = None,
    space: "Space | Search" = None,  # pyright: ignore[reportArgumentType]
    *,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    seeds: int = 1,
    folds: CrossValidation | None = None,
    metric: str = "valid_loss",
    mode: str | None = None,
    select: str = "last",
    eval_every: int | None = None,
    eval_batch_size: int | None = None,
    stop: StopRule | None = None,
    diverged_above: float | None = None,
    keep: str | None = "last",
    keep_configs: int = 10,
    keep_states: str | Iterable[int] | None = None,
    start: object = None,
    layers: bool = False,
    diagnostics: tuple[str, ...] = (),
    key: jax.Array | None = None,
    plan: "Plan | str | None" = None,
    directory: str | os.PathLike | None = None,
    snapshot_every: float = 30.0,
    progress: "bool | Callable[[Progress], bool | None]" = True,
    log: Logger | Iterable[Logger] | None = None,
    time_limit: float | None = None,
    executor: Executor | None = None,
    parts: int | None = None,
) -> "Result":
    """Train every configuration of a space in one compiled program for each static combination.

    A hyperparameter goes to the functions that request it by naming it: each name of the space is
    passed, by keyword, to those of `init`, `loss`, the metrics and `optimizer` that have it in
    their signature. They may also request `steps` (updates of the trial, int32), `steps_per_epoch`
    and `batch_size` (Python ints; `steps_per_epoch` is a traced int32, each fold's own, where folds
    differ in it).

    Args:
        task: what is trained.
        optimizer: a function of hyperparameters that returns a gradient transformation of
            jefficient or optax (``jf.adam`` as it stands, a lambda), or a transformation.
        space: the configurations, from `jf.grid`, `jf.sobol` or `jf.random`. Numbers are traced and
            share a program; `batch_size`, bools, None, strings, functions and what `jf.static`
            marks are static. Or a `jf.Search` such as `jf.optuna`, which proposes configurations
            while the sweep runs: then there is no `plan`, `directory` or `executor`, and `stop`
            compares the configurations of one batch of proposals.
        steps: updates of each trial; give this or `epochs`.
        epochs: passes over the training examples of the fold, ⌈epochs · examples / batch_size⌉
            updates. All folds are evaluated at the same epochs.
        batch_size: examples in a batch, unless the space names it; by default 64, or all examples
            if there are fewer.
        folds: cross-validation: a number of folds (shuffled), a splitter of scikit-learn's kind, or
            pairs of indices (train, validation). A configuration is ranked by the mean over its
            folds. A splitter's y and groups are ``data["y"]`` and ``data["groups"]``, or the second
            of a pair.
        seeds: repetitions of every configuration. All configurations share the initial parameters
            and the order of the data of a seed, so comparisons are paired.
        metric: what ranks configurations: ``valid_loss``, ``valid_<metric>`` or ``train_loss`` (the
            mean over the minibatches since the last evaluation), of a stream also
            ``window_<metric>``. Evaluation is unpenalised.
        mode: ``"min"`` or ``"max"``; by default min for a loss, and required for anything else.
        select: the evaluation of a trial that counts: its ``"last"``, or its ``"best"``.
        eval_every: updates between two evaluations; by default an epoch, or as many epochs as give
            50 evaluations at most; of a stream (``evaluate="prequential"``) a fiftieth. Where folds
            differ in their updates, it counts in the largest.
        eval_batch_size: validation examples evaluated at a time, to bound memory; by default all
            of them, or where they are not in memory 4 096, or 16 MiB of them. Means are weighted by
            the number of examples.
        stop: a `jf.StopRule` that stops configurations early, such as
            `jf.successive_halving`, `jf.hyperband`, `jf.median_stop` or `jf.patience`. A stopped
            configuration ranks behind all that finished.
        diverged_above: a training loss above it is a divergence, as a loss that is not finite
            always is.
        keep: which weights to keep: those of the ``"last"`` or the ``"best"`` evaluation, or None.
        keep_configs: of how many of the best configurations.
        keep_states: of which evaluations to keep whole states, of as many configurations, for
            `Result.state`: the ``"last"`` of each trial, its ``"best"``, or those with these
            numbers; by default none. A state is copied from the device when it is kept.
        start: what trials start from instead of what `init` returns. A `TrialState` from
            `Result.state`: the trial goes on after its updates, which count towards `steps`, and is
            bit for bit what it would be without a break, at equal width. A `Result`: each
            configuration goes on from the one that has the same hyperparameters there, as far as
            both have them, each seed and fold from its own. Weights as from `Result.params`: the
            optimizer begins anew. Or a function ``(config, seed, fold)``, numbers of the trial (in
            a search those of its batch), that returns a state, weights, or None for `init`. The
            evaluations of a trial are those after its start. Keys (those of noise, too), data and
            hyperparameters are those of this call. Under `stop` all trials must start after as many
            updates.
        layers: whether to record the norms of every layer's gradients, updates and weights: the
            variables `grad_norm`, `update_norm` and `weight_norm`, for `result.plot.layers`. It
            takes time, and since the program is another one, numbers may differ in their last bits.
        diagnostics: what else to measure at every evaluation, of the trained parameters and the
            training loss (penalties included, `augment` off): ``"sharpness"``, the largest
            eigenvalue of its Hessian, and ``"noise_scale"``, tr(Σ)/|G|² of its gradients, in
            examples. They see the same training examples at all evaluations, 1 024 of a fold at
            most (or one batch), in memory. Sharpness costs 32 products with the Hessian for each:
            evaluate seldom. As with `layers`, last bits may differ.
        key: typed PRNG key, ``jax.random.key(0, impl="threefry2x32")`` by default. Trial (seed s,
            fold f) draws from ``fold_in(fold_in(key, s), f)``, whatever else is in the space. Keys
            of ``rbg`` are refused: under vmap their numbers depend on other lanes.
        plan: the layout of the sweep, from `jf.plan`; or ``"measure"``, to time several widths and
            take the fastest; by default rules choose. Numbers depend on the width in their last
            bits, and on nothing else of the plan.
        directory: where to checkpoint the sweep, so that it survives its process: after a crash or
            Ctrl-C the same call goes on from there, bit for bit. A larger space in the same
            directory runs what is new. Another task, optimizer or other data (compared by 256
            examples where they are not in memory) are refused. Nothing in it is ever unpickled.
        snapshot_every: seconds from one snapshot to the next, at least; ``kill -9`` loses as much.
            With 0 there is one after every round of segments, and the sweep waits for it.
        progress: True for a bar in terminals and notebooks and lines elsewhere, False for nothing,
            or a function that is called with a `Progress` after every evaluation of a block, or
            every 0.1 s where they come faster. If it returns True, or raises KeyboardInterrupt, the
            sweep ends as after Ctrl-C, with a partial result.
        log: a `jf.Logger` or several, such as `jf.tensorboard`, `jf.mlflow` and `jf.wandb`: each is
            told of every evaluation, one run a trial. With `directory` a resumed sweep tells
            nothing twice; with an executor a part is told when it is over. A logger that raises is
            named in a warning, and told no more.
        time_limit: seconds of wall time, compilation included, after which no further segment is
            begun. The result is the one so far: trials that are not over have the status
            ``"interrupted"``. With `directory` the same call goes on from there, and has that time
            again; a search ends.
        executor: any `concurrent.futures.Executor` (a process pool's, Dask's, MPI's): the
            configurations are split into parts, and each part is an ordinary sweep in a worker. A
            part that is lost with its worker is handed out again. The numbers are bitwise those of
            one process, except with `stop`, which compares the configurations of one part. With
            `directory`, which all workers must see, parts resume. Needs the extra `executors`.
        parts: how many, with an executor; by default 8.

    Returns:
        A `Result`: `best()`, `table()`, `params()`, `plot` and the labelled `dataset`.

    Raises:
        ArgumentError: if an argument or a name of the space breaks a rule. What a function raises
            for a configuration is raised before anything is compiled, with a note that names the
            configuration: the optimizer is built for every configuration; `init`, the loss and the
            metrics are traced for 16 distinct sets of their hyperparameters and for the smallest
            and the largest value of each (what an earlier call has traced is not traced again).
        ArgumentTypeError: if an argument is of another kind.
        JefficientError: if the directory is held by a running sweep, is of another sweep, or is
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
        >>> rates = jf.grid(learning_rate=[1e-3, 1e-1])
        >>> result = jf.sweep(task, jf.sgd, rates, steps=100, progress=False)
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
        keep_states=keep_states,  # pyright: ignore[reportArgumentType]
        start=start,
        layers=layers,
        diagnostics=diagnostics,
        key=key,  # pyright: ignore[reportArgumentType]
    )
    return run(
        task,
        optimizer,
        space,
        settings,
        RunOptions(plan, directory, snapshot_every, progress, executor, parts, time_limit, log),
    )


def plan(
    task: Task | Trial,
    optimizer: Optimizer | None = None,
    space: Any = None,
    *,
    measure: bool = False,
    **settings: Any,
) -> "Plan":
    """Plan a sweep: how it would be laid out, and the memory and time it would take.

    Nothing is trained, but every program is compiled and timed for a fraction of a second; a sweep
    in the same process then starts at once, since it uses the same programs. The width of blocks,
    the number of lanes in one ``vmap``, follows from rules: the kind of device, the size of a
    lane's state, whether there are convolutions; on a CPU also what else a lane works on and how
    many trials there are.

    Args:
        task: as in `jf.sweep`, and so are `optimizer`, `space` and **settings.
        optimizer: see `jf.sweep`.
        space: see `jf.sweep`.
        measure: time other widths and numbers of blocks too, and choose the fastest; compiles
            several times as often.
        **settings: steps, epochs, batch_size, seeds, folds, stop … of `jf.sweep`. With early
            stopping the time is an upper bound.

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
        >>> rates = jf.grid(learning_rate=np.geomspace(1e-3, 1e-1, 20))
        >>> plan = jf.plan(task, jf.sgd, rates, steps=100)
        >>> plan.programs[0].trials, plan.programs[0].steps
        (20, 2000)
    """
    from .._core.debugging import tools_off
    from .._core.devices import Machine
    from .planning import Settings, prepare, timed_plan
    from .tasks import annotate_checks

    known = [field.name for field in dataclasses.fields(Settings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ArgumentTypeError(f"jf.plan: settings must be among {known}, got {unknown}.")
    with tools_off(), annotate_checks():
        spec = prepare(task, optimizer, space, Settings(**settings))
        return timed_plan(spec, Machine.here(), measure)
