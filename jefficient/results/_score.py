"""The score: one number for each trial, the same for ranking, keeping and progress."""

import dataclasses
import enum

import numpy as np

from .._core.errors import ArgumentError


class Status(enum.IntEnum):
    """How a trial stands."""

    RUNNING = 0
    FINISHED = 1
    DIVERGED = 2
    STOPPED = 3
    INTERRUPTED = 4


@dataclasses.dataclass(frozen=True)
class Score:
    """Which number ranks a trial.

    Attributes:
        metric: a variable of the dataset with the dimension `evaluation`: ``valid_loss``,
            ``valid_<metric>``, ``train_loss``.
        mode: whether the best is the ``min`` or the ``max``.
        select: the ``last`` evaluation of a trial, or its ``best``.
    """

    metric: str
    mode: str
    select: str

    @classmethod
    def checked(
        cls, where: str, metric: str, mode: str | None, select: str, measured: tuple[str, ...]
    ) -> "Score":
        """The score, with `mode` taken from the metric where it is a loss; `measured` are the names there are."""
        if metric not in measured:
            hint = (
                " There is no validation, so only training numbers exist: ask for metric='train_loss', or give the "
                "Task validation=…"
                if measured == ("train_loss",)
                else ""
            )
            raise ArgumentError(
                f"{where}: metric must be one of {list(measured)}, got metric={metric!r}.{hint}"
            )
        if mode is None and metric not in ("train_loss", "valid_loss"):
            raise ArgumentError(
                f"{where}: mode must say whether the best {metric} is the 'min' or the 'max', got mode=None."
            )
        mode = "min" if mode is None else mode
        for name, value, choices in (
            ("mode", mode, ("min", "max")),
            ("select", select, ("last", "best")),
        ):
            if value not in choices:
                raise ArgumentError(
                    f"{where}: {name} must be one of {list(choices)}, got {name}={value!r}."
                )
        return cls(metric, mode, select)

    @property
    def sign(self) -> int:
        """What makes the smaller number the better one."""
        return 1 if self.mode == "min" else -1

    def evaluations(self, values: np.ndarray, status: np.ndarray, last: np.ndarray) -> np.ndarray:
        """The evaluation that counts for each trial.

        Args:
            values: the metric, float array (…, evaluations), NaN where nothing was evaluated.
            status: int array (…) of `Status`.
            last: int array (…): the last evaluation of each trial, -1 for none.

        Returns:
            Int array (…); -1 where a trial has no score: it diverged, or what counts is not finite.
        """
        is_seen = np.isfinite(values) & (status != Status.DIVERGED)[..., None]
        best = np.argmin(np.where(is_seen, self.sign * values, np.inf), axis=-1)
        evaluation = np.maximum(last, 0) if self.select == "last" else best
        return np.where(
            np.take_along_axis(is_seen, evaluation[..., None], axis=-1)[..., 0], evaluation, -1
        )

    def rank(self, scores: np.ndarray, status: np.ndarray, steps_taken: np.ndarray) -> list["Rank"]:
        """Where each configuration stands: the smaller, the better.

        Those whose trials all finished come first, by their mean score; then those that were
        stopped, those that got furthest first; then those with a trial that has no score (it
        diverged), those with fewest such first.

        Args:
            scores: float array (configs, trials), NaN where a trial has none.
            status: int array (configs, trials) of `Status`.
            steps_taken: int array (configs, trials).
        """
        without = np.isnan(scores).sum(axis=1)
        is_cut = ((status != Status.FINISHED) & (status != Status.DIVERGED)).any(axis=1)
        short = np.where(is_cut, -steps_taken.min(axis=1).astype(float), -np.inf)
        means = np.nan_to_num(self.sign * nan_mean(scores), nan=np.inf)
        return list(zip(without.tolist(), short.tolist(), means.tolist(), strict=True))

    def order(self, scores: np.ndarray, status: np.ndarray, steps_taken: np.ndarray) -> np.ndarray:
        """The configurations from best to worst by `rank`: their numbers, int array (configs,)."""
        without, short, means = zip(*self.rank(scores, status, steps_taken), strict=True)
        return np.lexsort((means, short, without))


Rank = tuple[int, float, float]
"""Trials without a score; -inf, or minus the updates made where the configuration was cut short; signed mean."""


def at_evaluations(values: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
    """The values (…, evaluations) at one evaluation each (…), NaN where that is -1."""
    picked = np.take_along_axis(values, np.maximum(evaluations, 0)[..., None], axis=-1)[..., 0]
    return np.where(evaluations >= 0, picked, np.nan)


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis over what is not NaN; NaN where all is."""
    counted = np.isfinite(values)
    total = np.where(counted, values, 0.0).sum(axis=-1)
    return np.divide(
        total, counted.sum(axis=-1), out=np.full(total.shape, np.nan), where=counted.any(axis=-1)
    )


def nan_std(values: np.ndarray) -> np.ndarray:
    """Sample standard deviation along the last axis over what is not NaN; NaN for fewer than two."""
    degrees = np.isfinite(values).sum(axis=-1) - 1
    squares = np.where(np.isfinite(values), (values - nan_mean(values)[..., None]) ** 2, 0.0).sum(
        axis=-1
    )
    variance = np.divide(squares, degrees, out=np.full(squares.shape, np.nan), where=degrees > 0)
    return np.sqrt(variance)
