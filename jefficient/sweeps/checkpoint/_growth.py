"""Whether the trials of a sweep in a directory can train on, where more updates are asked for."""

import numpy as np

from ...results import Status
from ..planning import SweepSpec
from ..scheduler import timetable
from ._labels import hashes_in
from ._snapshot import Snapshot

LENGTHS = ("steps", "epochs")
"""Settings that may be raised."""


def is_longer(spec: SweepSpec, found: Snapshot) -> bool:
    """Return whether trials shall make other numbers of updates than they did in the directory."""
    there = found.body["settings"]
    return any(there[name] != repr(getattr(spec.settings, name)) for name in LENGTHS)


def why_no_longer(spec: SweepSpec, found: Snapshot) -> str | None:
    """Return why trials that are over cannot train on, or None."""
    if spec.settings.stop is not None:
        return "under stop=, which has decided by those that were"
    names = spec.problem.requesters_of("steps")
    if names:
        return f"{', '.join(names)} requests `steps`: what was trained would have been another"
    return _why_not_where(spec, found) or _why_without_state(found)


def _why_not_where(spec: SweepSpec, found: Snapshot) -> str | None:
    """Return why evaluations of the longer trials are not those that there are."""
    config_of = {text: i for i, text in enumerate(spec.space.hashes)}
    longer, _ = timetable(len(spec.space), spec.groups)
    for text, steps in zip(hashes_in(found.arrays), found.arrays["step"], strict=True):
        if text not in config_of:
            continue
        before = steps[:, steps[0] >= 0]
        after = longer[config_of[text]]
        first = after[:, : before.shape[1]]
        is_alike = first.shape[1] == before.shape[1] and (first == before).all()
        if not is_alike or after.max() <= before.max():
            return (
                f"longer trials must be evaluated where they were, the last time after "
                f"{before.max()} updates: choose steps or epochs, and eval_every, for that"
            )
    return None


def _why_without_state(found: Snapshot) -> str | None:
    """Return that trials which have finished have no state to go on from."""
    arrays = found.arrays
    kept = {(*trial, step) for *trial, _, step in arrays["states"].tolist()}
    finished = np.argwhere(arrays["record/status"] == Status.FINISHED).tolist()
    taken = arrays["record/steps_taken"]
    without = [trial for trial in finished if (*trial, int(taken[tuple(trial)])) not in kept]
    if not without:
        return None
    return (
        f"{len(without)} trials have no state to go on from: begin with keep_states='last' and "
        f"keep_configs for all configurations"
    )
