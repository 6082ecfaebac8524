"""Names in messages: which hyperparameters raised an error, what a function is called."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

WHERE = "jf.sweep"


def named(check: Callable[[dict[str, Any]], Any], hp: dict[str, Any], static: Mapping[str, Any]) -> None:
    """``check(hp)``; what it raises gets a note with the hyperparameters."""
    try:
        check(hp)
    except Exception as error:
        shown = {name: x.item() if isinstance(x, np.generic) else x for name, x in {**static, **hp}.items()}
        error.add_note(f"{WHERE}: raised for the hyperparameters {shown}.")
        raise


def named_function(function: Any) -> str:
    """What a function is called, where it has a name."""
    return str(getattr(function, "__name__", type(function).__name__))
