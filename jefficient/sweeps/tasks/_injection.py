"""Which function gets which hyperparameter: each name goes to whoever has it in its signature."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import optax

from ..._core import signatures
from ..._core.errors import ArgumentError
from ...spaces import Space
from ...training import regularized
from ._notes import WHERE
from ._task import Task

INJECTED = ("steps", "steps_per_epoch", "batch_size")
"""What the engine knows and any function may ask for, without it being an axis."""

DIMENSIONS = ("config", "seed", "fold", "evaluation", "step", "epoch")
VARIABLES = ("status", "steps_taken", "diverged_at", "seconds", "block_width", "hash", "layer")
COLUMNS = ("trials", "stopped", "diverged", "difference", "standard_error", "p_value")
DIAGNOSTICS = ("zeros", "clipped", "grad_norm", "update_norm", "weight_norm")
RESERVED = {
    **dict.fromkeys(("params", "batch", "data", "key"), "what functions are called with"),
    **dict.fromkeys(("steps_per_epoch", "fold"), "what the engine works out"),
    **dict.fromkeys(DIMENSIONS, "a dimension of the result"),
    **dict.fromkeys(
        ("train_loss", "train_loss_std", "train_loss_se", *VARIABLES), "a variable of the result"
    ),
    **dict.fromkeys(COLUMNS, "a column of tables"),
    **dict.fromkeys(("training_examples", "validation_examples"), "a coordinate of the result"),
    **dict.fromkeys(DIAGNOSTICS, "a diagnostic in the result"),
}


@dataclasses.dataclass(frozen=True)
class Requester:
    """A function that hyperparameters may go to, and the names it asks for."""

    name: str
    function: Callable
    requested: tuple[str, ...]
    required: tuple[str, ...]

    @classmethod
    def of(cls, name: str, function: Callable, positional: int) -> "Requester":
        """Read the signature of `function` after its first `positional` arguments."""
        where = f"{WHERE}: {name}"
        requested = signatures.names_asked(where, function, positional)
        return cls(
            name, function, requested, signatures.names_required(where, function, positional)
        )

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `values` that the function names."""
        return signatures.pick(values, self.requested)


@dataclasses.dataclass(frozen=True)
class Injection:
    """Everyone who may ask for a hyperparameter. `evaluation` is the loss without penalties."""

    init: Requester
    loss: Requester
    evaluation: Requester
    optimizer: Requester
    metrics: Mapping[str, Requester]

    @classmethod
    def of(cls, task: Task, optimizer: Any) -> "Injection":
        """Who asks for what; a built transform asks for nothing."""
        build = (
            (lambda: optimizer)
            if isinstance(optimizer, optax.GradientTransformation)
            else optimizer
        )
        return cls(
            init=Requester.of("init", task.init, 1),
            loss=Requester.of("loss", task.loss, task.positional),
            evaluation=Requester.of("loss", unpenalised(task.loss), task.positional),
            optimizer=Requester.of("optimizer", build, 0),
            metrics={
                name: Requester.of(f"metrics[{name!r}]", f, task.positional)
                for name, f in task.metrics.items()
            },
        )

    @property
    def consumers(self) -> tuple[Requester, ...]:
        """All of them."""
        return (self.init, self.loss, self.optimizer, *self.metrics.values())

    def check(self, space: Space) -> None:
        """Every name of the space is asked for, every name without a default is there, none is taken."""
        asks = "; ".join(
            f"{c.name} asks for {list(c.requested) or 'nothing'}" for c in self.consumers
        )
        for name in space.names:
            if name in RESERVED or name.startswith("valid_"):
                why = RESERVED.get(name, "valid_… are variables of the result")
                raise ArgumentError(
                    f"{WHERE}: the space must not name {name!r} ({why}), got {list(space.names)}."
                )
            if name not in ("batch_size", "steps") and not any(
                name in c.requested for c in self.consumers
            ):
                raise ArgumentError(
                    f"{WHERE}: someone must ask for every name of the space, got {name!r}; {asks}."
                )
        self._check_penalties(space)
        for consumer in self.consumers:
            given = {
                *space.names,
                *INJECTED,
                *(("key",) if consumer not in (self.init, self.optimizer) else ()),
            }
            missing = [name for name in consumer.required if name not in given]
            if missing:
                raise ArgumentError(
                    f"{WHERE}: {consumer.name} requires {missing}, which the space must name, got "
                    f"{list(space.names)}. "
                    + (
                        "Only the loss and init get a key."
                        if "key" in missing
                        else "Give it an axis, or a default."
                    )
                )

    def _check_penalties(self, space: Space) -> None:
        if not is_regularized(self.loss.function):
            return
        twice = [
            name
            for name in ("l1", "l2")
            if name in space.names and name in self.optimizer.requested
        ]
        if twice:
            raise ArgumentError(
                f"{WHERE}: {twice} would be penalised twice, by jf.regularized and by the optimizer. Name the "
                f"optimizer's differently, for example weight_decay."
            )


def is_regularized(loss: Callable) -> bool:
    """Whether the loss is a `jf.regularized` one, a `functools.partial` of it included."""
    return isinstance(loss.func if isinstance(loss, functools.partial) else loss, regularized)


def unpenalised(loss: Callable) -> Callable:
    """The loss as evaluation sees it."""
    if not is_regularized(loss):
        return loss
    if isinstance(loss, functools.partial):
        given = {name: x for name, x in loss.keywords.items() if name not in ("l1", "l2")}
        return functools.partial(loss.func.unpenalised, *loss.args, **given)  # pyright: ignore[reportFunctionMemberAccess]
    return loss.unpenalised  # pyright: ignore[reportFunctionMemberAccess]
