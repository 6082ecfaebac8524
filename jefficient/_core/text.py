"""Texts of users, as terminals, pages and plots show them: nothing in them is obeyed."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

_OBEYED = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin there
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators, and what turns text around
    "\ud800-\udfff"  # lone surrogates, which no encoding has
)
_IN_LABELS = re.compile(f"[{_OBEYED}]")
_IN_MESSAGES = re.compile(f"(?![\t\n])[{_OBEYED}]")
_IN_CELLS = re.compile(rf"[\\{_OBEYED}]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r", "\\": r"\\"}


def displayed(text: str) -> str:
    """Write a label or a name: what a display would obey, or cannot show, as escapes of Python."""
    return _IN_LABELS.sub(_escape, text)


def displayed_lines(text: str) -> str:
    """Write a message, whose line breaks and tabs are its own."""
    return _IN_MESSAGES.sub(_escape, text)


def escaped(text: str) -> str:
    r"""Write a cell of a table of tabs: as `displayed`, and backslashes too, so it can be undone.

    ``cell.encode("latin-1", "backslashreplace").decode("unicode_escape")`` is the text again.
    """
    return _IN_CELLS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


MOST_NUMBERS = 4
"""Of an array, in a short text."""


def array_texts(values: np.ndarray) -> list[str]:
    """Write arrays (n, *shape) as short texts, which are equal only for equal arrays.

    The first and last numbers in four digits: ``[0.1, 0.05, …, 0.001]``. Arrays that would have the
    same text are written in full.
    """
    rows = values.reshape(len(values), -1)
    edge = MOST_NUMBERS // 2
    is_long = rows.shape[1] > MOST_NUMBERS
    brief = [_listed((*row[:edge], ..., row[-1]) if is_long else row) for row in rows]
    arrays: dict[str, set[bytes]] = {}
    for text, row in zip(brief, rows, strict=True):
        arrays.setdefault(text, set()).add(row.tobytes())
    return [
        text if len(arrays[text]) == 1 else str(array.tolist())
        for text, array in zip(brief, values, strict=True)
    ]


def _listed(numbers: Iterable[Any]) -> str:
    return f"[{', '.join('…' if x is ... else f'{x:.4g}' for x in numbers)}]"
