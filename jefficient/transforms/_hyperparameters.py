"""The hyperparameters in force, read from a state."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
from jax.tree_util import DictKey, GetAttrKey

from .._core.typing import State


class Entry(NamedTuple):
    """One number of one transform; `path` is the place of the transform's state."""

    path: tuple
    transform: str
    name: str
    value: jax.Array


def hyperparameters(state: State) -> dict[str, jax.Array]:
    """Read the values in force at the last update: learning rate, decays, momentum and all others.

    Args:
        state: the state of any composition of transforms (or a tree that holds it, like a
            `TrainState`), from `init` or `update`, inside jit or outside.

    Returns:
        ``{address: value}``, in the order of the chain; each value a scalar, float32 at least (with
        a leading axis where the state has one). The address is ``transform.number``, as in
        ``adam.learning_rate``. Labels of `partition` and names of `named_chain` come before it:
        ``kernel.adamw.weight_decay``. Where that is not unique, so does the place in the chain:
        ``0.l2_decay.strength`` and ``2.l2_decay.strength``. Transforms that report nothing (those
        of optax) have no entry. This is a report: writing into it changes nothing.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> schedule = jf.exponential_decay(0.5, 1, 0.5)
        >>> tx = jf.chain(jf.clip_by_global_norm(1.0), jf.sgd(schedule, momentum=0.75))
        >>> params = jnp.ones(3)
        >>> state = tx.init(params)
        >>> for _ in range(2):
        ...     updates, state = tx.update(params, state, params)
        >>> for address, value in jf.hyperparameters(state).items():
        ...     print(address, float(value))
        clip_by_global_norm.max_norm 1.0
        sgd.momentum 0.75
        sgd.learning_rate 0.25
    """
    found = list(entries(state))
    addresses = _addresses([(e.path, e.transform, e.name) for e in found])
    return {address: e.value for address, e in zip(addresses, found, strict=True)}


def entries(state: State, above: tuple = ()) -> Iterator[Entry]:
    """Yield every number that `state` reports in a field `hyperparameters`, in tree order."""
    for path, node in jax.tree_util.tree_leaves_with_path(state, is_leaf=_reports):
        if _reports(node):
            for transform, numbers in node.hyperparameters.items():
                for name, value in numbers.items():
                    yield Entry(above + path, transform, name, value)
            for field in node._fields:  # the state of an inner transform
                if field != "hyperparameters":
                    yield from entries(getattr(node, field), (*above, *path, GetAttrKey(field)))


def _reports(node: object) -> bool:
    """Tell whether a node is a state of ours that reports: no tree of parameters passes for one."""
    is_ours = isinstance(node, tuple) and type(node).__module__.startswith("jefficient.transforms.")
    return is_ours and hasattr(node, "hyperparameters")


def _addresses(found: Sequence[tuple[tuple, str, str]]) -> list[str]:
    """Return the shortest unique address of each (path, transform, name).

    Places in chains are added, from the outermost inwards, only where needed.
    """
    addresses = [""] * len(found)
    waiting = list(range(len(found)))
    deepest = max((len(path) for path, _, _ in found), default=0)
    for depth in range(deepest + 1):
        same = defaultdict(list)
        for i in waiting:
            path, transform, name = found[i]
            same[".".join([*_labels(path, depth), transform, name])].append(i)
        waiting = []
        for address, group in same.items():
            if len(group) == 1 and address not in addresses:
                addresses[group[0]] = address
            else:
                waiting += group
    for i in waiting:  # told apart by nothing but attributes, or by dots within labels
        path, transform, name = found[i]
        place = jax.tree_util.keystr(path, simple=True, separator=".")
        address = f"{place}.{transform}.{name}"
        taken = addresses.count(address)
        while address in addresses:
            taken += 1
            address = f"{address}#{taken}"
        addresses[i] = address
    return addresses


def _labels(path: tuple, depth: int) -> Iterator[str]:
    """Yield labels (keys of dicts) and the first `depth` places in chains, but no attributes."""
    for key in path:
        if isinstance(key, DictKey):
            yield str(key.key)
        elif not isinstance(key, GetAttrKey) and depth > 0:
            depth -= 1
            yield jax.tree_util.keystr((key,), simple=True)
