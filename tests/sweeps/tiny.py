"""The smallest task, and how a test sets the width: what the tests of sweeps share."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf
from jefficient._core.devices import Machine

_RNG = np.random.default_rng(3)
X = _RNG.normal(size=(30, 3)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5]) + 0.3 * _RNG.normal(size=30)).astype(np.float32)


def init(key):
    return jax.random.normal(key, (3,))


def loss(params, batch):
    x, y = batch
    return jnp.mean((x @ params - y) ** 2)


def task(**changes):
    return jf.Task(**{"init": init, "loss": loss, "data": (X, Y), **changes})


def sweep(the_task, space, optimizer=jf.sgd, **changes):
    return jf.sweep(the_task, optimizer, space, **{"batch_size": 8, "progress": False, **changes})


class Box:
    """A tree of a class that compares by identity."""

    def __init__(self, content):
        self.content = content


jax.tree_util.register_pytree_node(
    Box, lambda box: ((box.content,), None), lambda _, contents: Box(*contents)
)


@contextlib.contextmanager
def machine(**changes):
    """Sweeps in here run as if on another machine; see `Machine` for what can be changed."""
    other = dataclasses.replace(Machine.here(), **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "here", lambda: other)
        yield


def lanes(width, blocks=1, **changes):
    """Sweeps in here run in blocks of at most `width` lanes, so many side by side."""
    return machine(widest=width, widest_small=width, cores=blocks, **changes)


def series_of(monkeypatch, seconds):
    """Let blocks compute so long until the host observes them; 0 for one segment at a time."""
    monkeypatch.setattr("jefficient.sweeps.scheduler._continuous._SERIES_SECONDS", seconds)


class CrashError(Exception):
    """Raised by a progress function in the middle of a sweep."""


def crash_after(segments):
    """Return a progress function that raises after so many segments."""
    seen = []

    def report(progress):
        seen.append(progress)
        if len(seen) > segments:
            raise CrashError

    return report
