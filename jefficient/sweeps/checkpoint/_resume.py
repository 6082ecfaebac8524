"""A sweep that survives its process: what a directory holds of it, whether it is the same sweep, and how it goes on.

A snapshot is a cut through the engine between two rounds of segments: every segment under way is
waited for, and its outcome stored before it is acted upon. A sweep that goes on from there decides
the same things in the same order.
"""

import time
import warnings
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jaxlib.version import __version__ as jaxlib_version

from ..._core.errors import JefficientError, JefficientWarning
from ..._core.serialization import decoded, digest, encoded
from ..._core.typing import Device, Tree
from ..planning import Plan, SweepSpec, group_key
from ..programs import Shared
from ..scheduler import Queue, Scheduler
from ..stopping import Observation, PrunerLog
from ..tasks import WHERE
from ._labels import attributes, hashes_in, labels_as_arrays
from ._snapshot import Directory, Snapshot

_OF_NO_MATTER = ("folds",)
"""Settings that the data's digest covers."""


class Checkpointer:
    """The directory of one sweep.

    Attributes:
        found: what it held when it was opened, None for nothing.
    """

    def __init__(self, spec: SweepSpec, path: Any, every: float):
        self._spec, self._every = spec, every
        self._directory = Directory(WHERE, path)
        try:
            self.found = self._directory.latest()
        except JefficientError:
            self._directory.close()
            raise
        self._writer = ThreadPoolExecutor(1)
        self._written: Future = Future()
        self._written.set_result(None)
        self._last = time.monotonic()
        self._identity: dict[str, Any] = {}
        self._labels: dict[str, np.ndarray] = {}

    def close(self) -> None:
        """Wait for what is being written, and let others have the directory."""
        self._writer.shutdown()
        self._directory.close()

    def plan(self) -> Plan | None:
        """The plan that it runs by, as halved as it is; None where it cannot go on exactly as it was."""
        if self.found is None or self._difference(self.found) is not None:
            return None
        plan = Plan.from_json(self.found.body["plan"])
        programs = zip(plan.programs, self.found.body["widths"], strict=True)
        return replace(
            plan, programs=tuple(replace(program, width=width) for program, width in programs)
        )

    def _difference(self, found: Snapshot) -> str | None:
        """Why what is not finished must start again; None where it can go on."""
        if found.body["versions"] != versions():
            was, now = (
                ", ".join(f"{k} {v}" for k, v in x.items())
                for x in (found.body["versions"], versions())
            )
            return f"it was made with {was}, this is {now} (whose programs cannot be compared with those)"
        if hashes_in(found.arrays) != list(self._spec.space.hashes):
            return "the space is another"
        if found.body["plan"]["devices"] != len(jax.local_devices()):
            return f"it ran on {found.body['plan']['devices']} devices, here are {len(jax.local_devices())}"
        return None

    def begin(self, scheduler: Scheduler, plan: Plan) -> None:
        """Check that the directory is of this sweep, and take from it what can be taken."""
        device = scheduler.devices[0]
        templates = [
            _template(queue, scheduler.shared[device], device) for queue in scheduler.queues
        ]
        self._identity = _identity(
            self._spec, scheduler.queues, [digest for digest, _ in templates]
        )
        self._identity["plan"] = plan.to_json()
        self._plan, self._labels = plan, labels_as_arrays(self._spec)
        if self.found is None:
            self._write(scheduler, is_waited_for=True)
            return
        self._check(self.found)
        self._restore(scheduler, self.found, [weights for _, weights in templates])

    def between(self, scheduler: Scheduler, is_ending: bool) -> None:
        """A snapshot, where one is due."""
        failed = self._written.done() and self._written.exception()
        if failed:
            raise failed
        is_due = time.monotonic() - self._last >= self._every and self._written.done()
        if is_ending or is_due:
            self._write(scheduler, is_waited_for=is_ending or self._every == 0)

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
        arrays = {f"record/{name}": np.array(x) for name, x in scheduler.record.arrays().items()}
        arrays |= self._labels | scheduler.record.fixed()
        arrays["weights"] = np.array(sorted(scheduler.record.weights), int).reshape(-1, 3)
        for i, place in enumerate(sorted(scheduler.record.weights)):
            arrays |= encoded(f"weights/{i}", scheduler.record.weights[place])
        arrays |= {
            f"waiting/{i}": np.array(queue.waiting, int) for i, queue in enumerate(scheduler.queues)
        }
        slots, blocks = scheduler.captured()
        arrays |= blocks
        if scheduler.log is not None:
            arrays |= _encoded_log(scheduler.log)
        widths = [queue.width for queue in scheduler.queues]
        body = {**self._identity, "versions": versions(), "slots": slots, "widths": widths}
        body["attributes"] = attributes(
            self._spec, self._plan, scheduler.record.seconds, scheduler.record.utilization
        )
        body["diagnostics"] = list(self._spec.diagnostics)
        return Snapshot(body, arrays)

    def _check(self, found: Snapshot) -> None:
        """The directory's sweep is this one, but for the configurations.

        Raises:
            JefficientError: says what differs.
        """
        body, mine, reasons = found.body, self._identity, []
        for name in sorted({*body["settings"], *mine["settings"]}):
            there, here = body["settings"].get(name), mine["settings"].get(name)
            if there != here:
                reasons.append(f"{name} was {there}, is {here}")
        for name, what in (
            ("traced", "the traced names and their dtypes"),
            ("measured", "what is measured"),
        ):
            if body[name] != mine[name]:
                reasons.append(f"{what} were {body[name]}, are {mine[name]}")
        if body["data"] != mine["data"]:
            reasons.append("the data (or folds) are others")
        if body["versions"] == versions():
            for key, digest in mine["programs"].items():
                if body["programs"].get(key, digest) != digest:
                    reasons.append(
                        f"the functions of the task or the optimizer are others (for {key})"
                    )
        lost = len(set(hashes_in(found.arrays)) - set(self._spec.space.hashes))
        if lost:
            reasons.append(
                f"there are {lost} configurations that the space lacks (add to that space with +)"
            )
        if reasons:
            raise JefficientError(
                f"{WHERE}: directory must be of the same sweep, got {self._directory.path}, where "
                f"{'; '.join(reasons)}. Name another directory."
            )

    def _restore(self, scheduler: Scheduler, found: Snapshot, templates: list[Tree]) -> None:
        body, arrays = found
        hashes = list(self._spec.space.hashes)
        there = {x: i for i, x in enumerate(hashes_in(arrays))}
        old = np.array([there[x] for x in hashes if x in there], int)
        new = np.array([i for i, x in enumerate(hashes) if x in there], int)
        to_new = dict(zip(old.tolist(), new.tolist(), strict=True))
        record, queues = scheduler.record, scheduler.queues
        record.restore(
            {k.removeprefix("record/"): x for k, x in arrays.items() if k.startswith("record/")},
            old,
            new,
        )
        if scheduler.log is not None:
            scheduler.log = _decoded_log(scheduler.log.rule, arrays, to_new)
        group_index_of = {int(c): i for i, queue in enumerate(queues) for c in queue.group.configs}
        for i, (config, seed, fold) in enumerate(arrays["weights"].tolist()):
            if config in to_new:
                place = to_new[config], seed, fold
                record.weights[place] = decoded(
                    f"weights/{i}", arrays, templates[group_index_of[place[0]]]
                )
        reason = self._difference(found)
        is_same = body["widths"] == [queue.width for queue in queues] and scheduler.fits(
            body["slots"]
        )
        if reason is None and not is_same:
            reason = "the plan is another"
        if reason is not None:
            self._start_again(scheduler, reason, new)
            return
        for i, queue in enumerate(queues):
            queue.waiting = deque(arrays[f"waiting/{i}"].tolist())
        scheduler.restore(body["slots"], arrays)

    def _start_again(self, scheduler: Scheduler, reason: str, known: np.ndarray) -> None:
        """What is not finished starts again."""
        unfinished = scheduler.record.unfinished()
        again = np.intersect1d(unfinished, known)
        if len(again):
            warnings.warn(
                f"{WHERE}: the sweep in the directory cannot go on exactly as it was: {reason}. "
                f"{len(known) - len(again)} configurations that had finished stay, {len(again)} start again.",
                JefficientWarning,
                stacklevel=2,
            )
        if scheduler.log is not None:
            scheduler.log = scheduler.log.without(set(again.tolist()))
        for queue in scheduler.queues:
            rows = np.flatnonzero(np.isin(queue.group.configs, unfinished))
            queue.waiting = deque(queue.members(rows).tolist())
            scheduler.record.restart(queue.group.configs[rows], queue.width)


