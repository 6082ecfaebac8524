"""Sparse learning: weights that are zero at every step, and which ones, in the state."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.errors import ArgumentError
from .._core.typing import Params, Scalar, ScalarOrSchedule, State, Tree, Updates
from . import _base
from ._apply_updates import apply_updates
from ._extra_args import accepting
from ._masked import whole_mask
from ._prune_masks import Method, Plan, Scope, key_of, renewed


class PruneState(NamedTuple):
    """Which weights are kept, and the state of the inner transform.

    `count` (int32): updates made; `key` (uint32): what random masks are drawn with; `kept`: a tree
    of bool arrays like the parameters, False where a weight is zero; `dense`: with `ste` the
    weights that are trained, a tree like the parameters, else ().
    """

    count: jax.Array
    key: jax.Array
    kept: Tree
    dense: Params
    inner_state: State
    hyperparameters: _base.Report


def prune(
    tx: optax.GradientTransformation,
    sparsity: ScalarOrSchedule,
    *,
    method: Method = "magnitude",
    begin: Scalar = 0,
    end: Scalar | None = None,
    every: Scalar = 1,
    drop_fraction: Scalar = 0.3,
    seed: Scalar = 0,
    scope: Scope = "global",
    mask: Tree | Callable[[Params], Tree] | None = None,
    ste: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Train with `tx`, and keep a share of the weights at exactly zero.

    A mask m says which weights are kept; where it is 0, θ + u is exactly 0 and `tx` sees a gradient
    of 0. With g the gradient, dense, and t the updates made:

        u = tx(m·g),  u = -θ where m is 0

    The mask is renewed at t = begin, begin + every, …, and last at `end`; before it all weights are
    kept, and after it those of the last mask.
    Of the N weights that may be pruned, N - round(sparsity·N) are then kept, exactly:

    - ``"magnitude"``: those of largest |θ + u|. What is pruned stays so while the sparsity rises.
    - ``"random"``: drawn at random, once: masks of a higher sparsity are parts of those of a lower
      one.
    - ``"rigl"``: drawn at random at t = begin. Later, n = round(f·kept) kept weights of smallest
      |θ| are dropped, and those of largest |g| among the weights that are then zero are grown.
    - ``"set"``: as ``"rigl"``, but what is grown is drawn at random.

    f = drop_fraction/2 · (1 + cos(π·(t - begin)/(end - begin))), and `drop_fraction` without an
    end. A weight that is grown begins at 0; one that is dropped and grown at once keeps its value.
    In steps in which ``"rigl"`` and ``"set"`` exchange weights `tx` makes no update.

    With `ste`, the straight-through estimator, dense weights z are trained in the state, and the
    parameters are the masked ones, θ = m·z. The gradient at θ is taken for that at z, dense, so a
    weight that is pruned goes on and may come back:

        z ← z + tx(g),  u = m·z - θ

    Args:
        tx: a transform of jefficient or optax, that is, a whole optimizer.
        sparsity: share of zeros, 0 <= sparsity <= 1: a number, traced or not, or a schedule of the
            updates made: ``polynomial_schedule(0, 0.9, 3, n, begin)`` is the cubic one of Zhu and
            Gupta. ``round(sparsity·N)`` is in float32, halves to even.
        method: which weights are kept. Static.
        begin: the update after which weights are zero, a whole number, 0 or more; may be traced.
        end: the last update that may renew the mask, a whole number, at least `begin`; may be
            traced. None for no end. Whether it is None is static.
        every: updates from one mask to the next, a whole number, 1 or more, and 2 or more for
            ``"rigl"`` and ``"set"``; may be traced.
        drop_fraction: share of the kept weights that ``"rigl"`` and ``"set"`` replace, 0 <=
            drop_fraction <= 1; may be traced.
        seed: of random masks, a whole number, 0 or more; may be traced. They also depend on the
            initial parameters, so that trials of a sweep have masks of their own.
        scope: whether to count over all weights, ``"global"``, or in each leaf by itself,
            ``"layer"``. Static.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            may be pruned, such as ``jf.where_name("kernel")``. All by default, biases too. Static.
        ste: whether to train dense weights behind the mask, by ``"magnitude"`` or ``"random"``;
            ``every=1`` is usual then. Static.

    Returns:
        The transform; its updates have the dtypes of the parameters, so that θ + u is exactly zero
        where it should be. Its state has one bool for each weight, and with `ste` one more tree of
        parameters. It reports its numbers, and
        `sparsity` as it is in force. Renewing the mask takes about forty passes over the weights;
        under vmap it is worked out for all lanes in the updates in which one of them is due.
        Derivatives in `sparsity` are zero: the count of weights moves in steps. Put nothing after
        it in a chain: that would move the zeros.

    Raises:
        ArgumentTypeError: where `tx` is not a transform; by `init`, where the mask holds something
            other than bools.
        ArgumentError: where a number is out of range or not a scalar, `end` is before `begin`,
            `method` or `scope` is none of these, or `ste` is asked of a method that exchanges
            weights; by `update`, where it gets no parameters.

    References:
        Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878 (magnitude, the schedule); Mocanu et
        al. 2018, https://arxiv.org/abs/1707.04780 (SET, in the form that Evci et al. compare with);
        Evci et al. 2020, https://arxiv.org/abs/1911.11134, algorithm 1 (RigL); Bengio, Léonard and
        Courville 2013, https://arxiv.org/abs/1308.3432, section 4 (the straight-through estimator).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.prune(jf.sgd(0.5), sparsity=0.5)
        >>> params = jnp.array([1.0, -0.25, 0.5, 2.0])
        >>> state = tx.init(params)
        >>> updates, state = tx.update(jnp.array([1.0, 1.0, 1.0, 0.0]), state, params)
        >>> jf.apply_updates(params, updates).tolist()  # 0.5, -0.75, 0.0, 2.0 before pruning
        [0.0, -0.75, 0.0, 2.0]
    """
    where = "jf.prune"
    _base.check_transform(where, tx, "tx")
    exchanges = _check_method(where, method, scope, ste)
    if not callable(sparsity):
        checks.check_share(where, sparsity=sparsity)
    checks.check_share(where, drop_fraction=drop_fraction)
    checks.check_whole(where, 0, seed=seed)
    dates = _Dates(begin, end, every)
    dates.check(where, least=2 if exchanges else 1)
    tx = accepting(tx)
    numbers = {"begin": begin, "every": every, "seed": seed}
    if end is not None:
        numbers["end"] = end
    if exchanges:
        numbers["drop_fraction"] = drop_fraction

    def init(params: Params) -> PruneState:
        chosen = whole_mask(where, mask, params)
        trees.check_floating(where, jax.tree.map(lambda m, p: p if m else None, chosen, params))
        kept = jax.tree.map(lambda p: jnp.ones(jnp.shape(p), bool), params)
        t = _base.first_count()
        now = _base.values_at(where, {"sparsity": sparsity}, t)
        key = jax.random.key_data(key_of(seed, params))
        dense = jax.tree.map(jnp.array, params) if ste else ()  # a copy: a state may be donated
        report = _base.report(where, **now, **numbers)
        return PruneState(t, key, kept, dense, tx.init(params), report)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, PruneState]:
        _base.check_state(where, PruneState, state)
        _base.check_gradients(where, updates, params)
        _base.check_params(where, params)
        t = state.count
        now = _base.values_at(where, {"sparsity": sparsity}, t)
        trained = state.dense if ste else params
        is_due = dates.is_due(t)
        u, inner_state = inner_update(is_due, updates, state, trained, extra_args)
        values = apply_updates(trained, u)

        chosen = whole_mask(where, mask, params)
        share = dates.share(drop_fraction, t)
        plan = Plan(now["sparsity"], share, t == numerics.whole(begin))
        # Dense weights compete for the mask, whether they are in it or not.
        before = jax.tree.map(jnp.ones_like, state.kept) if ste else state.kept
        new_mask = partial(renewed, method, scope, chosen)
        operands = plan, state.key, t, updates, values, before
        kept = _base.where_due(is_due, new_mask, state.kept, *operands)

        if ste:
            (u,) = trees.map_leaves(where, _to_dense, u, reads=(params, values), like_params=True)
        (u,) = trees.map_leaves(where, zeroed, u, reads=(params, kept), like_params=True)
        dense = values if ste else ()
        report = _base.report(where, **now, **numbers)
        return u, PruneState(_base.next_count(t), state.key, kept, dense, inner_state, report)

    def inner_update(
        is_due: jax.Array,
        grads: Updates,
        state: PruneState,
        trained: Params,
        extra_args: dict[str, object],
    ) -> tuple[Updates, State]:
        """Update by `tx`, which pauses where weights are exchanged."""
        if not ste:
            (grads,) = trees.map_leaves(where, _without, grads, reads=(state.kept,))

        def step() -> tuple[Updates, State]:
            return tx.update(grads, state.inner_state, trained, **extra_args)

        if not exchanges:
            return step()
        # At the end nothing is exchanged.
        pauses = is_due if end is None else is_due & (state.count < numerics.whole(end))
        return _base.either(where, ~pauses, step, state.inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


class _Dates(NamedTuple):
    """The updates that renew the mask: begin, begin + every, …, and `end`."""

    begin: Scalar
    end: Scalar | None
    every: Scalar

    def check(self, where: str, least: int) -> None:
        """Check the numbers; there are `least` updates at least from one mask to the next."""
        checks.check_whole(where, least, every=self.every)
        checks.check_whole(where, 0, begin=self.begin)
        if self.end is None:
            return
        checks.check_whole(where, 0, end=self.end)
        are_known = not checks.is_traced(self.begin) and not checks.is_traced(self.end)
        if are_known and self.end < self.begin:
            raise ArgumentError(
                f"{where}: begin <= end must hold, got begin={self.begin}, end={self.end}. Nothing "
                f"would be pruned."
            )

    def is_due(self, t: jax.Array) -> jax.Array:
        """Tell whether update t renews the mask."""
        since = t - numerics.whole(self.begin)
        is_multiple = since % jnp.maximum(numerics.whole(self.every), 1) == 0
        if self.end is None:
            return (since >= 0) & is_multiple
        left = numerics.whole(self.end) - t
        # At the end too, so that a schedule of sparsities arrives where it ends.
        return (since >= 0) & (left >= 0) & (is_multiple | (left == 0))

    def share(self, drop_fraction: Scalar, t: jax.Array) -> jax.Array:
        """Return the share of the kept weights that is replaced at t: Evci et al., section 3."""
        share = numerics.scalar(drop_fraction)
        if self.end is None:
            return share
        since = (t - numerics.whole(self.begin)).astype(share.dtype)
        length = numerics.whole(self.end) - numerics.whole(self.begin)
        length = jnp.maximum(length, 1).astype(share.dtype)
        return share / 2 * (1 + jnp.cos(jnp.pi * since / length))


def _check_method(where: str, method: Method, scope: Scope, ste: bool) -> bool:
    """Check what is static; return whether the method exchanges weights."""
    checks.one_of(where, "method", method, get_args(Method))
    checks.one_of(where, "scope", scope, get_args(Scope))
    checks.check_flag(where, ste=ste)
    exchanges = method in ("set", "rigl")
    if ste and exchanges:
        raise ArgumentError(
            f"{where}: ste must go with method 'magnitude' or 'random', got method={method!r}."
        )
    return exchanges


def zeroed(u: jax.Array, p: jax.Array, kept: jax.Array) -> tuple[jax.Array]:
    """Bring θ + u to exactly zero where a weight is not kept (`kept` is 1.0 or 0.0)."""
    return (jnp.where(kept != 0, u, -p),)


def _to_dense(_: jax.Array, p: jax.Array, z: jax.Array) -> tuple[jax.Array]:
    """Bring θ + u to the dense weight z, whatever the update of z was."""
    return (z - p,)


def _without(g: jax.Array, kept: jax.Array) -> tuple[jax.Array]:
    return (jnp.where(kept != 0, g, 0),)
