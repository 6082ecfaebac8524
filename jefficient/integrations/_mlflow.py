"""MLflow: every trial of a sweep becomes a run of an experiment."""

import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from .._core.logger import LoggedTrial, Logger
from ._model import import_optional

WHERE = "jf.mlflow"
_NOT_IN_NAMES = re.compile(r"[^\w./: -]")
_PASSWORD = re.compile(r"//[^/@]*@")
_KEY = "jefficient.trial"
_SWEEP = "jefficient.sweep"
_STATUS = {"finished": "FINISHED", "diverged": "FAILED"}  # others: "KILLED"
_MOST_RUNS = 50_000  # that a search returns


def mlflow(experiment: str = "jefficient", *, tracking_uri: str | None = None) -> Logger:
    """Write a sweep to MLflow: every trial is a run, with parameters and metrics.

    Runs have the tag `configuration`, by which MLflow's table groups them, and the tags `seed`,
    `fold`, `status` and ``jefficient.sweep``. A run that diverged is `FAILED`, one that was stopped
    or interrupted `KILLED`. A resumed sweep goes on with its runs.

    Args:
        experiment: the experiment's name; it is made if there is none.
        tracking_uri: where runs are kept, such as ``"sqlite:///mlflow.db"`` or the address of a
            server; by default what MLflow is set to.

    Returns:
        A `jf.Logger` for ``jf.sweep(log=…)`` and `Result.log`.

    Raises:
        JefficientError: if MLflow is not installed (extra `mlflow`).
    """
    with _without_warnings():
        library = import_optional(WHERE, "mlflow", "mlflow")
    return _MLflow(library, experiment, tracking_uri)


class _MLflow(Logger):
    def __init__(self, library: ModuleType, experiment: str, tracking_uri: str | None):
        self._mlflow = library
        self._experiment = experiment
        self._tracking_uri = tracking_uri
        self._client: Any = None
        self._id = ""  # of the experiment
        self._sweep = ""
        self._runs: dict[str, str] = {}  # of all trials of the sweep that have one
        self._open: set[str] = set()

    def __repr__(self) -> str:
        where = self._tracking_uri and _PASSWORD.sub("//", self._tracking_uri)
        return f"{WHERE}({self._experiment!r}, tracking_uri={where!r})"

    def log(self, trial: LoggedTrial, step: int, values: Mapping[str, float]) -> None:
        """Write one evaluation to the run of its trial."""
        now = round(time.time() * 1000)
        metric = self._mlflow.entities.Metric
        metrics = [metric(_named(name), x, now, step) for name, x in values.items()]
        with _without_warnings():
            self._client_of(trial.sweep).log_batch(self._run(trial), metrics=metrics)

    def end(self, trial: LoggedTrial, status: str) -> None:
        """End the run of a trial."""
        with _without_warnings():
            client = self._client_of(trial.sweep)
            run = self._run(trial)
            client.set_tag(run, "status", status)
            client.set_terminated(run, _STATUS.get(status, "KILLED"))
        self._open.discard(run)

    def close(self) -> None:
        """End the runs that an error has left."""
        with _without_warnings():
            for run in self._open:
                self._client.set_terminated(run, "KILLED")
        self._open.clear()

    def _client_of(self, sweep: str) -> Any:
        """Return the client, with the runs of a sweep, which another process may have begun."""
        if sweep != self._sweep:
            client = self._mlflow.MlflowClient(self._tracking_uri)
            found = client.get_experiment_by_name(self._experiment)
            self._id = found.experiment_id if found else client.create_experiment(self._experiment)
            runs = client.search_runs(
                [self._id], f"tags.`{_SWEEP}` = '{sweep}'", max_results=_MOST_RUNS
            )
            self._runs = {run.data.tags[_KEY]: run.info.run_id for run in runs}
            self._client, self._sweep = client, sweep
        return self._client

    def _run(self, trial: LoggedTrial) -> str:
        """Return the run of a trial: one that is open, or was begun by another process, or new."""
        run = self._runs.get(trial.key)
        if run is None:
            run = self._runs[trial.key] = self._begun(trial)
        elif run not in self._open:
            self._client.update_run(run, status="RUNNING")
        self._open.add(run)
        return run

    def _begun(self, trial: LoggedTrial) -> str:
        tags = {
            _KEY: trial.key,
            _SWEEP: trial.sweep,
            "configuration": trial.group,
            "config": str(trial.config),
            "seed": str(trial.seed),
            "fold": str(trial.fold),
        }
        name = f"{trial.group}, seed {trial.seed}, fold {trial.fold}"
        run = self._client.create_run(self._id, run_name=name, tags=tags).info.run_id
        param = self._mlflow.entities.Param
        params = [param(_named(name), str(x)) for name, x in trial.hyperparameters.items()]
        self._client.log_batch(run, params=params)
        return run


def _named(name: str) -> str:
    """Return a name as MLflow takes it: ``rates[0]`` is ``rates_0_``."""
    return _NOT_IN_NAMES.sub("_", name)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence what MLflow's own code is warned of by what it imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
