"""Which way a sweep runs: on this machine, in parts on an executor, or in batches that a search proposes."""

from contextlib import ExitStack
from typing import Any

from ..results import Result
from ._executor import DEFAULT, check_whole, run_in_parts
from ._local import choose_plan, run_locally
from ._proposals import run_search
from ._search import Search
from .planning import RunOptions, Settings, prepare
from .scheduler import reporter
from .tasks import WHERE


def run(task: Any, optimizer: Any, space: Any, settings: Settings, options: RunOptions) -> Result:
    """Run a sweep; see `jf.sweep`."""
    if isinstance(space, Search):
        return run_search((task, optimizer), space, settings, options)
    spec = prepare(task, optimizer, space, settings)
    if options.executor is None:
        if options.directory is not None:
            check_whole(options.directory)
        return run_locally(spec, options)
    plan = choose_plan(spec, options, None, pieces=options.parts or DEFAULT)
    with ExitStack() as stack:
        report, close = reporter(WHERE, options.progress)
        stack.callback(close)
        return run_in_parts((task, optimizer), spec, settings, options, plan, report)
