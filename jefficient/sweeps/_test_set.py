"""The evaluation of the best configuration on the test set."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from .._core.reuse import program
from .._core.typing import Examples, Params, Tree
from .._core.warn import warn
from ..results import Result, by_fold, counted_evaluations
from .planning import SweepSpec
from .tasks import WHERE, Sums


def tested(spec: SweepSpec, result: Result) -> xr.Dataset | None:
    """Evaluate the weights of the best configuration on the test set; see `Result.test`."""
    problem = spec.problem
    config = None if problem.test is None else _tested_config(result)
    if config is None:
        return None

    group = spec.groups[spec.find(config)[0]]
    shape = group.seeds, group.folds
    values: dict[str, np.ndarray] = {}
    for trial, (sums, predictions) in _evaluated(spec, result, config).items():
        everything = jax.tree.map(lambda *xs: np.concatenate(xs), *predictions)
        scores = _means(sums) | problem.test_scores(trial[1], everything)
        for name, x in scores.items():
            values.setdefault(name, np.zeros(shape))[trial] = x

    return xr.Dataset(
        {name: (("seed", "fold"), x) for name, x in values.items()},
        coords={"seed": np.arange(group.seeds), "fold": np.arange(group.folds)},
        attrs={"config": config},
    )


def _tested_config(result: Result) -> int | None:
    """Return the best configuration, if all trials are over and its own have weights."""
    status = result.dataset["status"]
    if (status == "interrupted").any():
        return None  # the test set is evaluated once, when all trials are over
    try:
        config = result.best().config
    except JefficientError:
        return None

    missing = [x for x in np.ndindex(*status.shape[1:]) if (config, *x) not in result.weights]
    if not missing:
        return config
    warn(
        f"{WHERE}: the test set is not evaluated: the best configuration, {config}, has no "
        f"weights of its trials (seed, fold) {missing}, which ended when others were better. "
        f"Keep more with keep_configs."
    )
    return None


class _Evaluated(NamedTuple):
    """What a trial's weights give, batch by batch: sums by name, and predictions."""

    sums: list[dict[str, Sums]]
    predictions: list[dict[str, Tree]]


def _evaluated(spec: SweepSpec, result: Result, config: int) -> dict[tuple[int, int], _Evaluated]:
    """Evaluate the trials (seed, fold) of a configuration on the batches of the test set."""
    problem = spec.problem
    index, row = spec.find(config)
    group = spec.groups[index]

    def of_batch(
        weights: Params,
        batch: Examples,
        data: Tree,
        fold: jax.Array,
        numbers: dict[str, jax.Array],
    ) -> tuple[dict[str, Sums], dict[str, Tree]]:
        hyperparameters = {**group.static, **numbers}
        return problem.test_batch(weights, batch, data, fold, hyperparameters)

    key = "test", spec.keys[index]
    made = by_fold(result.dataset, "step")[config].astype(np.int32)
    counted = counted_evaluations(result.dataset)[config]
    trials = np.ndindex(group.seeds, group.folds)
    trained = {trial: result.weights[config, *trial] for trial in trials}
    found = {trial: _Evaluated([], []) for trial in trained}
    for batch in problem.test_batches():  # each is read once for all trials
        batch = jax.device_put(batch)
        for (seed, fold), weights in trained.items():
            numbers = {
                **group.traced(row, seed, fold),
                "steps": group.steps[row, fold],
                "step": made[fold % len(made), counted[seed, fold]],
            }
            arguments = weights, batch, problem.data, jnp.int32(fold), numbers
            (device,) = arguments[3].devices()
            evaluate = program(key, of_batch, device, *arguments)
            sums, predictions = jax.device_get(evaluate(*arguments))
            found[seed, fold].sums.append(sums)
            found[seed, fold].predictions.append(predictions)
    return found


def _means(batches: list[dict[str, Sums]]) -> dict[str, float]:
    """Return the mean of each function over batches, added up in float64."""

    def mean(name: str) -> float:
        totals, weights = zip(*(batch[name] for batch in batches), strict=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.sum(totals, dtype=float) / np.sum(weights, dtype=float))

    return {name: mean(name) for name in batches[0]}
