"""Which way a sweep runs: on this machine, in parts on an executor, or in batches that a search proposes."""

from contextlib import ExitStack
from typing import Any

from ..results import Result
from ._executor import DEFAULT, check_whole, run_in_parts
from ._local import choose_plan, run_locally
from ._proposals import run_in_rounds
from ._search import Search
from .planning import Running, Settings, prepare
from .scheduler import reporter
from .tasks import WHERE


def run(task: Any, optimizer: Any, space: Any, settings: Settings, running: Running) -> Result:
    """Run a sweep; see `jf.sweep`."""
    if isinstance(space, Search):
        return run_in_rounds((task, optimizer), space, settings, running)
    prepared = prepare(task, optimizer, space, settings)
    if running.executor is None:
        if running.directory is not None:
            check_whole(running.directory)
        return run_locally(prepared, running)
    plan = choose_plan(prepared, running, None, pieces=running.parts or DEFAULT)
    with ExitStack() as stack:
        report, close = reporter(WHERE, running.progress)
        stack.callback(close)
        return run_in_parts((task, optimizer), prepared, settings, running, plan, report)
