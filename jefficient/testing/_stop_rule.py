"""The laws of a stopping rule."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from .._core.checks import check_count, check_positive_finite
from .._core.errors import ArgumentTypeError
from ..spaces import grid
from ..sweeps import Observation, StopRule, Task, sweep
from ..sweeps.stopping import PrunerLog
from ..transforms import sgd
from ._law import verify

T = TypeVar("T")

CONFIGS = 16
EVALUATIONS = 10

Batches = Sequence[Sequence[Observation]]
Decisions = list[list[bool]]


class Curves(NamedTuple):
    """Configurations of a simulated sweep: arrays (configs, evaluations)."""

    scores: np.ndarray
    steps: np.ndarray
    epochs: np.ndarray


class History(NamedTuple):
    """What a rule observed at each logical time of a simulated sweep, and what it decided."""

    batches: list[list[Observation]]
    stopped: Decisions


class Case(NamedTuple):
    """What is verified: a rule, in sweeps of so many updates and epochs."""

    rule: StopRule[Any]
    steps: int
    epochs: float

    def histories(self) -> list[History]:
        """Simulate sweeps: of one batch size, of several, with ties, divergence, without epochs."""
        rng = np.random.default_rng(0)
        level = rng.normal(size=(CONFIGS, 1))
        falling = rng.exponential(1.0, size=(CONFIGS, 1)) * 0.6 ** np.arange(EVALUATIONS)
        scores = level + falling + 0.2 * rng.normal(size=(CONFIGS, EVALUATIONS))

        share = np.broadcast_to(np.arange(1, EVALUATIONS + 1) / EVALUATIONS, scores.shape)
        steps = np.maximum(1, np.rint(share * self.steps)).astype(int)
        epochs = share * self.epochs
        several = steps * rng.choice([1, 2, 4], size=(CONFIGS, 1))
        ties = np.round(scores, 1)
        diverged = np.where(rng.random((CONFIGS, 1)) + share > 1.3, np.inf, ties)

        sweeps = [
            Curves(scores, steps, epochs),
            Curves(scores, several, epochs),
            Curves(ties, steps, epochs),
            Curves(diverged, steps, epochs),
        ]
        if not self.rule.needs_epochs:
            sweeps.append(Curves(scores, steps, np.full(scores.shape, np.nan)))
        return [_simulated(self.rule, curves) for curves in sweeps]


def verify_stop_rule(
    rule: StopRule[Any],
    *,
    steps: int = 1000,
    epochs: float = 20,
    laws: Iterable[str] | None = None,
) -> None:
    """Hold a stopping rule to what `jf.sweep` relies on, in simulated sweeps and a real one.

    Args:
        rule: derived from `jf.StopRule`.
        steps: updates of a trial in these sweeps: more than the rule waits for.
        epochs: the same in epochs.
        laws: names from `STOP_RULE_LAWS`; by default all.

    Raises:
        LawError: if a law is broken: which one, and what to do.
        ArgumentError: if a law is unknown, or a number is out of range.
        ArgumentTypeError: if `rule` is no `jf.StopRule`.

    Examples:
        >>> import jefficient as jf
        >>> import jefficient.testing
        >>> jf.testing.verify_stop_rule(jf.median_stop(min_steps=100))
    """
    where = "jf.testing.verify_stop_rule"
    if not isinstance(rule, StopRule):
        raise ArgumentTypeError(f"{where}: rule must be a jf.StopRule, got rule={rule!r}.")
    check_count(where, steps=steps)
    check_positive_finite(where, epochs=epochs)
    verify(where, STOP_RULE_LAWS, laws, Case(rule, int(steps), float(epochs)))


def _simulated(rule: StopRule[Any], curves: Curves) -> History:
    """Let configurations reach evaluations at random, until each is stopped or finished."""
    rng = np.random.default_rng(1)
    made = np.zeros(CONFIGS, int)
    running = set(range(CONFIGS))
    state = rule.init()
    history = History([], [])

    while running:
        batch: list[Observation] = []
        for config in sorted(running):
            for _ in range(rng.choice([0, 1, 2], p=[0.4, 0.5, 0.1])):
                if made[config] < EVALUATIONS:
                    at = config, made[config]
                    numbers = int(curves.steps[at]), float(curves.epochs[at])
                    batch.append(Observation(config, *numbers, float(curves.scores[at])))
                    made[config] += 1
        if batch:
            state, stopped = _updated(rule, state, batch)
            history.batches.append(batch)
            history.stopped.append(stopped)
            running -= {seen.config for seen, stops in zip(batch, stopped, strict=True) if stops}
        running = {config for config in running if made[config] < EVALUATIONS}
    return history


def _updated(rule: StopRule[T], state: T, batch: Sequence[Observation]) -> tuple[T, list[bool]]:
    """Call `update` and check the form of its answer."""
    answer = rule.update(state, list(batch))
    if not (isinstance(answer, tuple) and len(answer) == 2):
        raise AssertionError(f"update must return (state, stopped), got {answer!r}.")
    state, stopped = answer
    stopped = list(stopped)
    if len(stopped) != len(batch):
        raise AssertionError(
            f"stopped must have one bool for each observation, in their order, got {len(stopped)} "
            f"for {len(batch)} observations."
        )
    wrong = [x for x in stopped if not isinstance(x, bool | np.bool_)]
    if wrong:
        raise AssertionError(f"stopped must hold bools, got {wrong[0]!r}.")
    return state, [bool(x) for x in stopped]


def _decisions(rule: StopRule[Any], batches: Batches) -> Decisions:
    """Return what a new state decides about these observations."""
    state = rule.init()
    decisions = []
    for batch in batches:
        state, stopped = _updated(rule, state, batch)
        decisions.append(stopped)
    return decisions


def _same(got: Decisions, expected: Decisions, advice: str) -> None:
    for time, (here, there) in enumerate(zip(got, expected, strict=True)):
        if here != there:
            raise AssertionError(
                f"The decisions must be the same, got {here} and {there} at logical time {time}. "
                f"{advice}"
            )


def _answers(case: Case) -> None:
    """update answers with one bool for each observation, and decides about nothing else."""
    case.histories()


def _acts(case: Case) -> None:
    """the rule stops something: otherwise the other laws say nothing about it."""
    if not any(any(stopped) for x in case.histories() for stopped in x.stopped):
        raise AssertionError(
            f"Some configuration must be stopped within {case.steps} updates ({case.epochs} "
            f"epochs), got none of {CONFIGS}. If the rule waits for longer, give verify_stop_rule "
            f"larger steps= or epochs=."
        )


def _deterministic(case: Case) -> None:
    """decisions follow from the observations alone, whatever else the same rule has decided."""
    for history in case.histories():
        states = [case.rule.init(), case.rule.init()]  # two sweeps side by side
        for batch, expected in zip(history.batches, history.stopped, strict=True):
            for i, state in enumerate(states):
                states[i], stopped = _updated(case.rule, state, batch)
                _same(
                    [stopped],
                    [expected],
                    "Keep what the rule remembers in the state of init, not in the rule, a class "
                    "or a global, and draw no random numbers but from a fixed seed in the state.",
                )


def _order(case: Case) -> None:
    """the order of the configurations within one logical time does not matter."""
    for history in case.histories():
        for reverse in (False, True):
            orders = [_shuffled(batch, reverse) for batch in history.batches]
            batches = [
                [batch[i] for i in order]
                for batch, order in zip(history.batches, orders, strict=True)
            ]
            expected = [
                [stopped[i] for i in order]
                for stopped, order in zip(history.stopped, orders, strict=True)
            ]
            _same(
                _decisions(case.rule, batches),
                expected,
                "Take in all observations of an update first, then decide about each.",
            )


def _shuffled(batch: Sequence[Observation], reverse: bool) -> list[int]:
    """Return places in the batch: configurations in another order, each with its own order."""
    configs = sorted({seen.config for seen in batch}, reverse=True)
    if not reverse:
        configs = np.random.default_rng(len(batch)).permutation(configs).tolist()
    return [i for config in configs for i, seen in enumerate(batch) if seen.config == config]


def _numbering(case: Case) -> None:
    """the numbers of configurations are names: a larger space in a directory numbers them anew."""
    for history in case.histories():
        # other sizes, the other order, other remainders
        batches = [
            [seen._replace(config=10_007 - 6 * seen.config) for seen in batch]
            for batch in history.batches
        ]
        _same(
            _decisions(case.rule, batches),
            history.stopped,
            "Use config as a key, never as an index or in arithmetic.",
        )


def _restored(case: Case) -> None:
    """after a kill a rule that is told what was observed before goes on as if never killed."""
    for history in case.histories():
        for time in range(0, len(history.batches), 4):
            log = PrunerLog(copy.deepcopy(case.rule), history.batches[:time])
            _same(
                [log.stops(batch) for batch in history.batches[time:]],
                history.stopped[time:],
                "Let a decision follow from the observations alone, not from time, files or "
                "random numbers.",
            )


def _repr(case: Case) -> None:
    """the repr shows the rule's numbers: by it a directory tells whether the rule is the same."""
    text = repr(case.rule)
    if " at 0x" in text or text != repr(copy.deepcopy(case.rule)):
        raise AssertionError(
            f"repr(rule) must be the same for an equal rule in another process, got {text}. Make "
            f"the class a dataclass: @dataclasses.dataclass(frozen=True)."
        )
    case.histories()
    if repr(case.rule) != text:
        raise AssertionError(
            f"repr(rule) must not change with use, got {text} and later {case.rule!r}."
        )


