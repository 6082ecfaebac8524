"""What trials start from: what `start` of `jf.sweep` says, checked, for every trial."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.serialization import digest, digest_of
from ..._core.typing import Params, State, Tree
from ...results import Result, TrialState, as_column
from ...spaces import Space
from ..programs import Group, Start
from ..tasks import WHERE

Place = tuple[int, int, int]
"""(config, seed, fold)."""


_NUMBERS = "biufcV"
"""Kinds of dtypes that arrays of jax have; V are bfloat16 and the like."""


@dataclasses.dataclass(frozen=True, eq=False)
class Starts:
    """What trials start from, by configuration, seed and fold; those that are not here by `init`.

    Trials that start from the same object share it.
    """

    of: Mapping[Place, Start]

    def subset(self, configs: Iterable[int]) -> "Starts":
        """Return those of some configurations, numbered anew in this order."""
        new_of = {int(config): i for i, config in enumerate(configs)}
        return Starts({(new_of[c], s, f): x for (c, s, f), x in self.of.items() if c in new_of})

    def digests(self, count: int, seeds: int) -> list[str]:
        """Return a text for each configuration, equal if its first seeds start from the same."""
        texts = [""] * count
        for (config, seed, fold), start in sorted(self.of.items(), key=lambda x: x[0]):
            if seed < seeds:
                texts[config] += f"{seed} {fold} {self._digest_by_id[id(start)]};"
        return [text and digest(text.encode()) for text in texts]

    @functools.cached_property
    def digest(self) -> str:
        """A text that is equal if all trials start from the same."""
        each = sorted((place, self._digest_by_id[id(start)]) for place, start in self.of.items())
        return digest(str(each).encode())

    @functools.cached_property
    def _digest_by_id(self) -> dict[int, str]:
        distinct = {id(start): start for start in self.of.values()}
        return {key: digest_of(start) for key, start in distinct.items()}


def starts_of(start: object, space: Space, seeds: int, folds: int) -> Starts | None:
    """Return what every trial starts from; see `start` of `jf.sweep`."""
    if start is None or isinstance(start, Starts):
        return start
    find = _finder(start, space)
    known: dict[int, tuple[Any, Start]] = {}
    found: dict[Place, Start] = {}
    for place in itertools.product(range(len(space)), range(seeds), range(folds)):
        given = find(*place)
        if given is None:
            continue
        if id(given) not in known:
            known[id(given)] = given, _as_start(given)  # the object is held, so its id stays its
        found[place] = known[id(given)][1]
    return Starts(found) if found else None


def _finder(start: Any, space: Space) -> Callable[[int, int, int], Any]:
    """Return the function ``(config, seed, fold) -> state, weights or None``."""
    if isinstance(start, Result):
        partners = _partners(space, start)
        return lambda config, seed, fold: start.state(partners[config], seed, fold)
    is_function = callable(start) and jax.tree_util.all_leaves([start])  # no tree, as modules are
    return start if is_function else lambda *_: start


def _partners(space: Space, result: Result) -> list[int]:
    """Return for each configuration the one of a result that has the same hyperparameters.

    Those that only one of the two has, and `steps`, are left aside.
    """
    count = result.dataset.sizes["config"]
    names = [name for name in space.names if name in result.space and name != "steps"]
    theirs = [_texts(result.dataset[name].values) for name in names]
    mine = [_texts(as_column(space.labels(name))) for name in names]
    found: dict[tuple, list[int]] = {}
    for config in range(count):
        found.setdefault(tuple(x[config] for x in theirs), []).append(config)

    partners = []
    for i in range(len(space)):
        there = found.get(tuple(x[i] for x in mine), [])
        if len(there) != 1:
            raise ArgumentError(
                f"{WHERE}: each configuration must start from one configuration of start, got "
                f"{space[i]}, for which it has {there} by {names}. Give a function (config, seed, "
                f"fold) -> result.state(…)."
            )
        partners += there
    return partners


def _texts(column: np.ndarray) -> list[str]:
    """Return a text for each label, one for 1 and 1.0: columns hold either."""
    is_number = np.issubdtype(column.dtype, np.number)
    return [str(x) for x in (column.astype(float) if is_number else column).tolist()]


def _as_start(given: object) -> Start:
    """Return a state, or weights, as NumPy arrays of the dtypes that programs have."""
    if not isinstance(given, TrialState):
        return Start(np.int32(0), weights=jax.tree.map(_array, given))
    step = given.step
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0:
        raise ArgumentTypeError(
            f"{WHERE}: the step of a jf.TrialState must be a whole number from 0, got {step!r}."
        )
    return Start(np.int32(step), state=jax.tree.map(_array, given.state))


def _array(x: object) -> np.ndarray | jax.Array:
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return x
    host = np.asarray(x)
    if host.dtype.kind not in _NUMBERS:
        raise ArgumentTypeError(
            f"{WHERE}: start must be a jf.TrialState, a jf.Result, weights as arrays, or a "
            f"function of (config, seed, fold) that returns one of them, got {x!r}."
        )
    return host.astype(jax.dtypes.canonicalize_dtype(host.dtype), copy=False)


def started_groups(groups: list[Group], starts: Starts) -> list[Group]:
    """Return groups whose trials have the updates behind them that their starts have.

    Raises:
        ArgumentError: where a trial would have no update left, or seeds of a configuration differ.
    """
    started = []
    for group in groups:
        before = np.zeros((len(group.configs), group.seeds, group.folds), np.int32)
        for row, seed, fold in np.ndindex(*before.shape):
            start = starts.of.get((int(group.configs[row]), seed, fold))
            before[row, seed, fold] = 0 if start is None else start.step
        _check_before(group, before)
        started.append(group.started(before))
    return started


def _check_before(group: Group, before: np.ndarray) -> None:
    is_over = before >= group.steps[:, None]
    if is_over.any():
        row, seed, fold = np.argwhere(is_over)[0]
        raise ArgumentError(
            f"{WHERE}: a trial must have more updates than the state that it starts from, got "
            f"steps={group.steps[row, fold]} for configuration {group.configs[row]}, whose start "
            f"has made {before[row, seed, fold]}."
        )
    differs = before != before[:, :1]
    if differs.any():
        row, seed, fold = np.argwhere(differs)[0]
        raise ArgumentError(
            f"{WHERE}: the seeds of a configuration must start after the same updates, since they "
            f"are evaluated together, got {before[row, 0, fold]} (seed 0) and "
            f"{before[row, seed, fold]} (seed {seed}) for configuration {group.configs[row]}."
        )


def check_starts(
    starts: Starts,
    state_like: Callable[[int], State],
    weights_like: Callable[[int], Params] | None,
    steps_made: Callable[[State], int | None],
    program_of: Mapping[int, int],
) -> None:
    """Check that what trials start from is like what they begin with otherwise.

    Args:
        starts: what they start from.
        state_like: from a configuration to its state as shapes and dtypes.
        weights_like: the same for its weights; None where a trial cannot begin with weights.
        steps_made: from a state to the updates that it says were made, None if it does not say.
        program_of: from a configuration to the number of its program.

    Raises:
        ArgumentError: where a leaf is other, which it names.
        ArgumentTypeError: where a trial cannot begin with weights.
    """
    checked = set()
    for (config, _, _), start in starts.of.items():
        key = id(start), program_of[config]
        if key in checked or not start.is_held:
            continue
        checked.add(key)
        if start.weights is None:
            _check_like("the state", start.state, state_like(config), config)
            own = steps_made(start.state)
            if own is not None and own != start.step:
                raise ArgumentError(
                    f"{WHERE}: the step of a jf.TrialState must be that of its state, got "
                    f"step={start.step} and {own}."
                )
        elif weights_like is None:
            raise ArgumentTypeError(
                f"{WHERE}: a jf.Trial must start from a jf.TrialState, got weights. Write "
                f"jf.TrialState(0, state)."
            )
        else:
            _check_like("the weights", start.weights, weights_like(config), config)


def _check_like(what: str, given: Tree, expected: Tree, config: int) -> None:
    """Refuse a tree that is other than expected; say which leaf."""

    def kinds(tree: Tree) -> dict[str, str]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {trees.name_of(path): f"{x.dtype.name}{list(x.shape)}" for path, x in leaves}

    if trees.kind_of(given) == trees.kind_of(expected):
        return
    got, wanted = kinds(given), kinds(expected)
    names = [name for name in {**wanted, **got} if got.get(name) != wanted.get(name)]
    differences = [
        f"{name} is {got.get(name, 'missing')}, must be {wanted.get(name, 'absent')}"
        for name in names[:3]
    ]
    if not names:
        differences = [f"{jax.tree.structure(given)}, not {jax.tree.structure(expected)}"]
    raise ArgumentError(
        f"{WHERE}: {what} that configuration {config} starts from must have the leaves that task "
        f"and optimizer give it, got others: {'; '.join(differences)}."
    )
