"""The evaluation of the best configuration on the test set."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from .._core.typing import Tree
from ..results import Result
from .planning import SweepSpec
from .tasks import count_examples


def tested(spec: SweepSpec, result: Result) -> xr.Dataset | None:
    """Evaluate the weights of the best configuration on the test set; see `Result.test`."""
    problem = spec.problem
    if problem.test is None or (result.dataset["status"] == "interrupted").any():
        return None  # the test set is evaluated once, when all trials are over
    try:
        config = result.best().config
    except JefficientError:
        return None

    group = next(group for group in spec.groups if config in group.configs)
    row = int(np.flatnonzero(group.configs == config)[0])

    @jax.jit
    def means_of(
        weights: Tree, batch: Tree, data: Tree, fold: jax.Array, numbers: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        hyperparameters = {**group.static, **numbers}
        return problem.test_means(weights, batch, data, fold, hyperparameters)

    shape = group.seeds, group.folds
    trained = {trial: result.weights[config, *trial] for trial in np.ndindex(shape)}
    means: dict[str, np.ndarray] = {}
    seen = 0
    for batch in problem.test_batches():  # each is read once for all trials
        size, batch = count_examples(batch), jax.device_put(batch)
        seen += size
        for (seed, fold), weights in trained.items():
            numbers = {**group.traced(row, fold), "steps": group.steps[row, fold]}
            means_there = means_of(weights, batch, problem.data, jnp.int32(fold), numbers)
            here = jax.device_get(means_there)
            for name, x in here.items():
                mean = means.setdefault(name, np.zeros(shape))
                mean[seed, fold] += (float(x) - mean[seed, fold]) * (size / seen)

    return xr.Dataset(
        {name: (("seed", "fold"), mean) for name, mean in means.items()},
        coords={"seed": np.arange(group.seeds), "fold": np.arange(group.folds)},
        attrs={"config": config},
    )
