"""Weights & Biases: every trial of a sweep becomes a run of a project."""

import hashlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .._core.errors import ArgumentError
from .._core.logger import LoggedTrial, Logger
from ._model import import_optional

WHERE = "jf.wandb"


def wandb(project: str = "jefficient", **init: object) -> Logger:
    """Write a sweep to Weights & Biases: every trial is a run, grouped by configuration.

    Trials under way are open runs side by side; a run that diverged has failed. The summary of a
    run has `status`. A resumed sweep goes on with its runs; offline these are further folders of
    the same run, which ``wandb sync`` puts together.

    Args:
        project: the project's name.
        **init: further arguments of ``wandb.init``, such as ``mode="offline"``, `dir`, `entity`,
            `tags`, `settings` or `config`, to which that of the trial is added.

    Returns:
        A `jf.Logger` for ``jf.sweep(log=…)`` and `Result.log`.

    Raises:
        ArgumentError: if `id`, `name`, `group`, `resume` or `reinit` is given.
        JefficientError: if wandb is not installed (extra `wandb`).
    """
    for name in sorted({"id", "resume", "reinit", "group", "name"} & set(init)):
        raise ArgumentError(
            f"{WHERE}: {name} must be left to the trials, each of which is a run, got "
            f"{name}={init[name]!r}."
        )
    return _Wandb(import_optional(WHERE, "wandb", "wandb"), project, init)


class _Wandb(Logger):
    def __init__(self, wandb: ModuleType, project: str, init: Mapping[str, Any]):
        self._wandb = wandb
        self._project = project
        self._init = dict(init)
        self._runs: dict[str, Any] = {}  # of trials under way

    def __repr__(self) -> str:
        where = {x: self._init[x] for x in ("entity", "mode", "dir") if x in self._init}
        named = [f"{name}={value!r}" for name, value in where.items()]
        return f"{WHERE}({', '.join([repr(self._project), *named])})"

    def log(self, trial: LoggedTrial, step: int, values: Mapping[str, float]) -> None:
        """Write one evaluation to the run of its trial."""
        self._run(trial).log(dict(values), step=step)

    def end(self, trial: LoggedTrial, status: str) -> None:
        """Finish the run of a trial."""
        run = self._run(trial)
        run.summary["status"] = status
        run.finish(exit_code=int(status == "diverged"))
        del self._runs[trial.key]

    def close(self) -> None:
        """Finish the runs that an error has left, as failed."""
        while self._runs:
            self._runs.popitem()[1].finish(exit_code=1)

    def _run(self, trial: LoggedTrial) -> Any:
        if trial.key not in self._runs:
            place = {"sweep": trial.sweep, "seed": trial.seed, "fold": trial.fold}
            given = {**self._init.get("config", {}), **place, **trial.hyperparameters}
            about = {
                "project": self._project,
                "id": hashlib.sha256(trial.key.encode()).hexdigest()[:16],
                "name": f"{trial.group}, seed {trial.seed}, fold {trial.fold}",
                "group": f"{trial.group} ({trial.sweep})",
                "resume": "allow",
                "reinit": "create_new",
            }
            self._runs[trial.key] = self._wandb.init(**{**about, **self._init, "config": given})
        return self._runs[trial.key]
