"""Losses without a batch, ``(params, key, …)``, of tasks without data."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..._core.reuse import same
from ...training import regularized


def with_batch(loss: Callable[..., Any], place: int) -> Callable[..., Any]:
    """Return the loss with an argument `batch` at `place`, which it ignores.

    A loss that has one, since its argument there is not `key`, is returned as it is.
    """
    if isinstance(loss, regularized):
        plain = with_batch(loss.unpenalised, place)
        if plain is loss.unpenalised:
            return loss
        return regularized(plain, loss.l1, loss.l2, mask=loss.mask)

    signature = inspect.signature(loss)
    parameters = list(signature.parameters.values())
    if len(parameters) <= place or parameters[place].name != "key":
        return loss

    @functools.wraps(loss)
    def of_batch(*arguments: Any, **given: Any) -> Any:
        return loss(*arguments[:place], **given)

    batch = inspect.Parameter("batch", inspect.Parameter.POSITIONAL_ONLY)
    before = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) for p in parameters[:place]]
    of_batch.__signature__ = signature.replace(  # pyright: ignore[reportAttributeAccessIssue]
        parameters=[*before, batch, *parameters[place:]]
    )
    of_batch._reuse_key = functools.partial(same, (loss, place))  # pyright: ignore
    return of_batch
