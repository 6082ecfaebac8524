"""`jf.load`."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..results import Result
    from ..spaces import Space
    from .tasks import CrossValidation, Optimizer, Task, Trial


def load(
    path: str | os.PathLike,
    *,
    task: "Task | Trial | None" = None,
    optimizer: "Optimizer | None" = None,
    space: "Space | None" = None,
    folds: "CrossValidation | None" = None,
    start: object = None,
) -> "Result":
    """Load a result from a file that `Result.save` wrote, or from the directory of a sweep.

    From a directory come the numbers of the last snapshot, whether the sweep has ended or is
    running: trials that are not over have the status `running`, or `interrupted` where no process
    holds the directory. Of a sweep in parts (``jf.sweep(executor=…)``) those that have begun are
    put together. The weights of a directory come back by running the same ``jf.sweep(…,
    directory=…)`` again. Nothing in a file is executed or unpickled.

    Args:
        path: the file or directory.
        task: needed to train again (`Result.replay`, `Result.refit`), and to restore weights that
            are in classes of your own, as whole states are: what `jf.sweep` was given, with
            `optimizer`, `space` and, unless it was a number, `folds`.
        optimizer: see `task`.
        space: see `task`.
        folds: see `task`.
        start: see `task`; needed where trials started from states.

    Returns:
        A `Result`. Its hyperparameters have the types they had (bool, None, int, float, str);
        functions and other objects are their labels, with a task what they are in the space.

    Raises:
        JefficientError: if the file or directory is missing, damaged or something else.
        ArgumentError: if the task's data, its functions or the space are not those of the sweep;
            if a task is given with a directory, or `optimizer`, `space`, `folds` or `start` without
            one.

    Examples:
        >>> import tempfile
        >>> import jefficient as jf
        >>> import jax, numpy as np
        >>> task = jf.Task(
        ...     init=lambda key: jax.numpy.zeros(()),
        ...     loss=lambda w, batch: ((w - batch) ** 2).mean(),
        ...     data=np.ones(20, np.float32),
        ...     validation=0.5,
        ... )
        >>> rates = jf.grid(learning_rate=[0.1, 0.2])
        >>> result = jf.sweep(task, jf.sgd, rates, steps=20, progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded = jf.load(result.save(f"{folder}/sweep.nc"))
        >>> loaded.best().config == result.best().config
        True
    """
    from ._loading import load as load_now  # xarray is imported with the first result

    return load_now(path, task, optimizer, space, folds, start)
