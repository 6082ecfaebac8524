"""A pytest plugin for optax's own tests: it puts jefficient's functions in the place of optax's.

Load it with ``-p standin`` (this folder on PYTHONPATH) in a process of its own. It reads two
environment variables: OPTAX_SUITE_REPORT, the file to write, ``{case: {"outcome": …, "failure": …,
"calls": [names of ours]}}``; and OPTAX_SUITE_SELECT, a regular expression that a case must match
from its beginning: ``Class::case`` with its parameters behind it as absl writes them (the names of
absl's cases carry numbers alone).

What is replaced, and what is not: optax's tests read functions off optax's modules
(``transform.scale_by_adam``), and so do optax's functions among themselves. The tests are to get
ours; what optax does inside while something else is tested is to stay optax's, and jefficient
itself stands on `optax.masked`, which must not become our own. So no module is changed. Once all of
optax and jefficient is imported, and bound to the originals, `sys.modules` gets copies of optax's
modules with our functions in them, and what is imported from then on, the tests, finds the copies.
"""

import collections
import functools
import importlib
import inspect
import json
import os
import pkgutil
import re
import sys
import types

import optax
import optax.contrib
import pytest

import jefficient as jf
from jefficient.transforms._plateau import ReduceOnPlateauState

CALLS = collections.Counter()
CASES = {}
_RANK = ("passed", "skipped", "failed")


def pytest_configure():
    """Put the copies in place, before any test is imported."""
    for found in pkgutil.walk_packages(optax.__path__, "optax."):
        if not found.name.endswith("_test"):
            importlib.import_module(found.name)
    modules = {
        path: module for path, module in sys.modules.items() if path.partition(".")[0] == "optax"
    }
    ours = {name: (theirs, counted(name, theirs)) for name, theirs in counterparts().items()}
    ours["ReduceLROnPlateauState"] = (optax.contrib.ReduceLROnPlateauState, plateau_state)
    copies = {path: _copy(path, module, ours) for path, module in modules.items()}
    for path, module in modules.items():
        package, _, leaf = path.rpartition(".")
        if package and getattr(modules[package], leaf, None) is module:
            setattr(copies[package], leaf, copies[path])
    sys.modules.update(copies)


def _copy(path, module, ours):
    copy = types.ModuleType(path)
    vars(copy).update(vars(module))
    vars(copy).update(
        {
            name: stand_in
            for name, (theirs, stand_in) in ours.items()
            if vars(copy).get(name) is theirs
        }
    )
    return copy


def counterparts():
    """{name: optax's function} of the functions that both libraries have."""
    homes = (optax, optax.contrib)
    found = {
        name: next((x for home in homes if (x := getattr(home, name, None))), None)
        for name in jf.__all__
    }
    return {name: x for name, x in found.items() if callable(x) and not isinstance(x, type)}


def counted(name, theirs):
    """Count our function's calls; its annotations are optax's: some tests select by them."""
    function = getattr(jf, name)

    @functools.wraps(function)
    def stand_in(*args, **kwargs):
        CALLS[name] += 1
        return function(*args, **kwargs)

    types_of = {p.name: p.annotation for p in inspect.signature(theirs).parameters.values()}
    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=types_of.get(p.name, p.empty)) for p in signature.parameters.values()
    ]
    stand_in.__signature__ = signature.replace(parameters=parameters)
    return stand_in


def plateau_state(*, scale, **fields):
    """Make our state of optax's fields: `scale` is called `reduction`; the report is not read."""
    return ReduceOnPlateauState(reduction=scale, **fields, hyperparameters={})


def pytest_collection_modifyitems(items):
    """Keep what OPTAX_SUITE_SELECT matches."""
    select = re.compile(os.environ.get("OPTAX_SUITE_SELECT", ""))
    items[:] = [item for item in items if select.match(_name(item))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Note which of our functions a case calls."""
    before = CALLS.copy()
    CASES[_name(item)] = case = {"outcome": "passed", "failure": "", "calls": []}
    result = yield
    case["calls"] = sorted(CALLS - before)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Note the worst outcome among a case's reports: setup, call, teardown, and its subtests."""
    report = yield
    case = CASES[_name(item)]
    if _RANK.index(report.outcome) > _RANK.index(case["outcome"]):
        case |= {"outcome": report.outcome, "failure": report.longreprtext}
    return report


def pytest_sessionfinish():
    """Write the report."""
    with open(os.environ["OPTAX_SUITE_REPORT"], "w", encoding="utf-8") as file:
        json.dump(CASES, file)


def _name(item):
    return item.nodeid.split("::", 1)[1] + getattr(item.function, "__x_params_repr__", "")
