"""Warnings that point to the user's line."""

import sys
import warnings
from pathlib import Path

from .errors import JefficientWarning

_PACKAGE = str(Path(__file__).parents[1])


def warn(message: str) -> None:
    """Warn with `JefficientWarning` at the line outside this package that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, JefficientWarning, stacklevel=level)
