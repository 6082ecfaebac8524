"""Injection of hyperparameters: each goes to the functions that name it in their signature."""

import dataclasses
import functools
import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias

import optax

from ..._core import signatures
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import same
from ...results import dimensions
from ...spaces import Space
from ...training import regularized
from ._metric import Metric
from ._notes import WHERE
from ._task import Task

Optimizer: TypeAlias = optax.GradientTransformation | Callable[..., optax.GradientTransformation]
"""A transform, or a function of hyperparameters that returns one."""

INJECTED = ("steps", "steps_per_epoch", "batch_size")
"""Values of the sweep that any function may request, whether or not the space names them."""

DIMENSIONS = ("config", "seed", "fold", "evaluation", "step", "epoch")
VARIABLES = (
    *("status", "started_at", "steps_taken", "diverged_at"),
    *("seconds", "block_width", "hash", "layer"),
)
COLUMNS = ("trials", "stopped", "diverged", "difference", "standard_error", "p_value")
COORDINATES = ("training_examples", "validation_examples")
DIAGNOSTICS = ("zeros", "clipped", "grad_norm", "update_norm", "weight_norm")
LOSSES = ("train_loss", "train_loss_std", "train_loss_se")
RESERVED = {
    **dict.fromkeys(("params", "batch", "data", "key", "weights"), "an argument of the functions"),
    **dict.fromkeys(("steps_per_epoch", "seed", "fold", "step"), "a value of the sweep"),
    **dict.fromkeys(("config", "evaluation", "epoch"), "a dimension of the result"),
    **dict.fromkeys((*LOSSES, *VARIABLES), "a variable of the result"),
    **dict.fromkeys(COLUMNS, "a column of tables"),
    **dict.fromkeys(COORDINATES, "a coordinate of the result"),
    **dict.fromkeys(DIAGNOSTICS, "a diagnostic in the result"),
}
"""Names that the space must not have, and what they are."""

