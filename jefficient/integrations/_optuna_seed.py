"""Random numbers of samplers: a sampler enters; one whose numbers follow from the trial leaves."""

import copy
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState


class Reseeded(BaseSampler):
    """A sampler whose random numbers for a trial are a function of its seed and the trial's number.

    A sampler with a seed begins with the same random numbers in every process. The number of a
    trial is unique in its study, so that no process, and none after it, draws them a second time;
    and a run that is repeated draws the same.

    A sampler that has been given no seed is left as it is. So is one whose random numbers are not
    of NumPy's `RandomState`, but that its `reseed_rng` is called after trials of other processes.
    """

    def __init__(self, sampler: BaseSampler):
        self._sampler = sampler
        copies = [copy.deepcopy(x) for x in _generators(sampler, set())]
        self._seed = [int.from_bytes(x.bytes(16), "big") for x in copies]
        self._next = 0  # the trial's number, if no other process begins one

    @contextmanager
    def of(self, study: optuna.Study) -> Iterator[None]:
        """Let it propose the trials of a study, in place of the sampler that it has."""
        given = study.sampler
        study.sampler = self
        try:
            yield
        finally:
            study.sampler = given

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if self._seed:
            for i, generator in enumerate(_generators(self._sampler, set())):
                seed = np.random.SeedSequence([*self._seed, trial.number, i])
                generator.seed(seed.generate_state(8))
        elif trial.number > self._next:
            self._sampler.reseed_rng()
        self._next = max(self._next, trial.number + 1)
        self._sampler.before_trial(study, trial)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> object:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)


def _generators(x: object, seen: set[int]) -> Iterator[np.random.RandomState]:
    """Return the random states among the attributes of an object, and among theirs.

    Samplers offer no other way to a seed: `reseed_rng` takes one from the operating system. Names
    of attributes do not matter. A sampler without a seed has no random state before it draws.
    """
    if id(x) in seen or isinstance(x, type | types.ModuleType):
        return
    seen.add(id(x))
    if isinstance(x, np.random.RandomState):
        yield x
        return
    inside = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else ()
    for value in (*inside, *getattr(x, "__dict__", {}).values()):
        yield from _generators(value, seen)
