"""Which cohorts begin next, where lanes are kept in step: decided from the waiting trials alone."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ._queue import Queue


class CohortKey(NamedTuple):
    """What trials that train on the same batches have in common."""

    batch_size: int
    seed: int
    fold: int
    begin: int = 0  # updates that they have behind them


WaitingBlock = tuple[CohortKey, Queue, np.ndarray]
"""The trials of a block that is to begin."""


def next_blocks(queues: list[Queue], slots: int, most: int, is_pruned: bool) -> list[WaitingBlock]:
    """Choose whole cohorts, as many as keep all slots busy, or as much of one as fits.

    Where configurations are pruned, those of all their seeds and folds, and as many as fit.

    Args:
        queues: where trials wait.
        slots: blocks that run side by side.
        most: blocks that fit into memory.
        is_pruned: whether configurations may be stopped early.
    """
    chosen: list[WaitingBlock] = []
    for unit in _units_by_configuration(queues) if is_pruned else _units_by_cohort(queues):
        if chosen and len(chosen) + len(unit) > most:
            break
        chosen += unit if is_pruned else unit[:most]
        if len(chosen) >= (most if is_pruned else slots):
            break
    return chosen


def _units_by_cohort(queues: list[Queue]) -> Iterator[list[WaitingBlock]]:
    """Yield the waiting trials in blocks, cohort by cohort."""
    cohorts: dict[CohortKey, list[WaitingBlock]] = {}
    for queue in queues:
        for key, trials in _cohorts(queue):
            blocks = np.split(trials, range(queue.width, len(trials), queue.width))
            cohorts.setdefault(key, []).extend((key, queue, block) for block in blocks)
    yield from (cohorts[key] for key in sorted(cohorts, key=lambda key: key[1:]))


def _units_by_configuration(queues: list[Queue]) -> Iterator[list[WaitingBlock]]:
    """Yield the waiting trials in blocks, those of the same configurations together."""
    for queue in queues:
        cohorts = [(key, x, queue.group.place(x)[0]) for key, x in _cohorts(queue)]
        if not cohorts:
            continue
        rows = np.unique(np.concatenate([rows for _, _, rows in cohorts]))
        for chosen in np.split(rows, range(queue.width, len(rows), queue.width)):
            here = [(key, queue, x[np.isin(rows, chosen)]) for key, x, rows in cohorts]
            yield [block for block in here if len(block[2])]


def _cohorts(queue: Queue) -> list[tuple[CohortKey, np.ndarray]]:
    """Return the waiting trials of a queue by the batches that they train on."""
    waiting = np.array(queue.waiting, int)
    _, seeds, folds = queue.group.place(waiting)
    batch_size = queue.group.static["batch_size"]
    columns = np.column_stack([seeds, folds, queue.begin(waiting)])
    return [
        (CohortKey(batch_size, *own.tolist()), waiting[(columns == own).all(axis=1)])
        for own in np.unique(columns, axis=0)
    ]
