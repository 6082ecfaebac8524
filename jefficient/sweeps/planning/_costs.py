"""What a lane costs, found by tracing a step of its trial, before anything is compiled."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from ..._core.serialization import digest
from ..._core.typing import State, Tree
from ..programs import Group
from ..tasks import Problem, Trial, traced_program

_ADDRESS = re.compile(r"0x[0-9a-f]+")
"""Addresses of functions in the text of a program: they differ in the next process."""


class LaneCosts(NamedTuple):
    """What is known of a lane without compiling it.

    `state_bytes`: bytes of its state; `has_convolution`, `has_clip`: what is in a step; `digest`:
    of the first step's program on this version of jax: dtypes and shapes count, numbers do not.
    """

    state_bytes: int
    has_convolution: bool
    has_clip: bool
    digest: str


def lane_costs(problem: Problem, trial: Trial, group: Group, key: jax.Array) -> LaneCosts:
    """Trace the beginning of a trial and its first step."""
    jaxpr, (state, _) = traced_program(
        partial(_begin_and_step, trial),
        key,
        problem.step_data(group.static),
        group.static,
        group.table()[0],
    )
    text = str(jaxpr)
    return LaneCosts(
        state_bytes=sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)),
        has_convolution="conv_general_dilated" in text,
        has_clip=problem.has_clip(state),
        digest=digest(_ADDRESS.sub("", text).encode()),
    )


def working_bytes(problem: Problem, trial: Trial, group: Group, key: jax.Array) -> int:
    """Return the bytes of the largest array of a step and an evaluation."""

    def step_and_evaluate(
        key: jax.Array, data: Tree, numbers: dict[str, Any]
    ) -> dict[str, jax.Array]:
        _, (state, _) = _begin_and_step(trial, key, data, numbers)
        return trial.evaluate(state, data, **numbers, fold=jnp.int32(0))

    jaxpr, _ = traced_program(
        step_and_evaluate, key, problem.step_data(group.static), group.static, group.table()[0]
    )
    return _largest_array(jaxpr)


def _begin_and_step(
    trial: Trial, key: jax.Array, data: Tree, numbers: dict[str, Any]
) -> tuple[State, tuple[State, Mapping[str, Any]]]:
    """Return the state that a trial begins with, and what its first step returns."""
    state = trial.init(key, **numbers, fold=0)
    return state, trial.step(state, data, jnp.int32(0), key, **numbers, fold=jnp.int32(0))


def _largest_array(x: object) -> int:
    """Return the bytes of the largest array that a program, or what it calls, makes.

    `x` is a program or a parameter of one of its equations, which may hold programs.
    """
    # Since jax 0.12 the two classes are one.
    if isinstance(x, core.ClosedJaxpr) and not isinstance(x, core.Jaxpr):
        x = x.jaxpr
    if isinstance(x, core.Jaxpr):
        made: list[Any] = [v.aval for e in x.eqns for v in e.outvars if hasattr(v.aval, "dtype")]
        inner = [_largest_array(list(e.params.values())) for e in x.eqns]
        return max([*(aval.size * aval.dtype.itemsize for aval in made), *inner], default=0)
    return max(map(_largest_array, x), default=0) if isinstance(x, tuple | list) else 0
