"""The exceptions a caller may catch.

    JefficientError
    ├── ArgumentError       also a ValueError: a value breaks a rule
    ├── ArgumentTypeError   also a TypeError: another kind of thing is expected
    ├── ExecutorError       an executor ended before its work; has the result so far
    ├── StorageError        also an OSError: a file cannot be written
    └── MissingExtraError   also an ImportError: an optional dependency is missing

and the one category of warnings, `JefficientWarning` (a UserWarning).

Every message names the function, the rule and the value: ``{where}: {rule}, got {value}. {what to
do}``. What a terminal would obey in a label is escaped.
"""

from typing import Any

from .text import displayed_lines


class JefficientError(Exception):
    """Base of every error that jefficient raises on purpose."""

    def __str__(self) -> str:
        return displayed_lines(super().__str__())


class ArgumentError(JefficientError, ValueError):
    """A value breaks a rule."""


class ArgumentTypeError(JefficientError, TypeError):
    """An argument is not the kind of thing that is expected."""


class ExecutorError(JefficientError):
    """An executor ended before its work: shut down, broken, or its parts were lost every time.

    Attributes:
        result: the `jf.Result` so far; trials of parts that did not come back are `interrupted`.
    """

    result: Any = None


class StorageError(JefficientError, OSError):
    """A file cannot be written: the disk is full, a directory is gone …; `errno` says why."""

    def __init__(self, message: str, errno: int | None = None):
        super().__init__(message)
        self.errno = errno


class MissingExtraError(JefficientError, ImportError):
    """An optional dependency is missing; the message names the extra to install."""


class JefficientWarning(UserWarning):
    """Something is not as asked for: a width halved, a sweep interrupted, data not finite."""
