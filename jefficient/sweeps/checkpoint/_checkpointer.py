"""A sweep that survives its process: what a directory holds of it, and how it goes on from there.

A snapshot is taken between two rounds of segments: those under way are waited for, and their
outcome is stored before it is acted upon. A sweep that goes on from there decides the same things
in the same order.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jaxlib.version import __version__ as jaxlib_version

from ..._core.arithmetic import arithmetic, difference
from ..._core.debugging import Workers
from ..._core.devices import Machine
from ..._core.errors import JefficientError
from ..._core.files import decoding
from ..._core.reuse import once, shapes_of
from ..._core.serialization import decoded, digest, encoded
from ..._core.typing import Device, Tree
from ..._core.warn import warn
from ...results import Checkpoints, Status
from ..planning import Plan, SweepSpec, group_key, plan_of
from ..programs import Shared
from ..scheduler import Queue, Scheduler
from ..stopping import Observation, PrunerLog, StopRule
from ..tasks import WHERE
from ._directory import Directory
from ._growth import LENGTHS, is_longer, why_no_longer
from ._labels import attributes, hashes_in, labels_as_arrays
from ._snapshot import Snapshot

_WIDEST = 2**16
"""Lanes in a block that a snapshot may ask for: memory is taken for all of them."""

_COVERED = ("folds", "start")
"""Settings that digests cover, of the data and of what configurations start from."""


class Checkpointer:
    """Writes snapshots of one sweep into its directory, and goes on from the last one.

    Attributes:
        found: the snapshot in the directory when it was opened, or None.
    """

    def __init__(self, spec: SweepSpec, path: str | os.PathLike, every: float):
        self._spec = spec
        self._every = every
        self._directory = Directory(WHERE, path)
        try:
            self.found = self._directory.latest()
        except JefficientError:
            self._directory.close()
            raise
        self._writer = Workers(1)
        self._written: Future = Future()
        self._written.set_result(None)
        self._last = time.monotonic()
        self._identity: dict[str, Any] = {}
        self._labels: dict[str, np.ndarray] = {}
        self._plan: Plan | None = None

    def close(self) -> None:
        """Wait for the snapshot that is being written, and release the directory."""
        self._writer.shutdown()
        self._directory.close()

    def plan(self) -> Plan | None:
        """Return the plan of the directory's sweep; None where it cannot go on exactly."""
        if self.found is None:
            return None
        with self._decoding():
            if self._other_bits(self.found) is not None:
                return None
            widths = [int(x) for x in self.found.body["widths"]]  # which may have been halved
            if not all(1 <= x <= _WIDEST for x in widths):
                raise ValueError("widths")
            if self._grows(self.found):
                here = plan_of(self._spec, Machine.here())
                known = dict(zip(self.found.body["programs"], widths, strict=True))
                return here.with_widths([known.get(x.static, x.width) for x in here.programs])
            if self._other_layout(self.found) is not None:
                return None
            return Plan.from_json(self.found.body["plan"]).with_widths(widths)

    def _decoding(self) -> AbstractContextManager[None]:
        """Turn what the snapshot that was found raises into an error that names the directory."""
        return decoding(
            f"{WHERE}: directory must be one that a sweep wrote, got {self._directory.path} (name "
            f"another one, or delete it), whose last snapshot"
        )

    def _other_bits(self, found: Snapshot) -> str | None:
        """Return why trials would not have the bits that they had, or None."""
        reason = difference(found.body["versions"], versions())
        return reason and f"{reason} (whose numbers cannot be compared)"

    def _other_layout(self, found: Snapshot) -> str | None:
        """Return why trials cannot go on in the lanes where they were, or None."""
        body = found.body
        devices = len(jax.local_devices())
        if hashes_in(found.arrays) != list(self._spec.space.hashes):
            return "the space is another"
        if body["plan"]["devices"] != devices:
            return f"it ran on {body['plan']['devices']} devices, here are {devices}"
        return None

    def _new_seeds(self, found: Snapshot) -> int:
        """Return how many seeds the sweep in the directory does not have."""
        return self._spec.settings.seeds - found.arrays["record/status"].shape[1]

    def _grows(self, found: Snapshot) -> bool:
        """Return whether the trials that the directory has get seeds or updates."""
        return self._new_seeds(found) > 0 or is_longer(self._spec, found)

    def begin(self, scheduler: Scheduler, plan: Plan) -> None:
        """Check that the directory is of this sweep, and restore what can be restored."""
        device = scheduler.devices[0]
        shared = scheduler.shared[device]
        digests = [
            once(
                ("digest", queue.program.reuse_key, shapes_of(shared)),
                partial(_program_digest, queue, shared, device),
            )
            for queue in scheduler.queues
        ]
        self._identity = _identity(self._spec, scheduler.queues, digests)
        self._identity["plan"] = plan.to_json()
        self._plan = plan
        self._labels = labels_as_arrays(self._spec)
        self._labels["starts"] = self._starts(self._spec.settings.seeds)
        if self.found is None:
            self._write(scheduler, is_waited_for=True)
            return
        with self._decoding():
            self._check(self.found)
            self._restore(scheduler, self.found)

    def at_boundary(self, scheduler: Scheduler) -> None:
        """Write a snapshot, if one is due."""
        if not self._written.done():
            return
        self._written.result()  # raises where it could not be written
        if time.monotonic() - self._last >= self._every:
            self._write(scheduler, is_waited_for=self._every == 0)

    def write_last(self, scheduler: Scheduler) -> None:
        """Write a snapshot, also where the one before it could not be written."""
        self._write(scheduler, is_waited_for=True)

    @property
    def is_saved(self) -> bool:
        """Whether the last snapshot has been written."""
        return self._written.done() and self._written.exception() is None

    def _write(self, scheduler: Scheduler, *, is_waited_for: bool) -> None:
        if scheduler.has_failed:
            return
        snapshot = self._capture(scheduler)
        self._written.exception()  # one at a time
        self._written = self._writer.submit(self._directory.write, snapshot)
        self._last = time.monotonic()
        if is_waited_for:
            self._written.result()

    def _capture(self, scheduler: Scheduler) -> Snapshot:
        assert self._plan is not None
        record = scheduler.record
        curves = record.curves
        arrays = {f"record/{name}": np.array(x) for name, x in record.arrays().items()}
        arrays |= self._labels
        arrays |= {"step": curves.step, "steps_per_epoch": curves.steps_per_epoch}
        arrays |= _checkpoints_as_arrays(record.checkpoints)
        for i, queue in enumerate(scheduler.queues):
            arrays[f"waiting/{i}"] = np.array(queue.waiting, int)
        if scheduler.pruner is not None:
            arrays["observations"] = _observations_as_array(scheduler.pruner)
        slots, blocks = scheduler.captured()

        body = {
            **self._identity,
            "versions": versions(),
            "slots": slots,
            "widths": [queue.width for queue in scheduler.queues],
            "attributes": attributes(self._spec, self._plan, record.seconds, record.utilization),
            "diagnostics": list(self._spec.diagnostics),
        }
        return Snapshot(body, arrays | blocks)

    def _starts(self, seeds: int) -> np.ndarray:
        """Return a text for each configuration, equal if its first seeds start from the same."""
        count = len(self._spec.space)
        starts = self._spec.starts
        return np.array([""] * count if starts is None else starts.digests(count, seeds), "S")

    def _check(self, found: Snapshot) -> None:
        """Check that the directory's sweep is this one, but for its configurations.

        Raises:
            JefficientError: where it is another one; it says what differs.
        """
        body = found.body
        mine = self._identity
        reasons = []
        for name in sorted({*body["settings"], *mine["settings"]}):
            there = body["settings"].get(name)
            here = mine["settings"].get(name)
            is_added = name == "seeds" and self._new_seeds(found) > 0
            if is_added and self._spec.settings.stop is not None:
                reasons.append(
                    f"seeds were {there}, are {here}: none can be added under stop=, which has "
                    f"decided by those that were"
                )
            elif there != here and not is_added:
                why = why_no_longer(self._spec, found) if name in LENGTHS else ""
                if why is not None:
                    reasons.append(f"{name} was {there}, is {here}{f' ({why})' if why else ''}")

        described = {"traced": "the traced names and their dtypes", "measured": "what is measured"}
        for name, what in described.items():
            if body[name] != mine[name]:
                reasons.append(f"{what} were {body[name]}, are {mine[name]}")
        if body["data"] != mine["data"]:
            reasons.append("the data (or folds) are others")
        if body["versions"] == versions():  # only then are digests of programs comparable
            for key, program_digest in mine["programs"].items():
                if body["programs"].get(key, program_digest) != program_digest:
                    reasons.append(f"the functions of the task or optimizer are others (for {key})")

        starts = self._starts(found.arrays["record/status"].shape[1])
        there = dict(zip(hashes_in(found.arrays), found.arrays["starts"], strict=True))
        here = zip(self._spec.space.hashes, starts, strict=True)
        if any(there.get(text, start) != start for text, start in here):
            reasons.append("what the trials start from (start) is other")

        lost = len(set(hashes_in(found.arrays)) - set(self._spec.space.hashes))
        if lost:
            reasons.append(
                f"the space lacks {lost} of its configurations (add to that space with +)"
            )
        if reasons:
            raise JefficientError(
                f"{WHERE}: directory must be of the same sweep, got {self._directory.path}, where "
                f"{'; '.join(reasons)}. Name another directory."
            )

    def _restore(self, scheduler: Scheduler, found: Snapshot) -> None:
        body, arrays = found
        hashes = list(self._spec.space.hashes)
        stored = {x: i for i, x in enumerate(hashes_in(arrays))}
        old = np.array([stored[x] for x in hashes if x in stored], int)
        new = np.array([i for i, x in enumerate(hashes) if x in stored], int)
        new_of = dict(zip(old.tolist(), new.tolist(), strict=True))

        begin = "record/"
        of_record = {k.removeprefix(begin): x for k, x in arrays.items() if k.startswith(begin)}
        scheduler.record.restore(of_record, old, new)
        if scheduler.pruner is not None:
            scheduler.pruner = _pruner_log(scheduler.pruner.rule, arrays, new_of)
        scheduler.record.keep(self._checkpoints_from(arrays, new_of))

        grows = self._grows(found)
        reason = self._other_bits(found) or (None if grows else self._other_layout(found))
        trained_on = new
        if not is_longer(self._spec, found):
            trained_on = np.intersect1d(new, scheduler.record.unfinished())
        has_slots = grows or scheduler.fits(body["slots"])
        if reason is None and not (has_slots and _has_widths_of(scheduler, trained_on)):
            reason = "the plan is another"
        if reason is not None:
            self._start_again(scheduler, reason, new, trained_on)
            return
        if grows:
            self._grow(scheduler, found)
            return
        for i, queue in enumerate(scheduler.queues):
            queue.waiting = deque(arrays[f"waiting/{i}"].tolist())
        scheduler.restore(body["slots"], arrays)

    def _checkpoints_from(
        self, arrays: Mapping[str, np.ndarray], new_of: Mapping[int, int]
    ) -> Checkpoints:
        """Undo `_checkpoints_as_arrays`, for the configurations in `new_of`."""

        def trees(name: str, like: Callable[[int], Tree]) -> dict[tuple[int, ...], Tree]:
            return {
                (new_of[c], *at): decoded(f"{name}/{i}", arrays, like(new_of[c]))
                for i, (c, *at) in enumerate(arrays[name].tolist())
                if c in new_of
            }

        weights = trees("weights", self._spec.weights_like)
        return Checkpoints.from_flat(weights, trees("states", self._spec.state_like))

    def _grow(self, scheduler: Scheduler, found: Snapshot) -> None:
        """Train the trials that are not over, those of added seeds among them, and no others.

        Those that were under way begin again; where trials get longer, those that had finished go
        on.
        """
        record = scheduler.record
        for queue in scheduler.queues:
            trials = np.arange(queue.group.trials)
            place = queue.place(trials)
            record.restart_trials(place.take(record.is_running(place)))
            if is_longer(self._spec, found):
                record.go_on(place.take(record.curves.status[place] == Status.FINISHED))
            queue.waiting = deque(trials[record.is_running(place)].tolist())

    def _start_again(
        self, scheduler: Scheduler, reason: str, known: np.ndarray, trained_on: np.ndarray
    ) -> None:
        """Start the configurations again that have not finished, or would train on."""
        unfinished = np.union1d(scheduler.record.unfinished(), trained_on)
        again = np.intersect1d(unfinished, known)
        if len(again):
            warn(
                f"{WHERE}: the sweep in the directory cannot go on exactly as it was: {reason}. "
                f"{len(known) - len(again)} configurations that had finished stay, {len(again)} "
                f"start again."
            )
        if scheduler.pruner is not None:
            scheduler.pruner = scheduler.pruner.without(set(again.tolist()))
        for queue in scheduler.queues:
            rows = np.flatnonzero(np.isin(queue.group.configs, unfinished))
            queue.refill(rows)
            scheduler.record.restart(queue.group.configs[rows], queue.width)


