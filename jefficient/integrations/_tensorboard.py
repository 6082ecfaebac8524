"""TensorBoard: evaluations of a sweep become scalars, its hyperparameters those of HParams."""

import os
import re
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .._core.logger import LoggedTrial, Logger
from ._model import import_optional

WHERE = "jf.tensorboard"
_FILE = "events.out.tfevents.0.jefficient"
_NOT_IN_PATHS = re.compile(r"[^\w.=,+-]+")


def tensorboard(directory: str | os.PathLike = "runs") -> Logger:
    """Write a sweep for TensorBoard: scalars of every trial, and HParams.

    Each trial is a run, ``<sweep>/<configuration>/seed-0-fold-0``. In the tab HParams the trials of
    a configuration are one group, whose values are averaged. Every evaluation is on the disk when
    the sweep goes on.

    Args:
        directory: where the runs go: ``tensorboard --logdir runs``.

    Returns:
        A `jf.Logger` for ``jf.sweep(log=…)`` and `Result.log`.

    Raises:
        JefficientError: if tensorboard is not installed (extra `tensorboard`).
    """
    return _TensorBoard(_Modules.imported(), Path(directory))


class _Modules(NamedTuple):
    """Modules of TensorBoard, none of which imports TensorFlow."""

    event: ModuleType
    summary: ModuleType
    record_writer: ModuleType
    hparams: ModuleType
    plugin_data: ModuleType
    api: ModuleType
    metadata: ModuleType

    @classmethod
    def imported(cls) -> "_Modules":
        """Import them."""
        hparams = "tensorboard.plugins.hparams"
        names = (
            "tensorboard.compat.proto.event_pb2",
            "tensorboard.compat.proto.summary_pb2",
            "tensorboard.summary.writer.record_writer",
            *(f"{hparams}.{x}" for x in ("summary_v2", "plugin_data_pb2", "api_pb2", "metadata")),
        )
        return cls(*(import_optional(WHERE, "tensorboard", name) for name in names))


class _TensorBoard(Logger):
    def __init__(self, modules: _Modules, directory: Path):
        self._modules = modules
        self._directory = directory

    def __repr__(self) -> str:
        return f"{WHERE}({str(self._directory)!r})"

    def log(self, trial: LoggedTrial, step: int, values: Mapping[str, float]) -> None:
        """Append one event with all scalars."""
        value = self._modules.summary.Summary.Value
        self._write(trial, step, [value(tag=name, simple_value=x) for name, x in values.items()])

    def end(self, trial: LoggedTrial, status: str) -> None:
        """Say in HParams how the trial ended; one that was interrupted may go on."""
        if status == "interrupted":
            return
        _, summary, _, _, plugin_data, api, metadata = self._modules
        session = plugin_data.SessionEndInfo(
            status=api.STATUS_FAILURE if status == "diverged" else api.STATUS_SUCCESS,
            end_time_secs=time.time(),
        )
        about = metadata.create_summary_metadata(
            plugin_data.HParamsPluginData(session_end_info=session)
        )
        tag = metadata.SESSION_END_INFO_TAG
        value = summary.Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
        self._write(trial, 0, [value])

    def _write(self, trial: LoggedTrial, step: int, values: list[Any]) -> None:
        """Append an event to the file of a trial, which begins with its hyperparameters."""
        event = partial(self._modules.event.Event, wall_time=time.time())
        events = [event(step=step, summary=self._modules.summary.Summary(value=values))]
        path = self._directory / _run(trial) / _FILE
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            given = {k: str(x) if x is None else x for k, x in trial.hyperparameters.items()}
            group = f"{trial.group} ({trial.sweep})"
            begin = self._modules.hparams.hparams_pb(given, trial_id=group)
            events = [event(file_version="brain.Event:2"), event(summary=begin), *events]
        with open(path, "ab") as file:
            writer = self._modules.record_writer.RecordWriter(file)
            for each in events:
                writer.write(each.SerializeToString())


def _run(trial: LoggedTrial) -> Path:
    """Name the run of a trial, as a path; configurations of like names differ by their hash."""
    group = _NOT_IN_PATHS.sub("_", trial.group.replace(", ", ","))
    return Path(trial.sweep) / f"{group}-{trial.hash[:6]}" / f"seed-{trial.seed}-fold-{trial.fold}"
