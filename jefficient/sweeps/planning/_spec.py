"""A sweep that has been checked and split into groups: all that is known before compilation."""

import dataclasses
import functools
import math
from collections.abc import Callable, Hashable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.errors import ArgumentError
from ..._core.reuse import once
from ..._core.serialization import digest, digest_of
from ..._core.typing import Params, State, Tree
from ...results import Score
from ...spaces import Space
from ..data import EvaluationBatch, PrefetchChunk, Stream
from ..programs import Group, LaneProgram, StreamedProgram
from ..tasks import WHERE, Problem, Sums, Trial
from ._costs import LaneCosts, lane_costs, working_bytes
from ._settings import Settings
from ._starting import Starts, check_starts

_TRIAL_BYTES = 128
"""What a trial takes beside its evaluations: its place in a queue, its status, where it ended."""


@dataclasses.dataclass(frozen=True)
class SweepSpec:
    """What is swept, and how configurations are ranked.

    Attributes:
        problem: the task with its optimizer, or the trial.
        space: the configurations.
        settings: arguments of `jf.sweep` that decide on its numbers.
        score: what ranks configurations.
        measured: names of what every evaluation records, diagnostics aside.
        groups: configurations that share a program.
        trials: what a lane of each group runs.
        keys: what the traced functions of each group depend on, its numbers apart.
        starts: what trials start from, where not all begin by `init`.
    """

    problem: Problem
    space: Space
    settings: Settings
    score: Score
    measured: tuple[str, ...]
    groups: list[Group]
    trials: list[Trial]
    keys: list[Hashable]
    starts: Starts | None = None

    @functools.cached_property
    def costs(self) -> list[LaneCosts]:
        """Costs of a lane of each group, found by tracing."""
        each = zip(self.keys, self.trials, self.groups, strict=True)
        return [
            once(("costs", key), partial(lane_costs, self.problem, trial, group, self.settings.key))
            for key, trial, group in each
        ]

    @functools.cached_property
    def lane_bytes(self) -> list[int]:
        """Bytes of a lane of each group: its state and the largest array of step and evaluation."""
        each = zip(self.keys, self.costs, self.trials, self.groups, strict=True)
        return [
            costs.state_bytes
            + once(
                ("working", key),
                partial(working_bytes, self.problem, trial, group, self.settings.key),
            )
            for key, costs, trial, group in each
        ]

    @functools.cached_property
    def diagnostics(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what evaluations record beside `measured`."""
        return self.problem.diagnostics(any(costs.has_clip for costs in self.costs))

    @property
    def record_bytes(self) -> int:
        """Bytes of the arrays that hold all evaluations, and of what is held of each trial."""
        evaluations = self.most_evaluations
        diagnostics = sum(math.prod(shape) for shape in self.diagnostics.values())
        of_evaluation = 4 * (len(self.measured) + diagnostics) + 8  # float32; seconds are float64
        of_trial = of_evaluation * evaluations + _TRIAL_BYTES
        return self.total_trials * of_trial

    @property
    def total_trials(self) -> int:
        """Configurations × seeds × folds."""
        return sum(group.trials for group in self.groups)

    @property
    def most_evaluations(self) -> int:
        """Evaluations of a trial at most."""
        return max(x.shape[1] for group in self.groups for x in group.distinct_evaluations)

    @functools.cached_property
    def data_digest(self) -> str:
        """Digest of all that lanes read, folds and the names of classes included."""
        read = self.data if self.stream is None else (self.data, self.stream.digest())
        categories = self.problem.about_data.get("categories")
        own = digest_of(read)
        return own if categories is None else digest(f"{own} {categories}".encode())

    @property
    def stream(self) -> Stream | None:
        """Examples that are read while lanes train, or None."""
        return self.problem.stream

    @property
    def data(self) -> Tree:
        """What all lanes read."""
        return self.problem.data

    @property
    def data_bytes(self) -> int:
        """Bytes of the data in memory."""
        return sum(x.nbytes for x in jax.tree.leaves(self.data) if hasattr(x, "nbytes"))

    @property
    def columns(self) -> dict[str, tuple]:
        """Values of each hyperparameter in every configuration, as a result holds them."""
        return {name: tuple(column) for name, column in self.space.columns.items()}

    def find(self, config: int) -> tuple[int, int]:
        """Return which group has a configuration, and its row in the group."""
        index = next(i for i, group in enumerate(self.groups) if config in group.configs)
        return index, int(np.flatnonzero(self.groups[index].configs == config)[0])

    def lane_program(self, index: int, width: int) -> LaneProgram:
        """Return the program of a group in blocks of `width` lanes."""
        settings, costs = self.settings, self.costs[index]
        step_metrics: dict[str, tuple[str, tuple[int, ...]]] = {
            name.removeprefix("train_"): (name, ())
            for name in self.measured
            if name.startswith("train_")
        }
        step_metrics |= {
            name: (name, self.diagnostics[name])
            for name in self.problem.step_diagnostics(costs.has_clip)
        }
        windows = self.problem.window_names
        step_metrics |= {name: (name, ()) for name in windows}
        program = LaneProgram(
            key=(self.keys[index], self.score, settings.divergence_threshold),
            trial=self.trials[index],
            score=self.score,
            divergence_threshold=settings.divergence_threshold,
            keep=settings.keep,
            width=width,
            step_metrics=step_metrics,
            windows=windows,
            are_weights_finite=self.problem.has_finite_weights,
            begin=self.problem.begin(self.groups[index].static),
        )
        scorer = self.problem.scorer
        if self.stream is None and scorer is not None:
            return dataclasses.replace(
                program,
                predict=self._predict(self.groups[index], program),
                is_ranked_on_host=self.score.metric in {f"valid_{name}" for name in scorer.metrics},
            )
        if self.stream is None:
            return program
        return self._streamed(program, self.groups[index], self.stream)

    def _predict(self, group: Group, program: LaneProgram) -> Callable[..., dict[str, Tree]]:
        problem, weights = self.problem, program.trial.weights

        def predict(state: State, data: Tree, /, **traced: jax.Array) -> dict[str, Tree]:
            hyperparameters = {**group.static, **traced}
            return problem.validation_predictions(
                weights(state), data, traced["fold"], hyperparameters
            )

        return predict

    def _streamed(self, program: LaneProgram, group: Group, stream: Stream) -> StreamedProgram:
        """Return the same program, for batches that are read while it runs."""
        problem, weights = self.problem, program.trial.weights

        def accumulate(
            state: State,
            batch: EvaluationBatch,
            data: Tree,
            fold: jax.Array,
            /,
            **traced: jax.Array,
        ) -> tuple[dict[str, Sums], dict[str, Tree]]:
            hyperparameters = {**group.static, **traced}
            return problem.validation_batch(weights(state), batch, data, fold, hyperparameters)

        batch_size = group.static["batch_size"]
        whole = jax.ShapeDtypeStruct((), jnp.int32)
        examples = stream.source.batch(self.batches(batch_size), batch_size)
        validated = [x for x in self.measured if x.startswith("valid_") and stream.valid]
        scorer = problem.scorer
        scored = () if scorer is None else tuple(f"valid_{name}" for name in scorer.metrics)
        evaluation_batch = None
        if stream.valid:
            valid = stream.valid[0].source.batch(stream.evaluation_batch_size)
            evaluation_batch = EvaluationBatch(valid, whole)
        fields = [field.name for field in dataclasses.fields(program) if field.init]
        return StreamedProgram(
            **{name: getattr(program, name) for name in fields},
            accumulate=accumulate,
            accumulated=tuple(name for name in validated if name not in scored),
            scored=scored,
            chunk=PrefetchChunk(examples, whole, whole),
            evaluation_batch=evaluation_batch,
        )

    def batches(self, batch_size: int) -> int:
        """Return the number of batches in a prefetch chunk."""
        assert self.stream is not None
        return self.stream.batches_per_chunk(batch_size, self._longest, self._cohorts(1))

    @functools.cached_property
    def _longest(self) -> int:
        """Updates between two evaluations at most."""
        evaluations = [x for group in self.groups for x in group.distinct_evaluations]
        return max(int(np.diff(x, prepend=0).max()) for x in evaluations)

    def bytes_ahead(self, slots: int) -> int:
        """Return the bytes of all chunks in use on so many slots, and of those read ahead."""
        assert self.stream is not None
        sizes = {group.static["batch_size"] for group in self.groups}
        examples = max(self.batches(size) * size for size in sizes)
        return 2 * self._cohorts(slots) * examples * self.stream.source.example_bytes

    def _cohorts(self, slots: int) -> int:
        """Return how many cohorts train at the same time at most.

        All do where a pruner compares configurations, else as many as keep the slots busy.
        """
        sizes = {group.static["batch_size"] for group in self.groups}
        every = self.settings.seeds * self.problem.folds * len(sizes)
        return every if self.settings.stop is not None else min(slots, every)

    def state_like(self, config: int) -> State:
        """Return shapes and dtypes of the state of a configuration."""
        index, _ = self.find(config)
        trial = self.trials[index]
        numbers = self.groups[index].table()[0]
        return once(
            ("state", self.keys[index]),
            lambda: jax.eval_shape(
                lambda key: trial.init(key, **numbers, fold=0), self.settings.key
            ),
        )

    def weights_like(self, config: int) -> Params:
        """Return shapes and dtypes of the weights of a configuration."""
        index, _ = self.find(config)
        return once(
            ("weights", self.keys[index]),
            lambda: jax.eval_shape(self.trials[index].weights, self.state_like(config)),
        )

    def check_kept(self) -> None:
        """Check that the evaluations exist whose states are kept; in parts they need not."""
        asked = self.settings.keep_states
        if isinstance(asked, tuple) and asked[-1] >= self.most_evaluations:
            raise ArgumentError(
                f"{WHERE}: keep_states must be among the {self.most_evaluations} evaluations of a "
                f"trial, numbered from 0, got keep_states={list(asked)}."
            )

    def _check_stop(self, starts: Starts) -> None:
        """Refuse a stopping rule where configurations start after different updates."""
        steps = {int(start.step) for start in starts.of.values()}
        is_whole = len(starts.of) == self.total_trials
        if self.settings.stop is not None and (len(steps) > 1 or (not is_whole and steps != {0})):
            raise ArgumentError(
                f"{WHERE}: under stop= all trials must start after as many updates, since it "
                f"compares them by their updates, got starts after {sorted(steps)}"
                f"{'' if is_whole else ' and trials that begin with init'}."
            )

    def check_states(self) -> None:
        """Check the states that trials start from."""
        if self.starts is None:
            return
        self._check_stop(self.starts)
        can_restart = self.problem.begin(self.groups[0].static).restart is not None
        program_of = {int(c): i for i, group in enumerate(self.groups) for c in group.configs}
        check_starts(
            self.starts,
            self.state_like,
            self.weights_like if can_restart else None,
            self.problem.steps_made,
            program_of,
        )
