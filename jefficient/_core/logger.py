"""What a sweep tells a logger: the evaluations of its trials, and how they end."""

import abc
from collections.abc import Mapping
from typing import NamedTuple

Plain = bool | int | float | str | None
"""What a logger can write of a hyperparameter."""

_LONGEST = 100  # characters of a name: Weights & Biases has 128 for a group


class LoggedTrial(NamedTuple):
    """A trial, as loggers are told of it.

    Attributes:
        sweep: a name of the sweep, begun at that time; a resumed sweep keeps it.
        config: number of the configuration; it may be another one after the space has grown.
        seed: which repetition.
        fold: which fold.
        hash: digest of the configuration, the same in every sweep and process.
        hyperparameters: name to bool, number, text or None; each number of an array as ``name[i]``.
    """

    sweep: str
    config: int
    seed: int
    fold: int
    hash: str
    hyperparameters: Mapping[str, Plain]

    @property
    def key(self) -> str:
        """A text that no other trial has, the same after a resumption."""
        return f"{self.sweep}-{self.hash}-{self.seed}-{self.fold}"

    @property
    def group(self) -> str:
        """The configuration as a text, ``learning_rate=0.1, l2=0``; a long one ends by its hash."""
        text = ", ".join(
            f"{name}={x:.4g}" if isinstance(x, float) else f"{name}={x}"
            for name, x in self.hyperparameters.items()
        )
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 10]}… {self.hash[:8]}"


class Logger(abc.ABC):
    """Write a sweep elsewhere while it runs: the base class of every logger.

    ``jf.sweep(log=…)`` calls `log` for every evaluation of every trial, in their order, and `end`
    when a trial is over; `Result.log` does the same with a finished sweep. Each trial is meant to
    be a run of its own. A subclass must define `log`.

    In a sweep with a directory nothing is told twice: a resumed sweep goes on where the one before
    it was, by the `repr` of the logger, in which addresses are left out. Then `log` may be called
    for a trial that an earlier process began, or that had ended as interrupted.

    Examples:
        >>> import jefficient as jf
        >>> class Lines(jf.Logger):
        ...     def log(self, trial, step, values):
        ...         print(trial.group, "seed", trial.seed, "step", step, sorted(values))
        ...
        ...     def end(self, trial, status):
        ...         print(status)
    """

    @abc.abstractmethod
    def log(self, trial: LoggedTrial, step: int, values: Mapping[str, float]) -> None:
        """Write one evaluation.

        Args:
            trial: which trial it is of.
            step: updates made.
            values: name to number: ``train_loss``, ``valid_loss``, ``valid_<metric>`` and
                diagnostics, of layers as ``<name>/<layer>``. What is not finite is left out.
        """

    def end(self, trial: LoggedTrial, status: str) -> None:  # noqa: B027 - not all can write it
        """Write how a trial has ended; by default do nothing.

        Args:
            trial: which one.
            status: ``"finished"``, ``"stopped"``, ``"diverged"`` or ``"interrupted"``, after which
                it may go on.
        """

    def close(self) -> None:  # noqa: B027 - most loggers keep nothing open
        """Release what is open; by default do nothing. It is called after errors too."""
