"""An engine runs until all is done, or until Ctrl-C."""

import warnings
from collections.abc import Callable

from .._core.errors import JefficientWarning
from ._durable import Durable
from ._host import Host
from ._interrupt import Interrupted
from ._named import WHERE


def until_done(engine: Host, durable: Durable | None, is_asked: Callable[[], bool]) -> bool:
    """Until all is done, True; or until it is asked to end: then what is not over is interrupted, False."""

    def between(engine: Host) -> None:
        is_ending = is_asked()
        if durable is not None:
            durable.between(engine, is_ending=is_ending)
        if is_ending:
            raise Interrupted

    engine.between = between
    try:
        engine.run()
    except Interrupted:
        _say_interrupted(engine, durable)
        return False
    if durable is not None:
        durable.between(engine, is_ending=True)
    return True


def _say_interrupted(engine: Host, durable: Durable | None) -> None:
    progress = engine.record.progress()
    engine.record.interrupt()
    more = "" if durable is None else " The same call goes on from here."
    warnings.warn(
        f"{WHERE}: interrupted with {progress.trials_done} of {progress.trials} trials done; the result says "
        f"'interrupted' of the others.{more}",
        JefficientWarning,
        stacklevel=5,
    )