GIVE_AXIS = "Give it an axis, or a default."
BUILT = (
    " The optimizer is built already: pass the function that builds it, optax.adam rather than "
    "optax.adam(1e-2), or a function of the hyperparameters that returns it."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Built:
    """A transform as a function that builds it."""

    transform: optax.GradientTransformation

    def __call__(self) -> optax.GradientTransformation:
        return self.transform

    def _reuse_key(self) -> Hashable:
        return same(self.transform)


@dataclasses.dataclass(frozen=True)
class Requester:
    """A function and the hyperparameters that it requests; `name` is what messages call it."""

    name: str
    function: Callable[..., Any]
    requested: tuple[str, ...]
    required: tuple[str, ...]  # those without a default
    takes_any: bool = False  # ``**hyperparameters`` in the signature requests all others
    is_built: bool = False  # an optimizer that is no function, but a transform already

    @classmethod
    def of(cls, name: str, function: Callable[..., Any], positional: int) -> "Requester":
        """Read the signature of `function` after its first `positional` arguments."""
        where = f"{WHERE}: {name}"
        requested = signatures.names_asked(where, function, positional)
        required = signatures.names_required(where, function, positional)
        return cls(name, function, requested, required)

    def choose(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of `values` that the function requests."""
        others = set(values) - {"steps", "fold"} if self.takes_any else set()
        return {name: x for name, x in values.items() if name in self.requested or name in others}


@dataclasses.dataclass(frozen=True)
class Injection:
    """The functions that may request hyperparameters.

    `evaluation` is the loss without its penalty, `metrics` are those that are means over examples,
    `predicts` what others predict.
    """

    init: Requester
    loss: Requester
    evaluation: Requester
    optimizer: Requester
    metrics: Mapping[str, Requester]
    predicts: Mapping[str, Requester]
    augment: Requester | None = None

    @classmethod
    def of(cls, task: Task, optimizer: Optimizer) -> "Injection":
        """Read the signatures; a built transform requests nothing."""
        is_built = isinstance(optimizer, optax.GradientTransformation)
        metrics: dict[str, Requester] = {}
        predicts: dict[str, Requester] = {}
        for name, metric in task.metrics.items():
            called = f"metrics[{name!r}]"
            if isinstance(metric, Metric):
                of_predict = Requester.of(f"{called}.predict", metric.predict, task.positional)
                predicts[name] = of_predict
            else:
                metrics[name] = Requester.of(called, metric, task.positional)
        return cls(
            init=Requester.of("init", task.init, 1),
            loss=Requester.of("loss", task.loss, task.positional),
            evaluation=Requester.of("loss", unpenalised(task.loss), task.positional),
            optimizer=dataclasses.replace(
                Requester.of("optimizer", Built(optimizer) if is_built else optimizer, 0),
                is_built=is_built,
            ),
            metrics=metrics,
            predicts=predicts,
            augment=None if task.augment is None else Requester.of("augment", task.augment, 2),
        )

    @property
    def requesters(self) -> tuple[Requester, ...]:
        """All of them, the loss once."""
        others = [*self.metrics.values(), *self.predicts.values()]
        if self.augment is not None:
            others.append(self.augment)
        return (self.init, self.loss, self.optimizer, *others)

    @property
    def about_loss(self) -> dict[str, str]:
        """What the dataset of a sweep says of each loss: the names that it requests, JSON.

        What `init` requests, too, is the model's.
        """
        losses = {"train_loss": self.loss}
        losses |= dict.fromkeys(("valid_loss", "window_loss"), self.evaluation)
        taken = {
            name: [x for x in loss.requested if x not in self.init.requested]
            for name, loss in losses.items()
        }
        return {"loss_takes": json.dumps(taken)} if any(taken.values()) else {}

    def build_optimizer(self, hyperparameters: Mapping[str, Any]) -> optax.GradientTransformation:
        """Build the optimizer, and check that it is one."""
        tx = self.optimizer.function(**self.optimizer.choose(hyperparameters))
        if not isinstance(tx, optax.GradientTransformation):
            raise ArgumentTypeError(
                f"{WHERE}: optimizer must return a gradient transformation, got {tx!r}."
            )
        return tx

    def check(self, space: Space, injected: tuple[str, ...] = INJECTED) -> None:
        """Check that every name of the space is requested, and every required one given, once.

        `injected` are the values of the sweep that functions may request.
        """
        check_not_reserved(space, "valid_")
        check_requested(space, self.requesters, ("batch_size", "steps"))

        for requester in self.requesters:
            is_evaluated = requester is self.loss or requester in self.metrics.values()
            given = {*space.names, *injected}
            if requester is not self.optimizer:
                given |= {"seed", "fold"}
            if is_evaluated:
                given |= {"key", "weights", "step"}
            is_key_missing = not is_evaluated and "key" in requester.required
            advice = "Only the loss and init get a key." if is_key_missing else GIVE_AXIS
            check_required(space, requester, given, advice)

        if is_regularized(self.loss.function):
            names = [x for x in ("l1", "l2") if x in space.names and x in self.optimizer.requested]
            if names:
                raise ArgumentError(
                    f"{WHERE}: {names} would be penalised twice, by jf.regularized and by the "
                    f"optimizer. Name the optimizer's differently, for example weight_decay."
                )


def check_not_reserved(space: Space, prefix: str | None = None) -> None:
    """Check that the space names nothing that the engine or the result names."""
    of_arrays = {
        reserved: f"a dimension or coordinate of the array {name!r} in the result"
        for name in space.names
        if space.is_number(name)
        for reserved in _beside_array(name, space.numbers(name).shape[1:])
    }
    for name in space.names:
        why = RESERVED.get(name) or of_arrays.get(name)
        if prefix is not None and name.startswith(prefix):
            why = f"{prefix}… are variables of the result"
        if why is not None:
            raise ArgumentError(
                f"{WHERE}: the space must not name {name!r} ({why}), got {list(space.names)}."
            )


def _beside_array(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names in a result that belong to a hyperparameter that is an array."""
    return (*dimensions(name, shape)[1:], f"{name}_values") if shape else ()


def check_requested(
    space: Space, requesters: tuple[Requester, ...], others: tuple[str, ...]
) -> None:
    """Check that some function requests every name of the space, but for the `others`."""
    requested = {*others, *(name for x in requesters for name in x.requested)}
    for name in space.names:
        if name not in requested and not any(x.takes_any for x in requesters):
            requests = "; ".join(
                f"{x.name} requests {list(x.requested) or 'nothing'}" for x in requesters
            )
            advice = BUILT if any(x.is_built for x in requesters) else ""
            raise ArgumentError(
                f"{WHERE}: no function requests the hyperparameter {name!r}; {requests}.{advice}"
            )


def check_required(
    space: Space, requester: Requester, given: set[str], advice: str = GIVE_AXIS
) -> None:
    """Check that the function gets all that it requires."""
    missing = [name for name in requester.required if name not in given]
    reserved = {name: RESERVED[name] for name in missing if name in RESERVED and name != "key"}
    if reserved:
        raise ArgumentError(
            f"{WHERE}: {requester.name} requires {list(reserved)}, which it is not given and the "
            f"space must not name, since these are names of the sweep or its result. Rename such "
            f"an argument, or give it a default."
        )
    if missing:
        raise ArgumentError(
            f"{WHERE}: {requester.name} requires {missing}, which the space must name, got "
            f"{list(space.names)}. {advice}"
        )


def is_regularized(loss: Callable[..., Any]) -> bool:
    """Return whether the loss is a `jf.regularized` one, or a `functools.partial` of it."""
    return isinstance(loss.func if isinstance(loss, functools.partial) else loss, regularized)


def unpenalised(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss without its penalty, as evaluation uses it."""
    if isinstance(loss, regularized):
        return loss.unpenalised
    if isinstance(loss, functools.partial) and isinstance(loss.func, regularized):
        given = {name: x for name, x in loss.keywords.items() if name not in ("l1", "l2")}
        return functools.partial(loss.func.unpenalised, *loss.args, **given)
    return loss
