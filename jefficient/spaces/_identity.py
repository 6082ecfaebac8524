"""Texts that name and identify a value in every process: labels, identities, hashes."""

import hashlib
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _json
from typing import Any

import jax
import numpy as np

from .._core import numerics
from .._core.checks import is_number

ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
"""In a repr that differs between processes."""


def python_values(values: Iterable[Any]) -> tuple:
    """Return the values as Python objects, a float32 as the shortest decimal that rounds to it.

    Arrays among them stay as they are.
    """
    if not hasattr(values, "shape"):
        return tuple(map(numerics.plain, values))
    array = np.asarray(values)
    if array.ndim > 1:
        return tuple(array)  # the arrays along its first axis
    if array.dtype == np.float32:
        return tuple(map(numerics.plain, array))
    return tuple(array.tolist())


def label(value: object) -> object:
    """Return what tables and files show: a number as it is, else a text, "" if it has none."""
    if is_number(value):
        return value
    if value is None or isinstance(value, bool | str):
        return str(value)
    if isinstance(value, jax.Array | np.ndarray | set | frozenset):
        return ""  # the repr of an array is abridged, that of a set is in any order
    text = str(getattr(value, "__name__", "")) or repr(value)
    return "" if "<lambda>" in text or ADDRESS.search(text) else text


def identity(value: object, label: object) -> str:
    """Return a text that is equal for equal values of one type.

    Numbers, bools, None and strings are told apart exactly, and so are traced arrays, which are
    their own labels. Everything else is told apart by its label.
    """
    if type(value) is float:  # the most frequent type first
        return f"float:{value.hex()}"
    if value is None:
        return "None:"
    if isinstance(value, bool):
        return f"bool:{value}"
    if isinstance(value, numbers.Integral):
        return f"int:{int(value)}"
    if isinstance(value, numbers.Real):
        return f"float:{float(value).hex()}"
    if isinstance(value, str):
        return f"str:{str.__str__(value)}"
    if value is label and isinstance(value, np.ndarray):
        kind = "int" if np.issubdtype(value.dtype, np.integer) else "float"
        numbers_of = (str(x) if kind == "int" else x.hex() for x in value.ravel().tolist())
        return f"{kind}{list(value.shape)}:{','.join(numbers_of)}"
    return f"object:{label}"


def hashes_of(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return BLAKE2b of 16 bytes, as hex, of each configuration's JSON of name to identity.

    The JSON is as ``json.dumps(…, sort_keys=True, separators=(",", ":"))`` writes it, in ASCII.
    """
    texts = [[f"{_json(name)}:{_json(text)}" for text in columns[name]] for name in sorted(columns)]
    return tuple(
        hashlib.blake2b(f"{{{','.join(entries)}}}".encode(), digest_size=16).hexdigest()
        for entries in zip(*texts, strict=True)
    )
