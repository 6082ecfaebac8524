"""Hyperband: brackets of successive halving that begin to stop at different times."""

import dataclasses
import hashlib
import math
import struct
from collections.abc import Sequence

from ..._core import checks
from ..._core.errors import ArgumentError
from ._rule import Observation, StopRule, rounded_up
from ._successive_halving import Rungs, SuccessiveHalving


@dataclasses.dataclass
class Brackets:
    """What Hyperband remembers.

    Attributes:
        rungs: those of each bracket.
        bracket_of: the bracket of each configuration.
        counts: how many configurations each bracket has.
    """

    rungs: list[Rungs]
    bracket_of: dict[int, int] = dataclasses.field(default_factory=dict)
    counts: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Hyperband(StopRule[Brackets]):
    """Brackets 0 to s_max, of which bracket s has its first rung at R·eta⁻ˢ; see `hyperband`."""

    eta: float
    min_steps: int | None
    max_steps: int | None
    min_epochs: float | None
    max_epochs: float | None

    @property
    def needs_epochs(self) -> bool:
        """Whether rungs lie at epochs."""
        return self.max_epochs is not None

    @property
    def brackets(self) -> list[list[tuple[int, float]]]:
        """The table of the paper, bracket s_max first: (configurations n_i, updates or epochs r_i).

        Of the n_0 configurations of a bracket, n_i get as far as r_i.
        """
        return [
            [
                (math.floor(rounded_up(count * self.eta**-i)), self._first(s) * self.eta**i)
                for i in range(s + 1)
            ]
            for s, count in reversed(list(enumerate(self._sizes)))
        ]

    @property
    def configs(self) -> int:
        """How many configurations all brackets have together: so many make the table exact."""
        return sum(self._sizes)

    def init(self) -> Brackets:
        """Return brackets without configurations."""
        count = len(self._sizes)
        return Brackets([Rungs() for _ in range(count)], counts=[0] * count)

    def update(
        self, state: Brackets, observations: Sequence[Observation]
    ) -> tuple[Brackets, list[bool]]:
        """Let what is new enter its bracket, then halve within each bracket."""
        self._assign(state, observations)
        stopped = [not math.isfinite(seen.score) for seen in observations]
        for s in range(len(self._sizes)):
            own = [i for i, seen in enumerate(observations) if state.bracket_of[seen.config] == s]
            if not own:
                continue
            state.rungs[s], decisions = self._halving(s).update(
                state.rungs[s], [observations[i] for i in own]
            )
            for i, is_stopped in zip(own, decisions, strict=True):
                stopped[i] |= is_stopped
        return state, stopped

    def _assign(self, state: Brackets, observations: Sequence[Observation]) -> None:
        """Deal new configurations to the brackets that lack most of their share.

        Their order is that of a digest of what is seen of them first: neither their numbers, which
        are names, nor how good they are may matter. Those of one digest cannot be told apart and
        stay together.
        """
        alike: dict[bytes, list[int]] = {}
        first = {seen.config: seen for seen in reversed(observations)}
        for config, seen in first.items():
            if config not in state.bracket_of:
                alike.setdefault(_digest(seen), []).append(config)
        for _, configs in sorted(alike.items()):
            filled = [have / size for have, size in zip(state.counts, self._sizes, strict=True)]
            bracket = max(range(len(filled)), key=lambda s: (-filled[s], s))
            state.counts[bracket] += len(configs)
            state.bracket_of |= dict.fromkeys(configs, bracket)

    @property
    def _sizes(self) -> list[int]:
        """n = ⌈(s_max + 1) / (s + 1) · etaˢ⌉ of each bracket: line 3 of the paper's algorithm 1."""
        low, high = self._ends
        most = math.floor(rounded_up(math.log(high / low) / math.log(self.eta)))
        return [
            math.ceil((most + 1) / (s + 1) * self.eta**s / rounded_up(1.0)) for s in range(most + 1)
        ]

    @property
    def _ends(self) -> tuple[float, float]:
        """The first rung of the first bracket at the earliest, and R."""
        if self.min_steps is not None and self.max_steps is not None:
            return self.min_steps, self.max_steps
        assert self.min_epochs is not None  # one pair of the two is given
        assert self.max_epochs is not None
        return self.min_epochs, self.max_epochs

    def _first(self, s: int) -> float:
        return float(self._ends[1] * self.eta**-s)

    def _halving(self, s: int) -> SuccessiveHalving:
        first = self._first(s)
        steps, epochs = (None, first) if self.needs_epochs else (first, None)
        return SuccessiveHalving(self.eta, steps, epochs)


