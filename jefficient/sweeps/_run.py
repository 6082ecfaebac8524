"""Which way a sweep runs: on this machine, in parts on an executor, or as a search proposes it."""

from contextlib import ExitStack

from .._core.debugging import tools_off
from .._core.devices import Machine
from ..results import Result
from ..spaces import Space
from ._interrupt import EndRequest
from ._local import choose_plan, run_locally
from ._proposals import run_search
from ._search import Search
from .parts import DEFAULT_PARTS, check_whole, run_in_parts
from .planning import RunOptions, Settings, prepare
from .scheduler import reporter
from .tasks import WHERE, Optimizer, Task, Trial, annotate_checks


def run(
    task: Task | Trial,
    optimizer: Optimizer | None,
    space: Space | Search,
    settings: Settings,
    options: RunOptions,
) -> Result:
    """Run a sweep; see `jf.sweep`."""
    end = EndRequest(options.time_limit)
    machine = Machine.here()
    with tools_off(), annotate_checks():
        return _run(task, optimizer, space, settings, options, machine, end)


def _run(
    task: Task | Trial,
    optimizer: Optimizer | None,
    space: Space | Search,
    settings: Settings,
    options: RunOptions,
    machine: Machine,
    end: EndRequest,
) -> Result:
    if isinstance(space, Search):
        return run_search((task, optimizer), space, settings, options, machine, end)
    spec = prepare(task, optimizer, space, settings)
    spec.check_kept()
    if options.executor is None:
        if options.directory is not None:
            check_whole(options.directory)
        return run_locally(spec, options, machine, end)

    plan = choose_plan(spec, options, machine, parts=options.parts or DEFAULT_PARTS)
    with ExitStack() as stack:
        on_progress, close = reporter(WHERE, options.progress)
        stack.callback(close)
        given = task, optimizer
        return run_in_parts(given, spec, options, plan, machine, on_progress, end, stack)
