"""What the test rows say of the winner."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from .._core.typing import Tree
from ..results import Result
from ._custom import Custom
from ._prepared import Prepared


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

    @jax.jit
    def means(weights: Tree, rows: Tree, data: Tree, fold: jax.Array) -> dict[str, jax.Array]:
        return problem.tested(weights, rows, data, fold, {**part.static, **numbers})

    trials = [(seed, fold) for seed in range(part.seeds) for fold in range(part.folds)]
    values = [
        jax.device_get(means(result.weights[config, *trial], problem.task.test, problem.data, jnp.int32(trial[1])))
        for trial in trials
    ]
    shape = part.seeds, part.folds
    return xr.Dataset(
        {name: (("seed", "fold"), np.reshape([float(x[name]) for x in values], shape)) for name in values[0]},
        coords={"seed": np.arange(part.seeds), "fold": np.arange(part.folds)},
        attrs={"config": config},
    )
