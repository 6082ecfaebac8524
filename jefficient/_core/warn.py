"""Warnings that point to the user's line."""

import contextlib
import sys
import warnings
from pathlib import Path
from types import FrameType

from .errors import JefficientWarning
from .text import displayed_lines

_PACKAGE = str(Path(__file__).parents[1])


def warn(message: str) -> None:
    """Warn with `JefficientWarning` at the line outside this package that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
        level += 1
    warnings.warn(displayed_lines(message), JefficientWarning, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    """Return whether a frame is of this package; the `__init__` of a dataclass has no file.

    Functions that are decorated with a context manager are called by contextlib.
    """
    file = frame.f_code.co_filename
    if file == contextlib.__file__:
        return True
    is_generated = file == "<string>" and frame.f_code.co_name == "__init__"
    module = str(frame.f_globals.get("__name__"))
    return file.startswith(_PACKAGE) or (is_generated and module.startswith("jefficient."))