def versions() -> dict[str, str]:
    """What bits depend on, beside the program."""
    return {
        "jefficient": version("jefficient"),
        "jax": jax.__version__,
        "jaxlib": jaxlib_version,
        "device": jax.local_devices()[0].device_kind,
    }


def _identity(spec: SweepSpec, queues: list[Queue], digests: list[str]) -> dict[str, Any]:
    """What makes two sweeps the same, but for their configurations."""
    settings = vars(spec.settings) | {"key": jax.random.key_data(spec.settings.key).tolist()}
    return {
        "settings": {name: repr(x) for name, x in settings.items() if name not in _OF_NO_MATTER},
        "traced": {
            name: str(x.dtype) for group in spec.groups for name, x in group.numbers.items()
        },
        "measured": list(spec.measured),
        "data": spec.data_digest,
        "programs": dict(zip([group_key(queue.group) for queue in queues], digests, strict=True)),
    }


def _template(queue: Queue, shared: Shared, device: Device) -> tuple[str, Tree]:
    """A digest of what a single lane does, constants included; and the shapes of the weights of one trial."""
    single = replace(queue, program=queue.program.single())
    commands = jax.device_put(single.idle_commands(), device)
    lanes = single.program.empty(commands, shared)
    text = "".join(
        x.as_text() for x in jax.tree.leaves(single.program.lower(lanes, commands, shared))
    )
    weights = jax.eval_shape(single.program.weights, lanes)
    return digest(text.encode()), jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), weights
    )


def _encoded_log(log: PrunerLog) -> dict[str, np.ndarray]:
    rows = [(i, *report) for i, batch in enumerate(log.batches) for report in batch]
    return {"reports": np.array(rows, float).reshape(-1, 1 + len(Observation._fields))}


def _decoded_log(
    rule: Any, arrays: Mapping[str, np.ndarray], to_new: Mapping[int, int]
) -> PrunerLog:
    batches: dict[float, list[Observation]] = {}
    for batch, config, step, epoch, score in arrays["reports"].tolist():
        if int(config) in to_new:
            batches.setdefault(batch, []).append(
                Observation(to_new[int(config)], int(step), epoch, score)
            )
    return PrunerLog(rule, list(batches.values()))
