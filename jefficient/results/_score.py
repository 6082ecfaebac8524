"""The score: one number for each trial, the same for ranking, checkpoints and progress."""

import dataclasses
import enum

import numpy as np

from .._core.checks import one_of
from .._core.errors import ArgumentError


class Status(enum.IntEnum):
    """State of a trial."""

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
            ``valid_<metric>``, ``train_loss``, of a stream ``window_<metric>``.
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
        """Check the names, of `measured` ones, and take `mode` from the metric if it is a loss."""
        if metric not in measured:
            message = f"{where}: metric must be one of {list(measured)}, got metric={metric!r}."
            if f"valid_{metric}" in measured:
                message += f" Did you mean metric='valid_{metric}'?"
            if measured == ("train_loss",):
                message += (
                    " There is no validation, so only training numbers exist: ask for "
                    "metric='train_loss' (jf.sweep's default is 'valid_loss'), or give the Task "
                    "validation=…"
                )
            raise ArgumentError(message)
        if mode is None and metric not in ("train_loss", "valid_loss", "window_loss"):
            raise ArgumentError(
                f"{where}: mode must say whether the best {metric} is the 'min' or the 'max', got "
                "mode=None."
            )
        mode = mode or "min"
        one_of(where, "mode", mode, ("min", "max"))
        one_of(where, "select", select, ("last", "best"))
        return cls(metric, mode, select)

    @property
    def sign(self) -> int:
        """1 or -1: times it, the smaller number is the better one."""
        return 1 if self.mode == "min" else -1

    def evaluations(self, values: np.ndarray, status: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Select the evaluation that counts for each trial.

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
        has_score = np.take_along_axis(is_seen, evaluation[..., None], axis=-1)[..., 0]
        return np.where(has_score, evaluation, -1)

    def rank(self, scores: np.ndarray, status: np.ndarray, steps_taken: np.ndarray) -> list["Rank"]:
        """Rank each configuration: the smaller, the better.

        Those whose trials all finished come first, by their mean score; then those that were
        stopped, those that got furthest first; then those with a trial that has no score (it
        diverged), those with fewest such first.

        Args:
            scores: float array (configs, trials), NaN where a trial has none.
            status: int array (configs, trials) of `Status`.
            steps_taken: int array (configs, trials).
        """
        without = np.isnan(scores).sum(axis=1)
        is_short = ((status != Status.FINISHED) & (status != Status.DIVERGED)).any(axis=1)
        short = np.where(is_short, -steps_taken.min(axis=1).astype(float), -np.inf)
        means = np.nan_to_num(self.sign * over_scored_trials(scores), nan=np.inf)
        return list(zip(without.tolist(), short.tolist(), means.tolist(), strict=True))

    def order(self, scores: np.ndarray, status: np.ndarray, steps_taken: np.ndarray) -> np.ndarray:
        """Sort the configurations by `rank`, best first: their numbers, int array (configs,)."""
        without, short, means = zip(*self.rank(scores, status, steps_taken), strict=True)
        return np.lexsort((means, short, without))


Rank = tuple[int, float, float]
"""Trials without a score; minus the updates made if not all trials finished, otherwise -inf; the
mean, signed."""


def at_evaluations(values: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
    """Select from values (…, evaluations) one evaluation each (…), NaN where that is -1."""
    picked = np.take_along_axis(values, np.maximum(evaluations, 0)[..., None], axis=-1)[..., 0]
    return np.where(evaluations >= 0, picked, np.nan)


def over_trials(values: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Average scores over seeds and folds, along `axis`; NaN or infinite where one of them is."""
    return values.mean(axis=axis)


def over_scored_trials(values: np.ndarray) -> np.ndarray:
    """Average scores along the last axis, as `over_trials`, over the trials that have one."""
    return nan_mean(values)


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean along the last axis over what is finite; NaN where nothing is."""
    is_finite = np.isfinite(values)
    total = np.where(is_finite, values, 0.0).sum(axis=-1)
    count = is_finite.sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def nan_std(values: np.ndarray) -> np.ndarray:
    """Return the sample standard deviation along the last axis of finite values; NaN below two."""
    is_finite = np.isfinite(values)
    deviations = np.where(is_finite, values - nan_mean(values)[..., None], 0.0)
    squares = np.square(deviations).sum(axis=-1)
    degrees = is_finite.sum(axis=-1) - 1
    variance = np.divide(squares, degrees, out=np.full(squares.shape, np.nan), where=degrees > 0)
    return np.sqrt(variance)
