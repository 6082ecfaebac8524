"""Losses without a batch, ``(params, key, …)``, of tasks without data."""

import inspect
from collections.abc import Callable, Hashable
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

    batch = inspect.Parameter("batch", inspect.Parameter.POSITIONAL_ONLY)
    before = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) for p in parameters[:place]]
    return _OfBatch(
        loss, place, signature.replace(parameters=[*before, batch, *parameters[place:]])
    )


class _OfBatch:
    """A loss that ignores the argument at `place`, its batch."""

    def __init__(self, loss: Callable[..., Any], place: int, signature: inspect.Signature):
        self.loss = loss
        self.place = place
        self.__signature__ = signature
        self.__name__ = getattr(loss, "__name__", type(loss).__name__)

    def __call__(self, *arguments: object, **given: object) -> Any:
        return self.loss(*arguments[: self.place], **given)

    def _reuse_key(self) -> Hashable:
        return same((self.loss, self.place))
