"""Which blocks begin together where lanes are kept in step: decided without a device."""

import itertools

import numpy as np
import pytest
from sweeps.scheduler import groups

from jefficient.sweeps.scheduler._cohort_queue import CohortKey, next_blocks


def trials(blocks):
    return sorted((id(queue), int(trial)) for _, queue, some in blocks for trial in some)


def test_all_blocks_of_a_cohort_share_their_batches():
    queue = groups.queue(width=4, configs=10, seeds=2, folds=2)
    for key, its_queue, some in next_blocks([queue], slots=2, most=99, is_pruned=False):
        assert its_queue is queue
        _, seeds, folds = queue.group.place(some)
        assert set(seeds.tolist()) == {key.seed}
        assert set(folds.tolist()) == {key.fold}
        assert key.batch_size == 8
        assert len(some) <= 4


@pytest.mark.parametrize(("slots", "cohorts"), [(1, 1), (3, 1), (4, 2), (99, 4)])
def test_whole_cohorts_begin_until_all_slots_are_occupied(slots, cohorts):
    """Ten configurations are three blocks of four lanes in each of four cohorts."""
    queue = groups.queue(width=4, configs=10, seeds=2, folds=2)
    chosen = next_blocks([queue], slots, most=99, is_pruned=False)
    keys = [CohortKey(8, seed, fold) for seed, fold in itertools.product(range(2), range(2))]
    assert list(dict.fromkeys(key for key, _, _ in chosen)) == keys[:cohorts]
    assert len(chosen) == 3 * cohorts


def test_a_cohort_that_does_not_fit_is_trained_in_turns():
    queue = groups.queue(width=4, configs=10, seeds=1, folds=1)
    chosen = next_blocks([queue], slots=4, most=2, is_pruned=False)
    assert [some.tolist() for _, _, some in chosen] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_groups_of_one_batch_size_are_one_cohort():
    queues = [groups.queue(width=4, configs=4, seeds=1, folds=1, first=first) for first in (0, 4)]
    queues.append(groups.queue(width=4, configs=4, seeds=1, folds=1, first=8, batch_size=2))
    chosen = next_blocks(queues, slots=2, most=99, is_pruned=False)
    assert [key.batch_size for key, _, _ in chosen] == [8, 8]
    assert trials(chosen) == trials([(None, q, np.arange(4)) for q in queues[:2]])


@pytest.mark.parametrize("most", [4, 8, 99])
def test_pruned_configurations_begin_in_all_seeds_and_folds(most):
    """So that no trial of a configuration waits when others of it have been evaluated."""
    queue = groups.queue(width=4, configs=10, seeds=2, folds=2)
    chosen = next_blocks([queue], slots=2, most=most, is_pruned=True)
    begun = [queue.group.place(some) for _, _, some in chosen]
    members = {}
    for rows, seeds, folds in begun:
        for member in zip(rows.tolist(), seeds.tolist(), folds.tolist(), strict=True):
            members.setdefault(member[0], set()).add(member[1:])
    assert all(len(of_one) == 4 for of_one in members.values())
    assert len(members) == {4: 4, 8: 8, 99: 10}[most]


def test_the_first_unit_begins_though_it_may_not_fit():
    queue = groups.queue(width=4, configs=10, seeds=2, folds=2)
    assert len(next_blocks([queue], slots=2, most=1, is_pruned=True)) == 4


def test_nothing_begins_where_nothing_waits():
    queue = groups.queue(configs=2)
    queue.waiting.clear()
    assert next_blocks([queue], slots=2, most=9, is_pruned=False) == []
    assert next_blocks([queue], slots=2, most=9, is_pruned=True) == []
