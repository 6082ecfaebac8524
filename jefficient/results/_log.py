"""Loggers are told what is new in the arrays of a sweep."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from .._core.errors import ArgumentTypeError
from .._core.logger import LoggedTrial, Logger, Plain
from .._core.warn import warn
from ._dataset import TRIAL, Curves, array_of, hyperparameters
from ._ledger import Ledger, Told
from ._score import Status
from ._values import values_of

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_RUNNING = Status.RUNNING.name.lower()


def checked_loggers(
    where: str, log: "Logger | Iterable[Logger] | None", name: str = "log"
) -> tuple[Logger, ...]:
    """Return the loggers of an argument; `name` is what messages call it.

    Raises:
        ArgumentTypeError: if one is something else.
    """
    if log is None:
        return ()
    loggers = tuple(log) if isinstance(log, Iterable) else (log,)
    for logger in loggers:
        if not isinstance(logger, Logger):
            raise ArgumentTypeError(
                f"{where}: {name} must be a jf.Logger or several, got {name}={log!r}. Take "
                f"jf.tensorboard('runs'), jf.mlflow('name') or jf.wandb('project'), or derive from "
                f"jf.Logger."
            )
    return loggers


class Log:
    """The loggers of a sweep, and what they have been told.

    A logger that raises is named in a warning, and told no more; or its error is passed on, where
    there is no sweep to be lost.
    """

    def __init__(
        self, where: str, loggers: Sequence[Logger], ledger: Ledger, *, raises: bool = False
    ):
        self._where = where
        self._loggers: dict[str, Logger] = {}
        for logger in loggers:
            name = _ADDRESS.sub("", repr(logger))
            if name in self._loggers:
                name = f"{name} #{len(self._loggers)}"
            self._loggers[name] = logger
        self._given = tuple(loggers)
        self._ledger = ledger
        self._raises = raises

    def of(
        self, labelled: Callable[[], xr.Dataset], configs: np.ndarray | None = None
    ) -> Callable[[Curves], None]:
        """Return what tells of trials whenever their arrays have changed.

        Args:
            labelled: returns a dataset as from `to_dataset`, of which only the labels are read; it
                is called if there are loggers.
            configs: numbers of its configurations, int array (configs,); by default 0, 1, ….
        """
        if not self._loggers:
            return lambda _: None
        dataset = labelled()
        numbers = np.arange(dataset.sizes["config"]) if configs is None else configs
        return _TrialLog(self, dataset, numbers, self._ledger.sweep).tell

    def close(self) -> None:
        """Close all loggers, those that have raised, too; pass the first error on at the end."""
        errors = []
        for logger in self._given:
            try:
                logger.close()
            except Exception as error:
                errors.append((logger, error))
        if errors and self._raises:
            raise errors[0][1]
        for logger, error in errors:
            warn(
                f"{self._where}: the logger {logger!r} raised {type(error).__name__} when it was "
                f"closed: {error}."
            )

    def tell(
        self,
        trial: LoggedTrial,
        steps: Sequence[int],
        values: Callable[[int], Mapping[str, float]],
        end: str,
    ) -> None:
        """Tell each logger what it has not been told of a trial.

        Args:
            trial: the trial.
            steps: of all evaluations so far, in order.
            values: returns what was measured at an evaluation, by its place in `steps`; called for
                what is new.
            end: its status.
        """
        key = f"{trial.hash}-{trial.seed}-{trial.fold}"
        for name in list(self._loggers):
            told = self._ledger.told(name, key)
            new = [i for i, step in enumerate(steps) if step > told.step]
            is_end = end != _RUNNING and (bool(new) or end != told.status)
            if not new and not is_end:
                continue

            def write(
                name: str = name, told: Told = told, new: list = new, is_end: bool = is_end
            ) -> None:
                for i in new:
                    self._loggers[name].log(trial, steps[i], values(i))
                if is_end:
                    self._loggers[name].end(trial, end)
                step = max(told.step, steps[-1])
                self._ledger.note(name, key, Told(step, end if is_end else ""))

            self._guarded(name, write)

    def _guarded(self, name: str, write: Callable[[], None]) -> None:
        """Call a logger, and note what it was told; one that raises is told no more."""
        try:
            write()
        except Exception as error:
            if self._raises:
                raise
            del self._loggers[name]
            warn(
                f"{self._where}: the logger {name} raised {type(error).__name__}: {error}. The "
                f"sweep goes on without it. result.log(…) writes all of it afterwards, or with "
                f"directory=… the same call what is missing."
            )


class _TrialLog:
    """Tells of some trials of a sweep, as their arrays fill up."""

    def __init__(self, log: Log, dataset: xr.Dataset, configs: np.ndarray, sweep: str):
        self._log = log
        self._configs = configs
        self._sweep = sweep
        self._hashes = dataset["hash"].values.tolist()
        self._columns = {name: values_of(dataset, name) for name in hyperparameters(dataset)}
        self._layers = dataset["layer"].values.tolist() if "layer" in dataset.coords else []
        self._steps_taken = array_of(dataset, "started_at", *TRIAL)
        self._status = np.full_like(self._steps_taken, Status.RUNNING)

    def tell(self, curves: Curves) -> None:
        """Tell what is new; only trials that have got further, or are over, cost time."""
        is_new = (curves.steps_taken != self._steps_taken) | (curves.status != self._status)
        for config, seed, fold in np.argwhere(is_new).tolist():
            trial = config, seed, fold
            steps = curves.step[config, fold if curves.step.shape[1] > 1 else 0]
            made = np.flatnonzero(np.isfinite(curves.seconds[trial]) & (steps >= 0))
            if len(made):
                places = [(*trial, i) for i in made.tolist()]
                values = functools.cache(functools.partial(self._values_at, curves, places))
                status = Status(int(curves.status[trial])).name.lower()
                self._log.tell(self._trial(*trial), steps[made].tolist(), values, status)
        self._steps_taken = curves.steps_taken.copy()
        self._status = curves.status.copy()

    def _values_at(
        self, curves: Curves, places: Sequence[tuple[int, ...]], i: int
    ) -> dict[str, float]:
        """Return what was measured at evaluation i and is finite."""
        values: dict[str, float] = {}
        for name, x in {**curves.measured, **curves.diagnostics}.items():
            numbers = x[places[i]]
            if numbers.ndim == 0:
                values[name] = float(numbers)
            else:
                names = [f"{name}/{layer}" for layer in self._layers]
                values |= zip(names, numbers.tolist(), strict=True)
        return {name: x for name, x in values.items() if np.isfinite(x)}

    def _trial(self, config: int, seed: int, fold: int) -> LoggedTrial:
        given: dict[str, Plain] = {}
        for name, column in self._columns.items():
            x = column[config]
            if isinstance(x, np.ndarray):
                numbers = {f"{name}{list(at)}": x[at].item() for at in np.ndindex(x.shape)}
                given |= numbers
            else:
                given[name] = x
        number = int(self._configs[config])
        return LoggedTrial(self._sweep, number, seed, fold, self._hashes[config], given)
