"""What notebooks show in place of a text: HTML without a style of its own."""

import html
from collections.abc import Iterable, Sequence

from .text import displayed, displayed_lines

MOST_ROWS = 10
"""Rows of a table that are shown."""


def paragraph(text: str) -> str:
    """Return a text of one or more lines."""
    return f"<p>{'<br>'.join(map(html.escape, displayed_lines(text).splitlines()))}</p>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], count: int) -> str:
    """Return a table; `count` rows exist, of which `rows` are the first."""
    head = _row("th", columns)
    body = "".join(_row("td", row) for row in rows)
    rest = paragraph(f"{count - MOST_ROWS} more rows") if count > MOST_ROWS else ""
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{rest}"


def _row(tag: str, cells: Sequence[object]) -> str:
    texts = (html.escape(displayed(_text(cell))) for cell in cells)
    return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"


def _text(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
