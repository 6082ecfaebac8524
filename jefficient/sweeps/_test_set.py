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
from .data import Part, Piece, Source, piece_of, read_piece
from .planning import Prepared
from .tasks import Custom, Supervised

Ended = list[tuple[Tree, jax.Array]]
"""Of each trial its weights and the fold that it was trained on, int32."""


def tested(prepared: Prepared, result: Result) -> xr.Dataset | None:
    """Evaluate the winner's weights on the test rows; see `Result.test`."""
    problem = prepared.problem
    if isinstance(problem, Custom) or problem.task.test is None:
        return None
    if (result.dataset["status"] == "interrupted").any():
        return None  # they are looked at once, when all is done
    try:
        config = result.best().config
    except JefficientError:
        return None
    part = next(part for part in prepared.parts if config in part.configs)
    numbers = part.rows()[int(np.flatnonzero(part.configs == config)[0])]

    given, rows = {**part.static, **numbers}, problem.task.test
    trials = [(seed, fold) for seed in range(part.seeds) for fold in range(part.folds)]
    trained = [(result.weights[config, *trial], jnp.int32(trial[1])) for trial in trials]
    measure = _on_source if isinstance(rows, Source) else _on_arrays
    values = measure(problem, rows, given, trained)
    shape = part.seeds, part.folds
    return xr.Dataset(
        {name: (("seed", "fold"), np.reshape([float(x[name]) for x in values], shape)) for name in values[0]},
        coords={"seed": np.arange(part.seeds), "fold": np.arange(part.folds)},
        attrs={"config": config},
    )


def _on_arrays(problem: Supervised, rows: Tree, given: dict[str, Any], trained: Ended) -> list[dict[str, Any]]:
    """The means over rows in memory, for each trial."""

    @jax.jit
    def means(weights: Tree, rows: Tree, data: Tree, fold: jax.Array) -> dict[str, jax.Array]:
        return problem.tested(weights, rows, data, fold, given)

    return [jax.device_get(means(weights, rows, problem.data, fold)) for weights, fold in trained]


def _on_source(problem: Supervised, rows: Source, given: dict[str, Any], trained: Ended) -> list[dict[str, Any]]:
    """The means over rows that are read piece by piece, each once for all trials."""
    part, size = Part(rows, None), piece_of(rows.size, rows, problem.eval_batch_size)

    @jax.jit
    def sums(weights: Tree, piece: Piece, data: Tree, fold: jax.Array) -> dict[str, jax.Array]:
        return problem.measured_sums("test", weights, piece, data, fold, given)

    totals: list[Counter[str]] = [Counter() for _ in trained]
    for begin in range(0, rows.size, size):
        piece = jax.device_put(read_piece(part, begin, size))
        for total, (weights, fold) in zip(totals, trained, strict=True):
            here = jax.device_get(sums(weights, piece, problem.data, fold))
            total.update({name: float(x) for name, x in here.items()})
    return [{name: x / rows.size for name, x in total.items()} for total in totals]
