"""A `Trial` of the user as a `Problem`."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import signatures, trees
from ..._core.checks import check_real
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import key_like, same, shapes_of
from ..._core.typing import State, Tree
from ...spaces import Space
from ._hyperparameters import HyperparameterTable, check_traced
from ._injection import Requester, check_not_reserved, check_requested, check_required
from ._notes import WHERE, annotate_errors
from ._problem import Problem, function_name
from ._splits import SplitSizes
from ._trial import POSITIONAL, Trial


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TrialProblem(Problem):
    """A trial, and the hyperparameters that its functions request."""

    given: Trial
    init: Requester
    step: Requester
    evaluate: Requester

    @classmethod
    def of(cls, trial: Trial) -> "TrialProblem":
        """Read the signatures."""
        return cls(
            data=trial.data,
            sizes=SplitSizes([0], [0]),
            given=trial,
            init=_requester("init", trial.init),
            step=_requester("step", trial.step),
            evaluate=_requester("evaluate", trial.evaluate),
        )

    def reuse_key(self) -> Hashable:
        given = self.given
        functions = (given.init, given.step, given.evaluate, given.weights)
        return same(functions), shapes_of(self.data)

    @property
    def optimizer_name(self) -> str:
        return function_name(self.given.step)

    @property
    def requesters(self) -> tuple[Requester, ...]:
        return self.init, self.step, self.evaluate

    def check_names(self, space: Space) -> None:
        check_not_reserved(space)
        check_requested(space, self.requesters, ("steps",))
        for requester in self.requesters:
            check_required(space, requester, {*space.names, "steps", "fold"})

    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        if batch_size is not None:
            raise ArgumentError(
                f"{WHERE}: batch_size belongs to a jf.Task, got batch_size={batch_size} and a "
                f"jf.Trial."
            )
        return static

    def steps_per_epoch(self, static: Mapping[str, Any]) -> np.ndarray:
        del static
        return np.array([np.nan])

    def trial(self, static: Mapping[str, Any]) -> Trial:
        def injected(requester: Requester) -> Callable[..., Any]:
            def call(*arguments: object, **traced: object) -> Any:
                return requester.function(*arguments, **requester.choose({**static, **traced}))

            return call

        init, step, evaluate = (injected(x) for x in (self.init, self.step, self.evaluate))
        return Trial(init, step, evaluate, self.data, self.given.weights)

    def step_data(self, static: Mapping[str, Any]) -> Tree:
        del static
        return self.data

    def check(
        self, trial: Trial, static: dict[str, Any], table: HyperparameterTable, key: Hashable
    ) -> None:
        def traced(hyperparameters: dict[str, Any]) -> None:
            jax.eval_shape(lambda key: trial.init(key, **hyperparameters, fold=0), key_like())

        names = table.columns if self.init.takes_any else self.init.requested
        check_traced(("init", key), traced, names, table, static)

    def metric_names(
        self, trial: Trial, static: dict[str, Any], hyperparameters: dict[str, Any]
    ) -> tuple[str, ...]:
        def returned(key: jax.Array, data: Tree) -> tuple[Tree, Tree, Tree, Tree]:
            state = trial.init(key, **hyperparameters, fold=0)
            made = trial.step(state, data, jnp.int32(0), key, **hyperparameters, fold=0)
            if not (isinstance(made, tuple) and len(made) == 2):
                raise ArgumentTypeError(
                    f"{WHERE}: step must return a pair (state, metrics), got {_kind(made)}."
                )
            values = trial.evaluate(state, data, **hyperparameters, fold=0)
            return state, made[0], _dict("step", made[1]), _dict("evaluate", values)

        with annotate_errors({**static, **hyperparameters}):
            before, after, metrics, values = jax.eval_shape(returned, key_like(), self.data)
            _check_alike(before, after)
            for name, x in {**metrics, **values}.items():
                if x.shape != ():
                    raise ArgumentError(f"{WHERE}: {name} must be a scalar, got shape {x.shape}.")
                check_real(WHERE, f"the metric {name!r} of the trial", x)
        return (*(f"train_{name}" for name in metrics), *values)

    def with_all_examples(self) -> NoReturn:
        """Raise: a trial has no validation set that could join its data."""
        raise ArgumentError(
            "jf.Result.refit: the sweep must be of a jf.Task, got a jf.Trial, which has no "
            "validation examples to train on."
        )


def _requester(name: str, function: Callable[..., Any]) -> Requester:
    requester = Requester.of(name, function, POSITIONAL[name])
    return dataclasses.replace(requester, takes_any=signatures.takes_any(function))


def _dict(name: str, values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(
            f"{WHERE}: {name} must return its metrics as a dict of scalars, got {_kind(values)}."
        )
    for key in values:
        if not isinstance(key, str) or (name == "evaluate" and key.startswith("train_")):
            raise ArgumentError(
                f"{WHERE}: the metrics of {name} must have names that do not begin with train_, "
                f"got {key!r}."
            )
    return dict(values)


def _kind(x: object) -> str:
    return "an array" if isinstance(x, jax.Array) else type(x).__name__


def _check_alike(before: State, after: State) -> None:
    if trees.kind_of(before) != trees.kind_of(after):
        raise ArgumentError(
            f"{WHERE}: step must return a state like the one it is given, got "
            f"{trees.shown(after)} for {trees.shown(before)}."
        )
