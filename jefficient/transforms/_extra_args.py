"""Extra arguments of `update`: each transform gets those that it takes, in its own form."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optax

from .._core.typing import Params, State, Tree, Updates


def accepting(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Return the transform with an `update` that ignores extra arguments it does not name.

    What a transform inside optax's own `chain` does not take is not seen here: optax hands every
    extra argument to every one of them.
    """
    if not isinstance(tx, optax.GradientTransformationExtraArgs):
        return optax.with_extra_args_support(tx)
    code = getattr(tx.update, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_VARKEYWORDS:
        return tx  # as nearly all do; reading a signature takes 20 µs
    parameters = inspect.signature(tx.update).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return tx

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, State]:
        taken = {name: x for name, x in extra_args.items() if name in parameters}
        return tx.update(updates, state, params, **taken)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def translated(
    extra_args: Mapping[str, Any], inwards: Callable[[Tree], Tree], outwards: Callable[[Tree], Tree]
) -> dict[str, Any]:
    """Return extra arguments for a transform that sees the parameters in another form.

    Args:
        extra_args: `grad` is a tree like the parameters; `value_fn`, `obj_fn` and `grad_fn` are
            functions of them; all others pass as they are.
        inwards: from the form of the parameters to that of the transform.
        outwards: back.
    """

    def value_of(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)  # line searches read the signature
        def value(params: Params, *args: object, **kwargs: object) -> object:
            return function(outwards(params), *args, **kwargs)

        return value

    def gradient_of(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: inwards(value_of(function)(*args, **kwargs))

    translations = {
        "grad": inwards,
        "value_fn": value_of,
        "obj_fn": value_of,
        "grad_fn": gradient_of,
    }
    return {
        name: translations[name](x) if name in translations else x for name, x in extra_args.items()
    }
