"""Which blocks begin together, where lanes are kept in step: decided from the trials that wait alone."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ._queue import Queue


class CohortKey(NamedTuple):
    """Whose batches they are."""

    batch_size: int
    seed: int
    fold: int


Waiting = tuple[CohortKey, Queue, np.ndarray]
"""The trials of a block that waits."""


def next_blocks(queues: list[Queue], slots: int, most: int, is_judged: bool) -> list[Waiting]:
    """Whole cohorts, as many as keep all slots busy, or as much of one as there is room for.

    Where configurations are judged, those of all their seeds and folds, and as many as there is
    room for.

    Args:
        queues: where trials wait.
        slots: blocks that run side by side.
        most: blocks that there is room for.
        is_judged: whether configurations are stopped early.
    """
    chosen: list[Waiting] = []
    for unit in _judged_units(queues) if is_judged else _units(queues):
        if chosen and len(chosen) + len(unit) > most:
            break
        chosen += unit if is_judged else unit[:most]
        if len(chosen) >= (most if is_judged else slots):
            break
    return chosen


def _units(queues: list[Queue]) -> Iterator[list[Waiting]]:
    """The trials that wait, in blocks, cohort by cohort."""
    cohorts: dict[CohortKey, list[Waiting]] = {}
    for queue in queues:
        for who, trials in _cohorts(queue):
            blocks = np.split(trials, range(queue.width, len(trials), queue.width))
            cohorts.setdefault(who, []).extend((who, queue, block) for block in blocks)
    yield from (cohorts[who] for who in sorted(cohorts, key=lambda who: who[1:]))


def _judged_units(queues: list[Queue]) -> Iterator[list[Waiting]]:
    """The trials that wait, in blocks, those of the same configurations together."""
    for queue in queues:
        cohorts = [(who, trials, queue.group.place(trials)[0]) for who, trials in _cohorts(queue)]
        if not cohorts:
            continue
        rows = np.unique(np.concatenate([x for _, _, x in cohorts]))
        for some in np.split(rows, range(queue.width, len(rows), queue.width)):
            here = [(who, queue, trials[np.isin(of, some)]) for who, trials, of in cohorts]
            yield [x for x in here if len(x[2])]


def _cohorts(queue: Queue) -> list[tuple[CohortKey, np.ndarray]]:
    """The trials of a queue that wait, by whose batches they train on."""
    waiting = np.array(queue.waiting, int)
    _, seeds, folds = queue.group.place(waiting)
    pairs = sorted(set(zip(seeds.tolist(), folds.tolist(), strict=True)))
    size = queue.group.static["batch_size"]
    return [
        (CohortKey(size, *pair), waiting[(seeds == pair[0]) & (folds == pair[1])]) for pair in pairs
    ]
