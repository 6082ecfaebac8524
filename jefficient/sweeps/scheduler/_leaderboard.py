"""The best configurations so far, and the weights and states that are worth keeping."""

import bisect
import itertools

import numpy as np

from ..._core.typing import Params
from ...results import Rank, Score, TrialState


class Leaderboard:
    """Complete configurations by rank, as many as have their weights kept.

    Attributes:
        weights: (config, seed, fold) to weights, of the configurations on the board and of
            incomplete ones.
        states: the same of states, by evaluation.
        best_score: the best mean score, None before the first configuration has one.
    """

    def __init__(self, score: Score, size: int, seeds: int, folds: int):
        self.weights: dict[tuple[int, int, int], Params] = {}
        self.states: dict[tuple[int, int, int], dict[int, TrialState]] = {}
        self.best_score: float | None = None
        self._sign = score.sign
        self._size = size
        self._trials = list(itertools.product(range(seeds), range(folds)))
        self._ranked: list[tuple[Rank, int]] = []  # (rank, config), sorted
        self._complete: set[int] = set()
        self._on_board: set[int] = set()

    def enter(self, configs: np.ndarray, ranks: list[Rank]) -> None:
        """Enter complete configurations; those that fall off the board lose their weights."""
        for config, rank in zip(configs.tolist(), ranks, strict=True):
            self._complete.add(config)
            self._note_score(rank)
            bisect.insort(self._ranked, (rank, config))
            self._on_board.add(config)
            if len(self._ranked) > self._size:
                self._drop(self._ranked.pop()[1])

    def _note_score(self, rank: Rank) -> None:
        without_score, cut_short, mean = rank
        is_finished = without_score == 0 and cut_short == -np.inf
        if is_finished and (self.best_score is None or mean < self._sign * self.best_score):
            self.best_score = self._sign * mean

    def _drop(self, config: int) -> None:
        self._on_board.remove(config)
        for held in (self.weights, self.states):
            if held:
                for seed, fold in self._trials:
                    held.pop((config, seed, fold), None)

    def wants(self, config: int) -> bool:
        """Return whether the weights of a configuration may be among those that are kept."""
        return config not in self._complete or config in self._on_board

    def clear(self, forgotten: set[int]) -> None:
        """Forget every rank, and the weights and states of these configurations."""
        self.best_score = None
        self._ranked.clear()
        self._complete.clear()
        self._on_board.clear()
        self.weights = {key: x for key, x in self.weights.items() if key[0] not in forgotten}
        self.states = {key: x for key, x in self.states.items() if key[0] not in forgotten}
