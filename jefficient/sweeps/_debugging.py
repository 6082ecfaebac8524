"""JAX's debugging tools in a sweep: what they ask for is computed op by op, beside the engine."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .._core import trees
from .._core.debugging import DebugTools
from .._core.typing import Params, State, Tree
from ..results import Status
from .data import EpochOrder
from .planning import SweepSpec, order_key
from .tasks import NO_PROBE, WHERE, annotate_errors, trial_key

T = TypeVar("T")


class Debugger:
    """Raises where the user's functions compute NaN, and shows them values instead of tracers.

    It runs trials alone and op by op, so that tracebacks name the user's line.
    """

    def __init__(self, spec: SweepSpec, tools: DebugTools):
        self._spec = spec
        self._tools = tools
        self._seen: set[tuple[int, int, int]] = set()

    def begin(self) -> None:
        """Under ``jax_disable_jit``, run one update of the first trial of every program."""
        if not self._tools.no_jit:
            return
        for group in self._spec.groups:
            trial = _LoneTrial.of(self._spec, int(group.configs[0]), 0, 0)
            with trial.annotated("one update", "jax_disable_jit"), self._tools.op_by_op():
                trial.evaluate(trial.step(trial.init(), 0)[0])

    def check(self, status: np.ndarray, diverged_at: np.ndarray) -> None:
        """Under ``jax_debug_nans`` or ``jax_debug_infs``, train again what has diverged.

        Args:
            status: of each trial, int array (configurations, seeds, folds).
            diverged_at: updates that it had made, of the same shape.

        Raises:
            FloatingPointError: JAX's, at the line that computes NaN or inf.
        """
        if not (self._tools.nans or self._tools.infs):
            return
        for place in np.argwhere(status == Status.DIVERGED).tolist():
            config, seed, fold = place
            if (config, seed, fold) not in self._seen:
                self._seen.add((config, seed, fold))
                self._train_again(config, seed, fold, int(diverged_at[config, seed, fold]))

    def _train_again(self, config: int, seed: int, fold: int, diverged_at: int) -> None:
        trial = _LoneTrial.of(self._spec, config, seed, fold)
        name = "jax_debug_nans" if self._tools.nans else "jax_debug_infs"

        def op_by_op(what: str, run: Callable[[], T]) -> T:
            with trial.annotated(what, name), self._tools.op_by_op():
                return run()

        # State may begin with inf (the best value so far), which is no fault.
        before_training = dataclasses.replace(self._tools, infs=False)
        with trial.annotated("init", name), before_training.op_by_op():
            state = trial.init()

        step = jax.jit(trial.of_batch)
        for t in range(trial.begin, min(diverged_at + 1, trial.steps)):
            batch = trial.data_at(t)
            after, metrics = step(state, batch, jnp.int32(t))
            if not _is_finite((trial.weights(after), metrics.get("loss"))):
                again = state, batch, jnp.int32(t)
                op_by_op(f"update {t}", functools.partial(trial.of_batch, *again))
                if t == diverged_at:
                    return  # infinite, and only NaN is looked for
            if t < diverged_at:
                state = after
        op_by_op(f"the evaluation after update {diverged_at}", lambda: trial.evaluate(state))


@dataclasses.dataclass(frozen=True)
class _LoneTrial:
    """The functions of one trial, called from Python.

    Attributes:
        place: its configuration, seed and fold.
        begin: updates that it has behind it when it begins.
        steps: its updates, those included.
        shown: its hyperparameters.
        init: ``() -> state``, or what it starts from.
        of_batch: ``(state, data, t) -> (state, metrics)``.
        data_at: ``t -> data``, read where they are not in memory.
        evaluate: ``state -> values``.
        weights: ``state -> weights``.
    """

    place: tuple[int, int, int]
    begin: int
    steps: int
    shown: dict[str, Any]
    init: Callable[[], State]
    of_batch: Callable[[State, Tree, jax.Array], tuple[State, dict[str, jax.Array]]]
    data_at: Callable[[int], Tree]
    evaluate: Callable[[State], object]
    weights: Callable[[State], Params]

    @classmethod
    def of(cls, spec: SweepSpec, config: int, seed: int, fold: int) -> "_LoneTrial":
        """Take it from a sweep, without diagnostics that may be NaN: layers, and what is probed."""
        index, row = spec.find(config)
        group = spec.groups[index]
        problem = dataclasses.replace(spec.problem, layers=(), probe=NO_PROBE)
        trial = problem.trial(group.static)
        numbers = {
            **group.traced(row, seed, fold),
            "steps": group.steps[row, fold],
            "fold": np.int32(fold),
        }
        traced = {name: jnp.asarray(x) for name, x in numbers.items()}
        key = trial_key(spec.settings.key, np.uint32(seed), np.int32(fold))

        data = jax.device_put(spec.data)
        start = None if spec.starts is None else spec.starts.of.get((config, seed, fold))

        def init() -> State:
            if start is None:
                return trial.init(key, **traced)
            return jax.device_put(start).begun(problem.begin(group.static), key, traced)

        def evaluate(state: State) -> object:
            if spec.stream is None:
                return trial.evaluate(state, data, **traced)
            weights = trial.weights(state)
            given = {**group.static, **traced, "step": state.step}
            return [
                problem.validation_batch(weights, batch, data, traced["fold"], given)
                for batch in _evaluation_batches(spec, fold)
            ]

        return cls(
            place=(config, seed, fold),
            begin=0 if start is None else int(start.step),
            steps=int(group.steps[row, fold]),
            shown={**group.labels, **{name: x[row] for name, x in group.numbers.items()}},
            init=init,
            of_batch=lambda state, data, t: trial.step(state, data, t, key, **traced),
            data_at=lambda t: _data_at(spec, data, group.static, seed, fold, t),
            evaluate=evaluate,
            weights=trial.weights,
        )

    def step(self, state: State, t: int) -> tuple[State, dict[str, jax.Array]]:
        """Make update `t`."""
        return self.of_batch(state, self.data_at(t), jnp.int32(t))

    @contextmanager
    def annotated(self, what: str, setting: str) -> Iterator[None]:
        """Say in errors what was run, and why."""
        config, seed, fold = self.place
        try:
            with annotate_errors(self.shown):
                yield
        except Exception as error:
            error.add_note(
                f"{WHERE}: {what} of the trial config={config}, seed={seed}, fold={fold} was run "
                f"alone and op by op, since {setting} is set."
            )
            raise


def _data_at(
    spec: SweepSpec, data: Tree, static: Mapping[str, Any], seed: int, fold: int, t: int
) -> Tree:
    """Return what update `t` reads: a batch of a source, or `data`."""
    stream = spec.stream
    if stream is None:
        return data
    own = None if spec.problem.is_sequential else order_key(spec.settings.key)(seed, fold)
    order = EpochOrder(own, len(stream.train[fold]), static["batch_size"], 1)
    chunk = jax.device_put(stream.read_chunk(fold, order.indices(t, 1), 1))
    batch = jax.tree.map(lambda x: x[0], chunk.examples)
    return data._replace(batch=batch, fold=chunk.fold)


def _evaluation_batches(spec: SweepSpec, fold: int) -> Iterator[Any]:
    stream = spec.stream
    if stream is None or not stream.valid:
        return
    for begin in stream.evaluation_begins(fold):
        yield jax.device_put(stream.read_evaluation_batch(fold, begin))


def _is_finite(tree: Tree) -> bool:
    """Return whether all floating numbers are finite; a user's state may hold keys, too."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return bool(trees.all_finite(leaves))
