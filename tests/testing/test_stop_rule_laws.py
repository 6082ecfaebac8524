"""Our stopping rules obey the laws, and each law catches a rule that breaks it."""

import dataclasses
import itertools

import pytest

import jefficient as jf
from jefficient.testing import STOP_RULE_LAWS, LawError, verify_stop_rule

RULES = {
    "halving in updates": jf.successive_halving(3, min_steps=100),
    "halving in epochs": jf.successive_halving(2, min_epochs=2),
    "hyperband in updates": jf.hyperband(3, min_steps=30, max_steps=1000),
    "hyperband in epochs": jf.hyperband(2, min_epochs=2, max_epochs=20),
    "median": jf.median_stop(min_steps=100, min_configs=2),
    "patience": jf.patience(evaluations=2, min_delta=0.05),
}


@pytest.mark.parametrize("law", STOP_RULE_LAWS)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_law(rule, law):
    verify_stop_rule(rule, laws=[law])


@dataclasses.dataclass(frozen=True)
class Above(jf.StopRule):
    """Stop a score above a limit: right. Each rule below breaks it in one way."""

    limit: float = 0.5

    def init(self):
        return []

    def update(self, state, observations):
        return state, [seen.score > self.limit for seen in observations]


class AnswersOnce(Above):
    def update(self, state, observations):
        return state, [True]


class Idle(Above):
    def update(self, state, observations):
        return state, [False] * len(observations)


class RemembersInItself(Above):
    seen = itertools.count()

    def update(self, state, observations):
        return state, [next(self.seen) % 3 == 0 for _ in observations]


class DecidesAtOnce(Above):
    def update(self, state, observations):
        stopped = []
        for seen in observations:
            state.append(seen.score)
            stopped.append(seen.score > min(state))
        return state, stopped


class ReadsTheNumber(Above):
    def update(self, state, observations):
        return state, [seen.config % 2 == 1 for seen in observations]


class WithoutRepr(Above):
    __repr__ = object.__repr__


BROKEN = {
    "answers": (AnswersOnce(), "stopped must have one bool for each observation"),
    "acts": (Idle(), "Some configuration must be stopped"),
    "deterministic": (RemembersInItself(), "Keep what the rule remembers in the state"),
    "order": (DecidesAtOnce(), "Take in all observations of an update first"),
    "numbering": (ReadsTheNumber(), "Use config as a key"),
    "restored": (RemembersInItself(), "Let a decision follow from the observations alone"),
    "repr": (WithoutRepr(), "must be the same for an equal rule in another process"),
}


@pytest.mark.parametrize("law", BROKEN)
def test_a_rule_that_breaks_a_law_is_told_what_to_do(law):
    rule, message = BROKEN[law]
    verify_stop_rule(Above(), laws=[law])
    with pytest.raises(LawError, match=f"the law '{law}' is broken(.|\n)*{message}"):
        verify_stop_rule(rule, laws=[law])
