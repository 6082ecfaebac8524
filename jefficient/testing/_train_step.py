"""The laws of a train step."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from .._core.errors import ArgumentTypeError
from .._core.typing import Examples, Params, Scalar, Tree
from ._law import (
    Numbers,
    agrees_when_traced,
    built,
    check_numbers,
    donatable,
    first_values,
    raw,
    strong,
    verify,
)

STEPS = 4


class Case(NamedTuple):
    """A train step to verify: ``factory(**numbers)``, with the arguments of `init` and a batch."""

    factory: Callable[..., Any]
    numbers: Numbers
    params: Params
    batch: Examples
    init: dict[str, Any]
    rtol: float

    def build(self, **overrides: Scalar) -> Any:
        """Make the train step of the first values, or of others."""
        return self.factory(**{**first_values(self.numbers), **overrides})


def verify_train_step(
    factory: Callable[..., Any],
    numbers: Numbers | None = None,
    *,
    params: Params,
    batch: Examples,
    laws: Iterable[str] | None = None,
    rtol: float = 1e-4,
    **init: object,
) -> None:
    """Hold a train step, of `jf.train_step` or your own, to the laws that sweeps rely on.

    Args:
        factory: ``(**numbers) -> step`` with ``step.init(params, **init) -> state`` and
            ``step.update(state, batch) -> (state, metrics)``.
        numbers: ``{name: (value, another value)}`` for each number that may be traced, both valid.
        params: the parameters, a tree of arrays.
        batch: one batch.
        laws: names from `TRAIN_STEP_LAWS`; by default all.
        rtol: relative tolerance between static and traced runs of a few steps.
        **init: further arguments of `init`, such as `key` and `model_state`.

    Raises:
        LawError: if a law is broken; the message names the law, the number and the leaf.
        ArgumentError: if a law is unknown.
        ArgumentTypeError: if a number does not have two values.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> import jefficient.testing
        >>> def loss(params, batch):
        ...     return jnp.mean((params * batch - 1) ** 2)
        >>> jf.testing.verify_train_step(
        ...     lambda learning_rate: jf.train_step(loss, jf.adam(learning_rate)),
        ...     {"learning_rate": (0.1, 0.01)}, params=jnp.ones(3), batch=jnp.ones(3))
    """
    where = "jf.testing.verify_train_step"
    checked = check_numbers(where, numbers)
    step = built(where, factory, checked)
    if not (hasattr(step, "init") and hasattr(step, "update")):
        raise ArgumentTypeError(
            f"{where}: factory must return a pair with init and update, got {step!r}."
        )
    verify(where, TRAIN_STEP_LAWS, laws, Case(factory, checked, params, batch, init, rtol))


def _run(case: Case, **number: Scalar) -> tuple[Tree, Tree]:
    """Return the state after a few scanned steps, and the metrics of each."""
    step = case.build(**number)

    def body(state: object, _: None) -> tuple[object, Tree]:
        return step.update(state, case.batch)

    state, metrics = jax.lax.scan(body, step.init(case.params, **case.init), None, length=STEPS)
    return raw(state), metrics


def _traced(case: Case) -> None:
    """a traced number gives the run of a static one, alone and vmapped, with one trace."""
    agrees_when_traced(functools.partial(_run, case), case.numbers, case.rtol, case.rtol)


def _state(case: Case) -> None:
    """the state is strongly typed, holds no array twice, and keeps its tree, shapes and dtypes."""
    state = case.build().init(case.params, **case.init)
    after = jax.jit(case.build().update)(state, case.batch)[0]
    strong(state, "the state of init")
    strong(after, "the state of update")
    donatable(state, "the state of init")
    chex.assert_trees_all_equal_shapes_and_dtypes(raw(after), raw(state))


def _metrics(case: Case) -> None:
    """metrics are a dict of scalars."""
    step = case.build()
    metrics = step.update(step.init(case.params, **case.init), case.batch)[1]
    for name, x in dict(metrics).items():
        if jnp.shape(x) != ():
            raise AssertionError(f"the metric {name} must be a scalar, got shape {jnp.shape(x)}.")


def _pure(case: Case) -> None:
    """the same state and batch give the same result, bit for bit."""
    step = case.build()
    state = step.init(case.params, **case.init)
    update = jax.jit(step.update)
    first, second = (update(state, case.batch) for _ in range(2))
    chex.assert_trees_all_equal(raw(first), raw(second))


TRAIN_STEP_LAWS: dict[str, Callable[[Case], None]] = {
    "traced": _traced,
    "state": _state,
    "metrics": _metrics,
    "pure": _pure,
}
"""The laws of `verify_train_step` by name.

- `traced`: a traced number gives the run of a static one, alone and vmapped, with one trace for all
  values.
- `state`: the state is strongly typed, holds no array twice, and keeps its tree, shapes and dtypes,
  so that it can be scanned and donated.
- `metrics`: metrics are a dict of scalars.
- `pure`: the same state and batch give the same result.
"""