def _digest(seen: Observation) -> bytes:
    numbers = struct.pack("<qdd", seen.step, seen.epoch, seen.score)
    return hashlib.blake2b(numbers, digest_size=8).digest()


def hyperband(
    eta: float = 3,
    *,
    min_steps: int | None = None,
    max_steps: int | None = None,
    min_epochs: float | None = None,
    max_epochs: float | None = None,
) -> Hyperband:
    """Halve in brackets, some of which stop from early on and some late, one never.

    Successive halving must know when scores begin to tell. Hyperband need not: it splits the
    configurations into brackets s = s_max, …, 0, s_max = ⌊log(R / r) / log(eta)⌋. In bracket s the
    first rung is at R·eta⁻ˢ, and then asynchronous `successive_halving` goes on; in bracket 0
    nothing is stopped before R. So a configuration that is slow at first is lost in some brackets
    only, and the cost is at most s_max + 1 times that of the best bracket. A configuration joins a
    bracket when it is first evaluated, so that brackets have shares ⌈(s_max + 1) / (s + 1) · etaˢ⌉
    of them; which one follows from a digest of its first score. One with a diverged trial is
    stopped at once. Configurations whose first scores are equal, such as error rates at chance
    level, cannot be told apart and share a bracket: rank by a loss then.

    Args:
        eta: 1 < eta < inf.
        min_steps: r, updates before the first rung at the earliest, 1 or more.
        max_steps: R, updates of the sweep's trials, r·eta or more.
        min_epochs: r in epochs, above 0: right for a sweep over batch sizes.
        max_epochs: R in epochs; give these two, or those in updates.

    Returns:
        A `StopRule` for ``jf.sweep(stop=…)``. Its `brackets` are the table of (configurations,
        updates or epochs) in the paper, and `configs` how many it has in all.

    Raises:
        ArgumentError: if a number is out of range, or not exactly one pair is given.

    References:
        Li et al. 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization,
        Journal of Machine Learning Research 18, algorithm 1 and table 1; in each bracket the
        asynchronous form of Li et al. 2020, https://arxiv.org/abs/1810.05934, section 3.2.

    Examples:
        >>> import jefficient as jf
        >>> rule = jf.hyperband(eta=3, min_epochs=1, max_epochs=9)
        >>> rule.brackets
        [[(9, 1.0), (3, 3.0), (1, 9.0)], [(5, 3.0), (1, 9.0)], [(3, 9.0)]]
        >>> rule.configs
        17
    """
    where = "jf.hyperband"
    pairs = {
        "steps": (min_steps, max_steps),
        "epochs": (min_epochs, max_epochs),
    }
    given = [unit for unit, pair in pairs.items() if pair != (None, None)]
    if len(given) != 1 or None in pairs[given[0]]:
        raise ArgumentError(
            f"{where}: min_steps and max_steps, or min_epochs and max_epochs, must be given, got "
            f"{min_steps=}, {max_steps=}, {min_epochs=}, {max_epochs=}."
        )
    checks.check_finite(where, eta=eta)
    if eta <= 1:
        raise ArgumentError(f"{where}: eta > 1 must hold, got eta={eta}.")
    unit = given[0]
    low, high = pairs[unit]
    named = {f"min_{unit}": low, f"max_{unit}": high}
    if unit == "steps":
        checks.check_count(where, **named)
    else:
        checks.check_positive_finite(where, **named)
    if not rounded_up(high) >= low * eta:
        raise ArgumentError(
            f"{where}: max_{unit} >= eta · min_{unit} must hold, got {eta=}, "
            f"{', '.join(f'{name}={x}' for name, x in named.items())}: there would be one bracket, "
            f"which stops nothing."
        )
    return Hyperband(eta, min_steps, max_steps, min_epochs, max_epochs)
