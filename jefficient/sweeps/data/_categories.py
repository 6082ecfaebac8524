"""Names of classes as codes, 0 for the first of their categories."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..._core.errors import ArgumentError, ArgumentTypeError
from ._readers import WHERE

Categories: TypeAlias = dict[str, tuple]
"""The place of a leaf to the names of its classes: code i is the i-th."""

_FEW_SHOWN = 5


class Coded(NamedTuple):
    """`codes`: int32 (n,), the place of each example's class in `categories`."""

    codes: np.ndarray
    categories: tuple


def codes_of(name: str, names: Any, known: Sequence | None) -> Coded:
    """Number the classes.

    Args:
        name: what messages call the leaf.
        names: a pandas Categorical, or an array of texts.
        known: the categories; None for those of the categorical, or the texts in order.

    Raises:
        ArgumentError: where a class is not among `known`, or is missing.
    """
    if hasattr(names, "categories"):
        own, codes = names.categories.tolist(), np.asarray(names.codes)
    else:
        own, codes = np.unique(names.astype(str), return_inverse=True)
        own = own.tolist()
    missing = int((codes < 0).sum())
    if missing:
        _refuse_missing(name, missing, len(codes))

    categories = tuple(map(plain_name, own))
    if known is not None:
        places = {category: code for code, category in enumerate(known)}
        unknown = [categories[i] for i in np.unique(codes) if categories[i] not in places]
        if unknown:
            raise ArgumentError(
                f"{WHERE}: the classes of {name} must be among those of data, {_shown(known)}, got "
                f"{unknown[0]!r}. Drop these examples, or give all classes with "
                f"Task(categories=…)."
            )
        codes = np.array([places.get(category, -1) for category in categories])[codes]
        categories = tuple(known)
    return Coded(codes.astype(np.int32), categories)


def classes_of_texts(name: str, texts: np.ndarray, *, is_known: bool) -> np.ndarray:
    """Return texts that name classes.

    They do where each stands, on average, for two examples or more, or where `is_known`.

    Raises:
        ArgumentError: where texts are missing.
        ArgumentTypeError: where something else is among them, or they differ too much.
    """
    if texts.ndim != 1:
        raise ArgumentTypeError(
            f"{WHERE}: {name} must hold numbers, or one text for each example that names its "
            f"class, got dtype {texts.dtype} and shape {texts.shape}."
        )
    is_missing = np.array([_is_missing(x) for x in texts.tolist()], bool)
    others = {type(x).__name__ for x in texts[~is_missing].tolist() if not isinstance(x, str)}
    if others or (len(texts) and is_missing.all()):
        raise ArgumentTypeError(
            f"{WHERE}: {name} must hold numbers, or texts that name classes, got dtype "
            f"{texts.dtype} with {sorted(others) or 'nothing but missing values'}. Convert it: "
            f"x.astype(float), or 'category' where the values only name classes."
        )
    if is_missing.any():
        _refuse_missing(name, int(is_missing.sum()), len(texts))
    distinct = len(set(texts.tolist()))
    if not is_known and 2 * distinct > len(texts):
        raise ArgumentTypeError(
            f"{WHERE}: {name} must hold numbers, or texts that name classes, got {distinct} "
            f"different texts for {len(texts)} examples. Turn text into numbers first; if they do "
            f"name classes, give pandas.Categorical({name})."
        )
    return texts


def check_codes(name: str, codes: np.ndarray, categories: Sequence) -> None:
    """Check that whole numbers are codes of these categories."""
    if codes.dtype.kind not in "iu" or codes.ndim != 1:
        raise ArgumentTypeError(
            f"{WHERE}: {name}, which has categories, must hold their codes or names, got dtype "
            f"{codes.dtype} and shape {codes.shape}."
        )
    if codes.size and not 0 <= codes.min() <= codes.max() < len(categories):
        raise ArgumentError(
            f"{WHERE}: the codes of {name} must be among 0 … {len(categories) - 1}, got "
            f"{codes.min()} … {codes.max()}."
        )


def _is_missing(x: object) -> bool:
    """Return whether `x` is None, NaN or pandas' NA."""
    return x is None or type(x).__name__ == "NAType" or (isinstance(x, float) and x != x)


def _refuse_missing(name: str, missing: int, size: int) -> None:
    raise ArgumentError(
        f"{WHERE}: {name} must name a class for every example, got {missing} of {size} missing. "
        f"Drop these examples, or name a class for them: x.astype(object).fillna('missing')."
    )


def plain_name(category: object) -> Hashable:
    """Return the name of a class as JSON can hold it: texts and numbers, others as text."""
    category = category.item() if isinstance(category, np.generic) else category
    return category if isinstance(category, str | bool | int | float) else str(category)


def _shown(categories: Sequence) -> str:
    more = ", …" if len(categories) > _FEW_SHOWN else ""
    return ", ".join(map(repr, categories[:_FEW_SHOWN])) + more
