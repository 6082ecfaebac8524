"""The check that padding and cutting a validation set into batches changes no number.

Losses and metrics are functions of the user, so what they are is found by trying them, on some real
examples: a mean over examples is the same for all of them together and one by one; a function that
takes weights does not see examples of weight 0.
"""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.errors import ArgumentError
from ..._core.reuse import program
from ..._core.typing import Examples, Params
from ._evaluation import Mean, Means, Sums, means_of
from ._injection import Injection
from ._metric import Metric
from ._notes import WHERE
from ._scoring import Predicts, predicts_of, score
from ._task import Task, count_examples

MOST_TRIED = 256
"""Examples that functions are tried on at most: enough to have some of a rare class."""

FEWEST_TRIED = 32
"""Examples that functions are tried on at least, where evaluation batches have fewer."""

_NOISE = (0.0, 0.1, -0.1, 1.0, -1.0)
"""Functions are tried with the parameters of `init`, which may make all examples alike, and with
noise of these scales added to them; of both signs, so that a classifier finds some of each class.
"""

_WAYS_OUT = (
    "Return one value for each example, or a pair (sum, weight); or take `weights`, which are 0 "
    "for padding; or use jf.Metric(predict, score) or jf.host_metric(predict, score), which see "
    "the whole validation set."
)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("together", "apart"),
    meta_fields=("name", "is_split"),
)
@dataclasses.dataclass(frozen=True)
class Sides:
    """Two ways to compute what must be one number."""

    name: str
    together: jax.Array
    apart: jax.Array
    is_split: bool  # by examples; else with and without padding


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the validation set and the test set are evaluated.

    Attributes:
        is_padded: whether some batch has padding.
        is_cut: whether it is more than one batch.
    """

    is_padded: bool
    is_cut: bool


def check_exact(
    task: Task,
    injection: Injection,
    layout: Layout,
    examples: Examples,
    init: Callable[..., Params],
    static: Mapping[str, Any],
    numbers: dict[str, Any],
    key: Hashable,
) -> None:
    """Refuse functions whose number depends on how the set is padded or cut.

    Args:
        task: the task.
        injection: its functions.
        layout: how the set is evaluated.
        examples: some of it, prepared.
        init: ``(key, **numbers) -> weights``.
        static: the static hyperparameters.
        numbers: those that are traced, of one configuration.
        key: what `init` and the functions depend on, shapes apart.

    Raises:
        ArgumentError: for a function that is not exact, with both numbers and the ways out.
    """
    size = count_examples(examples)
    if size < 2:
        return

    def all_sides(weights: Params, examples: Examples, numbers: dict[str, Any]) -> list[Sides]:
        hyperparameters = {**static, **numbers, "fold": jnp.int32(0), "step": jnp.int32(0)}
        means = means_of(task, injection, "", weights, hyperparameters)
        predicts = predicts_of(task, injection, weights, hyperparameters)
        return [
            *_sides_of_means(means, examples, layout),
            *_sides_of_scores(task.scored, predicts, examples, layout),
        ]

    def tried(key: jax.Array, examples: Examples, numbers: dict[str, Any]) -> list[Sides]:
        weights = init(key, **numbers, fold=jnp.int32(0))
        return jax.lax.map(
            lambda scale: all_sides(_noisy(weights, key, scale), examples, numbers),
            jnp.array(_NOISE, jnp.float32),
        )

    arguments = jax.random.key(0), examples, numbers
    (device,) = arguments[0].devices()
    found = program(("exactness", key, layout), tried, device, *arguments)(*arguments)
    for sides in jax.device_get(found):
        for one, other in zip(sides.together, sides.apart, strict=True):
            if not _agree(one, other):
                raise ArgumentError(_message(sides, layout, size, one, other))


def _sides_of_means(means: Means, examples: Examples, layout: Layout) -> list[Sides]:
    sides = []
    for mean in means.values():
        value = mean(examples)
        whole = value if not isinstance(value, Sums) else mean.mean(examples)
        name = mean.requester.name
        if layout.is_cut or not mean.takes_weights:
            each = mean.one_by_one(examples)
            is_each = not isinstance(value, Sums) and value.ndim
            apart = each.total if is_each else jnp.sum(each.total) / jnp.sum(each.weight)
            sides.append(Sides(name, whole, apart, True))
        if mean.takes_weights and layout.is_padded:
            sides.append(Sides(name, _mean_of_half(mean, examples), _padded(mean, examples), False))
    return sides


def _mean_of_half(mean: Mean, examples: Examples) -> jax.Array:
    half = jax.tree.map(lambda x: x[: _half(examples)], examples)
    return mean.mean(half)


def _padded(mean: Mean, examples: Examples) -> jax.Array:
    sums = mean.sums(examples, _weights_of_half(examples))
    return sums.total / sums.weight


def _sides_of_scores(
    metrics: Mapping[str, Metric], predicts: Predicts, examples: Examples, layout: Layout
) -> list[Sides]:
    sides = []
    for name, metric in metrics.items():
        together = predicts[name](examples)
        singles = jax.tree.map(lambda x: x[:, None], examples)
        apart = jax.tree.map(lambda x: x[:, 0], jax.vmap(predicts[name])(singles))
        called = f"metrics[{name!r}].predict"
        each = zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True)
        sides += [Sides(called, x, y, True) for x, y in each]
        if layout.is_padded and not metric.on_host:
            first, half = jax.tree.map(lambda x: x[: _half(examples)], (together, examples))
            ones = jnp.ones(_half(examples), jnp.float32)
            alone = score(name, metric, first, half, ones)
            padded = score(name, metric, together, examples, _weights_of_half(examples))
            sides.append(Sides(f"metrics[{name!r}].score", alone, padded, False))
    return sides


def _half(examples: Examples) -> int:
    return -(-count_examples(examples) // 2)


def _weights_of_half(examples: Examples) -> jax.Array:
    size = count_examples(examples)
    return (jnp.arange(size, dtype=jnp.int32) < _half(examples)).astype(jnp.float32)


def _noisy(weights: Params, key: jax.Array, scale: jax.Array) -> Params:
    """Add noise of this scale to floating weights."""
    leaves, structure = jax.tree.flatten(weights)

    def noisy(i: int, x: jax.Array) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        noise = jax.random.normal(jax.random.fold_in(key, i), x.shape, jnp.float32)
        return (x.astype(jnp.float32) + scale * noise).astype(x.dtype)

    return jax.tree.unflatten(structure, [noisy(i, x) for i, x in enumerate(leaves)])


def _agree(together: np.ndarray, apart: np.ndarray) -> bool:
    """Return whether two computations of the same numbers differ by rounding alone."""
    together = np.asarray(together)
    apart = np.asarray(apart)
    if not jnp.issubdtype(together.dtype, jnp.inexact):
        return bool(np.array_equal(together, apart))
    tolerance = float(np.sqrt(jnp.finfo(together.dtype).eps))
    kind = np.complex128 if jnp.issubdtype(together.dtype, jnp.complexfloating) else np.float64
    together, apart = together.astype(kind), apart.astype(kind)
    # Numbers that are not finite either way say nothing: data may miss values, training diverges.
    is_said = np.isfinite(together) | np.isfinite(apart)
    scale = max(np.abs(x[np.isfinite(x)]).max(initial=0) for x in (together, apart))
    difference = np.abs(np.where(is_said, together, 0) - np.where(is_said, apart, 0))
    return bool(np.all(difference <= tolerance * scale))


def _message(
    kind: Sides, layout: Layout, size: int, together: np.ndarray, apart: np.ndarray
) -> str:
    one, other = (float(np.mean(x)) for x in (together, apart))
    if not kind.is_split:
        return (
            f"{WHERE}: {kind.name} must give examples of weight 0 no say, got {one:.6g} for "
            f"{-(-size // 2)} examples and {other:.6g} with {size // 2} of weight 0 behind them."
        )
    why = " and ".join(
        x
        for x, is_so in (
            ("padded (folds or batches differ in size)", layout.is_padded),
            ("evaluated in batches (eval_batch_size)", layout.is_cut),
        )
        if is_so
    )
    return (
        f"{WHERE}: {kind.name} must be a mean over examples where they are {why}; got "
        f"{one:.6g} for {size} examples together and {other:.6g} for each by itself. {_WAYS_OUT}"
    )
