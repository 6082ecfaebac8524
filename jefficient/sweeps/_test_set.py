"""What the test rows say of the winner."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from .._core.typing import Tree
from ..results import Result
from .data import EvaluationBatch, Source, Split, piece_of, read_piece
from .planning import SweepSpec
from .tasks import TaskProblem, TrialProblem

Ended = list[tuple[Tree, jax.Array]]
"""Of each trial its weights and the fold that it was trained on, int32."""


def tested(spec: SweepSpec, result: Result) -> xr.Dataset | None:
    """Evaluate the winner's weights on the test rows; see `Result.test`."""
    problem = spec.problem
    if isinstance(problem, TrialProblem) or problem.task.test is None:
        return None
    if (result.dataset["status"] == "interrupted").any():
        return None  # they are evaluated once, when all is done
    try:
        config = result.best().config
    except JefficientError:
        return None
    group = next(group for group in spec.groups if config in group.configs)
    numbers = group.rows()[int(np.flatnonzero(group.configs == config)[0])]

    given, rows = {**group.static, **numbers}, problem.task.test
    trials = [(seed, fold) for seed in range(group.seeds) for fold in range(group.folds)]
    trained = [(result.weights[config, *trial], jnp.int32(trial[1])) for trial in trials]
    measure = _on_source if isinstance(rows, Source) else _on_arrays
    values = measure(problem, rows, given, trained)
    shape = group.seeds, group.folds
    return xr.Dataset(
        {
            name: (("seed", "fold"), np.reshape([float(x[name]) for x in values], shape))
            for name in values[0]
        },
        coords={"seed": np.arange(group.seeds), "fold": np.arange(group.folds)},
        attrs={"config": config},
    )


def _on_arrays(
    problem: TaskProblem, rows: Tree, given: dict[str, Any], trained: Ended
) -> list[dict[str, Any]]:
    """The means over rows in memory, for each trial."""

    @jax.jit
    def means(weights: Tree, rows: Tree, data: Tree, fold: jax.Array) -> dict[str, jax.Array]:
        return problem.tested(weights, rows, data, fold, given)

    return [jax.device_get(means(weights, rows, problem.data, fold)) for weights, fold in trained]


def _on_source(
    problem: TaskProblem, rows: Source, given: dict[str, Any], trained: Ended
) -> list[dict[str, Any]]:
    """The means over rows that are read piece by piece, each once for all trials."""
    group, size = Split(rows, None), piece_of(rows.size, rows, problem.eval_batch_size)

    @jax.jit
    def sums(
        weights: Tree, piece: EvaluationBatch, data: Tree, fold: jax.Array
    ) -> dict[str, jax.Array]:
        return problem.measured_sums("test", weights, piece, data, fold, given)

    totals: list[Counter[str]] = [Counter() for _ in trained]
    for begin in range(0, rows.size, size):
        piece = jax.device_put(read_piece(group, begin, size))
        for total, (weights, fold) in zip(totals, trained, strict=True):
            here = jax.device_get(sums(weights, piece, problem.data, fold))
            total.update({name: float(x) for name, x in here.items()})
    return [{name: x / rows.size for name, x in total.items()} for total in totals]
