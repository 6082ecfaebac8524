"""A `Trial` of the user's own as what lanes run."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..._core import signatures, trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Tree
from ...spaces import Space
from ._injection import RESERVED, WHERE
from ._notes import check_each, function_name, note_hyperparameters
from ._numbers import HyperparameterTable
from ._trial import Trial

POSITIONAL = {"init": 1, "step": 4, "evaluate": 2}


@dataclasses.dataclass(frozen=True)
class TrialProblem:
    """A trial, with the same face as a task has."""

    given: Trial
    folds: int = 1
    layers: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[list[int], list[int]]:
        """There are none."""
        return [0], [0]

    @property
    def optimizer_name(self) -> str:
        """The step is its own."""
        return function_name(self.given.step)

    @property
    def data(self) -> Tree:
        """What `step` and `evaluate` read."""
        return self.given.data

    def measured(self, trial: Trial, hp: dict[str, Any]) -> tuple[str, ...]:
        """The names of what every evaluation measures, found by tracing the functions once."""

        def shapes(key: jax.Array, data: Tree) -> tuple[Any, Any, Any, Any]:
            state = trial.init(key, **hp, fold=0)
            made = trial.step(state, data, jnp.int32(0), key, **hp, fold=0)
            if not (isinstance(made, tuple) and len(made) == 2):
                raise ArgumentTypeError(
                    f"{WHERE}: step must return a pair (state, metrics), got {_kind(made)}."
                )
            return (
                state,
                made[0],
                _dict("step", made[1]),
                _dict("evaluate", trial.evaluate(state, data, **hp, fold=0)),
            )

        found: list[tuple[str, ...]] = []

        def record(hp: dict[str, Any]) -> None:
            del hp
            before, after, metrics, values = jax.eval_shape(shapes, jax.random.key(0), self.data)
            _check_alike(before, after)
            for name, x in {**metrics, **values}.items():
                if x.shape != ():
                    raise ArgumentError(f"{WHERE}: {name} must be a scalar, got shape {x.shape}.")
            found.append((*(f"train_{name}" for name in metrics), *values))

        note_hyperparameters(record, hp, {})
        return found[0]

    def step_diagnostics(self, has_clip: bool) -> tuple[str, ...]:
        """Nothing but what it measures."""
        del has_clip
        return ()

    def diagnostics(self, has_clip: bool) -> dict[str, tuple[int, ...]]:
        """None but what it measures."""
        del has_clip
        return {}

    def on_all_examples(self) -> Any:
        """Refuse: a trial has no examples."""
        raise ArgumentError(
            "jf.Result.refit: the sweep must be of a jf.Task, got a jf.Trial, which has no rows."
        )

    def check_names(self, space: Space) -> None:
        """Every name of the space is asked for, every name without a default is there."""
        functions = {name: (getattr(self.given, name), count) for name, count in POSITIONAL.items()}
        requested = {
            name: signatures.names_asked(WHERE, f, count) for name, (f, count) in functions.items()
        }
        takes_any = any(signatures.takes_any(f) for f, _ in functions.values())
        for name in space.names:
            if name in RESERVED:
                raise ArgumentError(
                    f"{WHERE}: the space must not name {name!r} ({RESERVED[name]})."
                )
            if (
                name != "steps"
                and not takes_any
                and not any(name in names for names in requested.values())
            ):
                raise ArgumentError(
                    f"{WHERE}: someone must ask for every name of the space, got {name!r}; "
                    + "; ".join(
                        f"{function} asks for {list(names) or 'nothing'}"
                        for function, names in requested.items()
                    )
                    + "."
                )
        for name, (function, count) in functions.items():
            required = signatures.names_required(WHERE, function, count)
            missing = [x for x in required if x not in (*space.names, "steps", "fold")]
            if missing:
                raise ArgumentError(
                    f"{WHERE}: {name} requires {missing}, which the space must name, got {list(space.names)}."
                )

    def trial(self, static: Mapping[str, Any]) -> Trial:
        """The trial of one static combination; its functions take every name by keyword."""

        def routed(name: str) -> Callable[..., Any]:
            function, count = getattr(self.given, name), POSITIONAL[name]
            requested, takes_any = (
                signatures.names_asked(WHERE, function, count),
                signatures.takes_any(function),
            )

            def call(*arguments: Any, **given: Any) -> Any:
                values = {**static, **given}
                chosen = [
                    n
                    for n in values
                    if n in requested or (takes_any and n not in ("steps", "fold"))
                ]
                return function(*arguments, **signatures.pick(values, chosen))

            return call

        return Trial(
            routed("init"), routed("step"), routed("evaluate"), self.data, self.given.weights
        )

    def example(self, static: Mapping[str, Any]) -> Tree:
        """What a step reads."""
        del static
        return self.given.data

    def check(self, trial: Trial, static: dict[str, Any], rows: HyperparameterTable) -> None:
        """Trace with each configuration's concrete numbers, so that bad ones fail by name."""
        key = jax.eval_shape(lambda: jax.random.key(0))

        def whole(hp: dict[str, Any]) -> None:
            jax.eval_shape(lambda key: trial.init(key, **hp, fold=0), key)

        check_each(whole, rows.columns, rows, static, is_traced=True)

    def steps_per_epoch(self, static: Mapping[str, Any]) -> float:
        """There are no epochs."""
        del static
        return math.nan

    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        """The static hyperparameters."""
        if batch_size is not None:
            raise ArgumentError(
                f"{WHERE}: batch_size belongs to a jf.Task, got batch_size={batch_size} and a jf.Trial."
            )
        return static


def _dict(name: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(
            f"{WHERE}: what {name} measures must be a dict of scalars, got {_kind(values)}."
        )
    for key in values:
        if not isinstance(key, str) or (name == "evaluate" and key.startswith("train_")):
            raise ArgumentError(
                f"{WHERE}: what {name} measures must have a name without train_ before it, got {key!r}."
            )
    return dict(values)


def _kind(x: Any) -> str:
    return "an array" if isinstance(x, jax.Array) else type(x).__name__


def _check_alike(before: Tree, after: Tree) -> None:
    if trees.kind_of(before) != trees.kind_of(after):
        raise ArgumentError(
            f"{WHERE}: step must return a state like the one it is given, got {trees.shown(after)} for "
            f"{trees.shown(before)}."
        )
