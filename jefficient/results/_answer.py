"""What a result says in a few lines: the best configuration, ties, optima and checks."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from .._core.errors import ArgumentError, JefficientError
from ._axes import labelled
from ._best import choose, ties
from ._local_fit import FEWEST
from ._optimum import optimum
from ._values import column
from .checks import checks


def answer(dataset: xr.Dataset, space: Mapping[str, tuple]) -> str:
    """See `Result.__str__`."""
    said = str(checks(dataset))
    statuses = dataset["status"].values.astype(str).ravel().tolist()
    over = [x for x in statuses if x not in ("running", "interrupted")]
    so_far = ""
    if len(over) < len(statuses):
        so_far = f" so far, {len(over)} of {len(statuses)} trials are over"
    try:
        best = choose(dataset, space, "best", None)
    except JefficientError:
        return f"no best configuration{so_far}\n{said}"
    count = len(ties(dataset)) - 1
    as_good = f"{count:,} other configuration{'s' * (count != 1)} cannot be distinguished from it."
    return "\n".join([f"best{so_far}: {best}", as_good, *_optima(dataset, space), said])


def _optima(dataset: xr.Dataset, space: Mapping[str, tuple]) -> list[str]:
    """Say where the optimum of each hyperparameter is that has one.

    Of a single one say why it has none, if enough values were tried to expect one.
    """
    said = []
    for name in space:
        try:
            said.append(str(optimum("", dataset, name)))
        except ArgumentError as error:
            x = column(dataset, name)
            is_curve = np.issubdtype(x.dtype, np.number) and len(set(x.tolist())) >= FEWEST
            if len(space) == 1 and is_curve:
                reason = str(error).removeprefix(": ")
                said.append(f"An optimum of {labelled(name)} cannot be said: {reason}")
    return said