def _finished(case: Case) -> None:
    """in a real sweep what has finished is never stopped, and what is stopped has not finished."""
    per_epoch = max(1, round(case.steps / case.epochs))
    x = np.linspace(-1, 1, 2 * per_epoch, dtype=np.float32)
    task = Task(
        init=jax.random.normal,
        loss=lambda w, batch: ((batch["x"] * w - batch["y"]) ** 2).mean(),
        data={"x": x, "y": 3 * x},
        validation={"x": x, "y": 3 * x},
    )
    result = sweep(
        task,
        sgd,
        grid(learning_rate=np.geomspace(1e-4, 1e3, CONFIGS)),
        batch_size=2,
        epochs=case.epochs,
        seeds=2,
        stop=case.rule,
        keep=None,
        progress=False,
    )
    status = result.dataset["status"].values
    is_at_end = result.dataset["steps_taken"].values == result.dataset["step"].values.max()
    if (is_at_end & (status == "stopped")).any() or (~is_at_end & (status == "finished")).any():
        raise AssertionError(f"Finished trials must stay so, got the status {status.tolist()}.")


STOP_RULE_LAWS: dict[str, Callable[[Case], None]] = {
    "answers": _answers,
    "acts": _acts,
    "deterministic": _deterministic,
    "order": _order,
    "numbering": _numbering,
    "restored": _restored,
    "repr": _repr,
    "finished": _finished,
}
"""The laws of `verify_stop_rule` by name.

`answers`: `update` answers with one bool for each observation.
`acts`: the rule stops something in the simulated sweeps.
`deterministic`: decisions follow from the observations alone, whatever else the rule has decided.
`order`: the order of the configurations within one logical time does not matter.
`numbering`: the numbers of configurations are names.
`restored`: after a kill, a rule that is told what was observed before decides as if never killed.
`repr`: the repr shows the rule's numbers.
`finished`: in a real sweep what has finished is never stopped.
"""
