"""The device program of derivatives: a block of trials, differentiated in their hyperparameters.

A trial is three functions of its hyperparameters h and a carry c: c₀ = begin(h), cₜ₊₁ = step(h, cₜ,
t), score = finish(h, c_T). Forward mode carries the tangents ∂cₜ/∂h along. Reverse mode keeps the
carry at the beginning of every segment, takes the adjoint ∂score/∂c_T, and goes back segment by
segment: it trains a segment again, with what its derivative needs, and pulls the adjoint through
it. The host calls one compiled function for each segment, so programs do not depend on the length
of training.

Every function is written for one trial and mapped over a block of fixed width.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.extend.core.primitives import conv_general_dilated_p, dot_general_p

from ..._core import trees
from ..._core.reuse import program
from ..._core.typing import Device, State, Tree
from ..tasks import Trial, trial_key
from ._lanes import Shared

_TRACED = 1_000_003
"""Updates of a segment that is traced only: an axis of this length is that of updates."""

Numbers: TypeAlias = dict[str, Any]
"""The hyperparameters that are differentiated, float32 arrays: all trials share them."""


T = TypeVar("T")


class Place(NamedTuple):
    """A trial of a configuration; in a block every leaf has the axis of trials first."""

    hyperparameters: dict[str, Any]  # traced ones that are not differentiated, `steps` among them
    seed: np.ndarray | jax.Array  # uint32
    fold: np.ndarray | jax.Array  # int32
    until: np.ndarray | jax.Array  # int32: updates made at the evaluation that counts
    since: np.ndarray | jax.Array  # int32: updates made at the evaluation before it


class Carry(NamedTuple):
    """What one update passes to the next."""

    state: State
    total: jax.Array  # float32: the training metric that is the score, summed since `since`
    diverged_at: jax.Array  # int32, -1 for never


class Ending(NamedTuple):
    """What the host is told of a trial beside its derivatives."""

    score: jax.Array  # float32
    diverged_at: jax.Array  # int32, -1 for never
    is_sound: jax.Array  # bool: score and weights are finite


@dataclasses.dataclass(frozen=True, eq=False)
class GradientProgram:
    """The differentiated trials of one group of configurations.

    Attributes:
        key: equal for programs of the same functions, for data and numbers of the same kind.
        trial: what is trained.
        metric: what is differentiated: the name in what `evaluate` returns, or of a training metric
            in what `step` returns.
        is_training_metric: which of the two.
        divergence_threshold: a loss above it is a divergence.
        are_weights_finite: whether weights that are not finite are a divergence.
        width: trials in a block.
        length: updates in a segment of reverse mode.
        is_ragged: whether some trial ends within a segment.
    """

    key: Hashable
    trial: Trial
    metric: str
    is_training_metric: bool
    divergence_threshold: float
    are_weights_finite: bool
    width: int
    length: int
    is_ragged: bool

    # One trial.

    def begin(self, numbers: Numbers, place: Place, shared: Shared) -> Carry:
        """Begin a trial, as a lane does."""
        state = self.trial.init(_key(place, shared), **_given(numbers, place))
        return Carry(state, jnp.zeros((), jnp.float32), jnp.full((), -1, jnp.int32))

    def step(
        self, numbers: Numbers, carry: Carry, place: Place, shared: Shared, t: jax.Array
    ) -> Carry:
        """Make update t."""
        state, metrics = self.trial.step(
            carry.state, shared.data, t, _key(place, shared), **_given(numbers, place)
        )
        total = carry.total
        if self.is_training_metric:
            value = jnp.asarray(metrics[self.metric], jnp.float32)
            total = total + jnp.where(t >= place.since, value, 0.0)
        loss = jnp.asarray(metrics.get("loss", 0.0), jnp.float32)
        is_healthy = jnp.isfinite(loss) & (loss <= self.divergence_threshold)
        is_first = ~is_healthy & (carry.diverged_at < 0)
        new = Carry(state, total, jnp.where(is_first, t, carry.diverged_at))
        if not self.is_ragged:
            return new
        goes = t < place.until
        return jax.tree.map(lambda x, y: jnp.where(goes, x, y), new, carry)

    def finish(
        self, numbers: Numbers, carry: Carry, place: Place, shared: Shared
    ) -> tuple[jax.Array, Ending]:
        """Score a trial."""
        if self.is_training_metric:
            score = carry.total / (place.until - place.since).astype(jnp.float32)
        else:
            score = self.evaluate(numbers, carry.state, place, shared.data)
        is_sound = jnp.isfinite(score)
        if self.are_weights_finite:
            is_sound &= trees.all_finite(self.trial.weights(carry.state))
        return score, Ending(score, carry.diverged_at, is_sound)

    def evaluate(self, numbers: Numbers, state: State, place: Place, data: Tree) -> jax.Array:
        """Return the metric that an evaluation returns, float32."""
        values = self.trial.evaluate(state, data, **_given(numbers, place))
        return jnp.asarray(values[self.metric], jnp.float32)

    # A block, which the host calls.

    def first(self, numbers: Numbers, places: Place, shared: Shared) -> tuple[Carry, jax.Array]:
        """Begin a block; return also the scores before any update, NaN for a training metric."""

        def one(place: Place) -> tuple[Carry, jax.Array]:
            carry = self.begin(numbers, place, shared)
            if self.is_training_metric:
                return carry, jnp.full((), jnp.nan, jnp.float32)
            return carry, self.evaluate(numbers, carry.state, place, shared.data)

        return self._each(one)(places)

    def advance(
        self,
        numbers: Numbers,
        carries: Carry,
        places: Place,
        shared: Shared,
        begin: jax.Array,
        end: jax.Array,
    ) -> Carry:
        """Make updates begin … end - 1."""
        each = self._each(lambda carry, place, t: self.step(numbers, carry, place, shared, t), None)
        return jax.lax.fori_loop(begin, end, lambda t, carry: each(carry, places, t), carries)

    def adjoint(
        self, numbers: Numbers, carries: Carry, places: Place, shared: Shared
    ) -> tuple[Ending, Numbers, Carry]:
        """Score a block; return the derivatives in the hyperparameters and in the carry."""

        def one(carry: Carry, place: Place) -> tuple[Ending, Numbers, Carry]:
            floats, others = trees.divided(carry)

            def score(numbers: Numbers, floats: Carry) -> tuple[jax.Array, Ending]:
                return self.finish(numbers, trees.united(floats, others), place, shared)

            value, pull, ending = jax.vjp(score, numbers, floats, has_aux=True)
            return ending, *pull(jnp.ones_like(value))

        return self._each(one)(carries, places)

    def back(
        self,
        numbers: Numbers,
        carries: Carry,
        places: Place,
        shared: Shared,
        begin: jax.Array,
        gradients: Numbers,
        adjoints: Carry,
    ) -> tuple[Numbers, Carry]:
        """Pull adjoints through the segment that begins with update `begin`."""

        def one(
            carry: Carry, place: Place, gradient: Numbers, adjoint: Carry
        ) -> tuple[Numbers, Carry]:
            floats, others = trees.divided(carry)
            segment = functools.partial(self.segment, others, place, shared, begin)
            _, pull = jax.vjp(segment, numbers, floats)
            own, adjoint = pull(adjoint)
            return jax.tree.map(jnp.add, gradient, own), adjoint

        return self._each(one)(carries, places, gradients, adjoints)

    def segment(
        self,
        others: Carry,
        place: Place,
        shared: Shared,
        begin: jax.Array,
        numbers: Numbers,
        floats: Carry,
    ) -> Carry:
        """Train a segment: from the floating leaves of a carry to those of a later one.

        Of an update the carry and its products of matrices are kept for the derivative. The rest
        is computed again: what goes through memory costs more than arithmetic does.
        """

        @functools.partial(jax.checkpoint, policy=_is_kept, prevent_cse=False)
        def step(numbers: Numbers, carry: Carry, i: jax.Array) -> Carry:
            return self.step(numbers, carry, place, shared, begin + i)

        carry = trees.united(floats, others)
        steps = jnp.arange(self.length, dtype=jnp.int32)
        carry, _ = jax.lax.scan(lambda carry, i: (step(numbers, carry, i), None), carry, steps)
        return trees.divided(carry)[0]

    def back_to_init(
        self, numbers: Numbers, places: Place, shared: Shared, gradients: Numbers, adjoints: Carry
    ) -> Numbers:
        """Pull the adjoints of the first carries through `init`."""

        def one(place: Place, gradient: Numbers, adjoint: Carry) -> Numbers:
            _, pull = jax.vjp(lambda x: trees.divided(self.begin(x, place, shared))[0], numbers)
            return jax.tree.map(jnp.add, gradient, pull(adjoint)[0])

        return self._each(one)(places, gradients, adjoints)

    def first_tangents(self, numbers: Numbers, places: Place, shared: Shared) -> Carry:
        """Return the tangents of the first carries, the axis of directions after that of trials."""

        def one(place: Place) -> Carry:
            _, push = jax.linearize(
                lambda x: trees.divided(self.begin(x, place, shared))[0], numbers
            )
            return jax.vmap(push)(_directions(numbers))

        return self._each(one)(places)

    def advance_tangents(
        self,
        numbers: Numbers,
        carries: Carry,
        tangents: Carry,
        places: Place,
        shared: Shared,
        begin: jax.Array,
        end: jax.Array,
    ) -> tuple[Carry, Carry]:
        """Make updates begin … end - 1, with tangents."""
        directions = _directions(numbers)

        def one(carry: Carry, tangent: Carry, place: Place, t: jax.Array) -> tuple[Carry, Carry]:
            floats, others = trees.divided(carry)

            def run(numbers: Numbers, floats: Carry) -> tuple[Carry, Carry]:
                carry = trees.united(floats, others)
                return trees.divided(self.step(numbers, carry, place, shared, t))

            floats, push, others = jax.linearize(run, numbers, floats, has_aux=True)
            return trees.united(floats, others), jax.vmap(push)(directions, tangent)

        each = self._each(one, None)
        return jax.lax.fori_loop(
            begin, end, lambda t, both: each(*both, places, t), (carries, tangents)
        )

    def finish_tangents(
        self, numbers: Numbers, carries: Carry, tangents: Carry, places: Place, shared: Shared
    ) -> tuple[Ending, Numbers]:
        """Score a block; return the derivatives in the hyperparameters."""

        def one(carry: Carry, tangent: Carry, place: Place) -> tuple[Ending, Numbers]:
            floats, others = trees.divided(carry)

            def score(numbers: Numbers, floats: Carry) -> tuple[jax.Array, Ending]:
                return self.finish(numbers, trees.united(floats, others), place, shared)

            _, push, ending = jax.linearize(score, numbers, floats, has_aux=True)
            return ending, _unravelled(jax.vmap(push)(_directions(numbers), tangent), numbers)

        return self._each(one)(carries, tangents, places)

    def residual_bytes(self, numbers: Numbers, places: Place, shared: Shared) -> tuple[int, int]:
        """Return the bytes of a carry, and of what an update keeps for its derivative; by tracing.

        For one trial. What all updates of a segment share counts for none of them.
        """
        place = jax.tree.map(lambda x: x[0], places)
        carry = jax.eval_shape(self.begin, numbers, place, shared)
        floats, others = trees.divided(carry)

        segment = dataclasses.replace(self, length=_TRACED).segment

        def pull(
            others: Carry, numbers: Numbers, floats: Carry, shared: Shared
        ) -> Callable[..., tuple[Numbers, Carry]]:
            begin = jnp.zeros((), jnp.int32)
            run = functools.partial(segment, others, place, shared, begin)
            return jax.vjp(run, numbers, floats)[1]

        kept = jax.tree.leaves(jax.eval_shape(pull, others, numbers, floats, shared))
        of_updates = [x for x in kept if x.shape[:1] == (_TRACED,)]
        return _bytes(carry), max(_bytes(of_updates) // _TRACED, 1)

    def is_flat(self, numbers: Numbers, places: Place, shared: Shared) -> bool:
        """Return whether the score does not move with the state; found by tracing.

        Then its derivative is zero wherever it has one, as that of an error rate.
        """
        place = jax.tree.map(lambda x: x[0], places)
        carry = jax.eval_shape(self.begin, numbers, place, shared)
        floats, others = trees.divided(carry.state)

        def value(floats: State, others: State, shared: Shared) -> jax.Array:
            state = trees.united(floats, others)
            if not self.is_training_metric:
                return self.evaluate(numbers, state, place, shared.data)
            t, key = jnp.zeros((), jnp.int32), _key(place, shared)
            return self.trial.step(state, shared.data, t, key, **_given(numbers, place))[1][
                self.metric
            ]

        def derivative(tangents: State, floats: State, others: State, shared: Shared) -> jax.Array:
            return jax.jvp(lambda x: value(x, others, shared), (floats,), (tangents,))[1]

        program = jax.make_jaxpr(derivative)(floats, floats, others, shared).jaxpr
        moved = set(program.invars[: len(jax.tree.leaves(floats))])
        for equation in program.eqns:
            if any(x in moved for x in equation.invars if isinstance(x, core.Var)):
                moved |= set(equation.outvars)
        return not any(x in moved for x in program.outvars if isinstance(x, core.Var))

    def compiled(self, name: str, device: Device, *arguments: object) -> jax.stages.Compiled:
        """Return one of the functions of a block, compiled for arguments like these."""
        function: Callable[..., Any] = getattr(self, name)
        return program(("gradient", name, self.reuse_key), function, device, *arguments)

    @functools.cached_property
    def reuse_key(self) -> Hashable:
        """What the functions depend on, shapes of their arguments apart."""
        own = (self.metric, self.is_training_metric, self.width, self.length, self.is_ragged)
        return self.key, own

    def _each(self, function: Callable[..., T], *last: None) -> Callable[..., T]:
        """Map a function of one trial over a block; arguments at the end may be shared (None).

        A single trial runs as it is: a vmap of one makes convolutions slower.
        """

        def mapped(*arguments: object) -> T:
            axes = (*(0 for _ in arguments[len(last) :]), *last)
            if self.width > 1:
                return jax.vmap(function, axes)(*arguments)
            pairs = zip(arguments, axes, strict=True)
            own = (x if a is None else jax.tree.map(lambda y: y[0], x) for x, a in pairs)
            return jax.tree.map(lambda x: x[None], function(*own))

        return mapped


def _is_kept(primitive: object, *_: object, **__: object) -> bool:
    return primitive in (dot_general_p, conv_general_dilated_p)


def _key(place: Place, shared: Shared) -> jax.Array:
    return trial_key(shared.key, place.seed, place.fold)


def _given(numbers: Numbers, place: Place) -> dict[str, Any]:
    return {**place.hyperparameters, **numbers, "fold": place.fold}


def _bytes(tree: Tree) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _directions(numbers: Numbers) -> Numbers:
    """Return a direction for each element of the numbers: dict of (directions, …)."""
    sizes = [x.size for x in numbers.values()]
    every = jnp.split(jnp.eye(sum(sizes), dtype=jnp.float32), _ends(sizes), axis=1)
    return {
        name: part.reshape(-1, *x.shape)
        for (name, x), part in zip(numbers.items(), every, strict=True)
    }


def _unravelled(derivatives: jax.Array, numbers: Mapping[str, jax.Array]) -> Numbers:
    """Return derivatives along all directions, (directions,), as a dict like the numbers."""
    parts = jnp.split(derivatives, _ends([x.size for x in numbers.values()]))
    return {
        name: part.reshape(x.shape) for (name, x), part in zip(numbers.items(), parts, strict=True)
    }


def _ends(sizes: list[int]) -> list[int]:
    """Return where each part but the last ends."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return ends[:-1]
