"""The exceptions a caller may catch.

    JefficientError
    ├── ArgumentError       also a ValueError: a value breaks a rule
    ├── ArgumentTypeError   also a TypeError: another kind of thing is expected
    └── MissingExtraError   also an ImportError: a module needs what an extra brings

and the one category of warnings, `JefficientWarning` (a UserWarning): something was done that you
should know of.

Every message names the function, the rule and the value: ``{where}: {rule}, got {value}. {what to
do}``.
"""


class JefficientError(Exception):
    """Base of every error that jefficient raises on purpose."""


class ArgumentError(JefficientError, ValueError):
    """A value breaks a rule."""


class ArgumentTypeError(JefficientError, TypeError):
    """An argument is not the kind of thing that is expected."""


class MissingExtraError(JefficientError, ImportError):
    """A module needs what an extra brings; an ImportError too, as whatever lists a package's modules expects."""


class JefficientWarning(UserWarning):
    """Something was done that was not asked for in so many words: configurations merged, a width halved."""