def versions() -> dict[str, str]:
    """Return what bits depend on, beside the program."""
    return {
        "jefficient": version("jefficient"),
        "jax": jax.__version__,
        "jaxlib": jaxlib_version,
        **arithmetic(),
    }


def _identity(spec: SweepSpec, queues: list[Queue], digests: list[str]) -> dict[str, Any]:
    """Return what makes two sweeps the same, but for their configurations."""
    settings = vars(spec.settings) | {"key": jax.random.key_data(spec.settings.key).tolist()}
    keys = [group_key(queue.group) for queue in queues]
    numbers = (item for group in spec.groups for item in group.numbers.items())
    return {
        "settings": {k: repr(x) for k, x in settings.items() if k not in _COVERED},
        "traced": {name: str(x.dtype) for name, x in numbers},
        "measured": list(spec.measured),
        "data": spec.data_digest,
        "programs": dict(zip(keys, digests, strict=True)),
    }


def _has_widths_of(scheduler: Scheduler, configs: np.ndarray) -> bool:
    """Return whether these configurations were trained in blocks as wide as those to come."""
    width = scheduler.record.curves.block_width
    return all(
        (width[np.intersect1d(queue.group.configs, configs)] == queue.width).all()
        for queue in scheduler.queues
    )


def _program_digest(queue: Queue, shared: Shared, device: Device) -> str:
    """Return a digest of one lane's program, constants included.

    One lane, since the digest must not depend on the width.
    """
    single = replace(queue, program=queue.program.single())
    commands = jax.device_put(single.idle_commands(), device)
    lanes = single.program.empty(commands, shared)
    lowered = single.program.lower(lanes, commands, shared)
    text = "".join(x.as_text() for x in jax.tree.leaves(lowered))
    return digest(text.encode())


def _checkpoints_as_arrays(held: Checkpoints) -> dict[str, np.ndarray]:
    arrays = {}
    of_all: dict[str, tuple[Mapping[Any, Tree], int]] = {
        "weights": (held.weights, 3),
        "states": (held.flat_states, 5),
    }
    for name, (trees, size) in of_all.items():
        places = sorted(trees)
        arrays[name] = np.array(places, int).reshape(-1, size)
        for i, place in enumerate(places):
            arrays |= encoded(f"{name}/{i}", trees[place])
    return arrays


def _observations_as_array(pruner: PrunerLog) -> np.ndarray:
    rows = [(i, *observation) for i, batch in enumerate(pruner.batches) for observation in batch]
    return np.array(rows, float).reshape(-1, 1 + len(Observation._fields))


def _pruner_log(
    rule: StopRule, arrays: Mapping[str, np.ndarray], new_of: Mapping[int, int]
) -> PrunerLog:
    batches: dict[float, list[Observation]] = {}
    for batch, config, step, epoch, score in arrays["observations"].tolist():
        if int(config) in new_of:
            observation = Observation(new_of[int(config)], int(step), epoch, score)
            batches.setdefault(batch, []).append(observation)
    return PrunerLog(rule, list(batches.values()))
