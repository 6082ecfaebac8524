"""Loggers of a sweep: its options enter, what tells them leaves."""

from contextlib import ExitStack
from pathlib import Path

from ..results import Ledger, Log, checked_loggers
from .planning import RunOptions
from .tasks import WHERE


def begin_log(options: RunOptions, stack: ExitStack) -> Log:
    """Open what tells the loggers, which the stack closes; without loggers it tells nobody.

    The directory remembers what they have been told; the caller holds its lock.
    """
    loggers = checked_loggers(WHERE, options.log)
    directory = Path(options.directory) if loggers and options.directory is not None else None
    log = Log(WHERE, loggers, Ledger(WHERE, directory))
    stack.callback(log.close)
    return log
