"""What a value is, in a text that is the same in every process: what tables show, and what hashes are made of."""

import hashlib
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _json
from typing import Any

import jax
import numpy as np

from .._core.checks import is_number

ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
"""In the repr of what has no text of its own: another one in the next process."""


def python_values(values: Iterable[Any]) -> tuple:
    """The values as Python objects; a float32 as the shortest decimal that rounds to it (0.1, not 0.100000001…)."""
    if not hasattr(values, "shape"):
        return tuple(x.item() if isinstance(x, np.generic) else x for x in values)
    array = np.asarray(values)
    return (
        tuple(float(str(x)) for x in array) if array.dtype == np.float32 else tuple(array.tolist())
    )


def label(value: Any) -> Any:
    """The value as tables and files show it: a number as it is, else a text; "" where it has none of its own."""
    if is_number(value):
        return value
    if value is None or isinstance(value, bool | str):
        return str(value)
    if isinstance(value, jax.Array | np.ndarray | set | frozenset):  # cut short, or in any order
        return ""
    text = str(getattr(value, "__name__", "")) or repr(value)
    return "" if "<lambda>" in text or ADDRESS.search(text) else text


def content(value: Any, label: Any) -> str:
    """What tells values apart, by type and exactly; what is no number, bool, None or string counts by its label."""
    if type(value) is float:  # most are
        return f"float:{value.hex()}"
    if value is None:
        return "None:"
    if isinstance(value, bool):
        return f"bool:{value}"
    if isinstance(value, numbers.Integral):
        return f"int:{int(value)}"
    if isinstance(value, numbers.Real):
        return f"float:{float(value).hex()}"
    return f"str:{str.__str__(value)}" if isinstance(value, str) else f"object:{label}"


def digests(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """For each row BLAKE2b of 16 bytes over the JSON of name to content, as hex.

    The JSON is as ``json.dumps(…, sort_keys=True, separators=(",", ":"))`` writes it, in ASCII.
    """
    texts = [[f"{_json(name)}:{_json(text)}" for text in columns[name]] for name in sorted(columns)]
    return tuple(
        hashlib.blake2b(f"{{{','.join(row)}}}".encode(), digest_size=16).hexdigest()
        for row in zip(*texts, strict=True)
    )
