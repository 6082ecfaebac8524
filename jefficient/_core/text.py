"""Texts of users, as terminals, pages and plots show them: nothing in them is obeyed."""

import re

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
