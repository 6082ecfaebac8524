"""Where a study is kept, and how a process shows that it still works on its trials."""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from sqlalchemy.pool import NullPool

SECONDS = 60
"""From one heartbeat to the next; who misses two has died."""

WAIT = 60
"""Seconds that a process waits for another's lock on SQLite's file."""


def opened(
    sampler: Any, storage: Any, study_name: str | None, mode: str
) -> tuple[optuna.Study, Callable[[], None]]:
    """The study of this name, or a new one, and what closes its connections until it is used again."""
    database = database_at(storage) if isinstance(storage, str) else None
    study = optuna.create_study(
        storage=storage if database is None else database,
        sampler=sampler,
        study_name=study_name,
        direction="minimize" if mode == "min" else "maximize",
        load_if_exists=study_name is not None,
    )
    return study, (lambda: None) if database is None else database.engine.dispose


def database_at(address: str) -> optuna.storages.RDBStorage:
    """A database whose lost trials are proposed again.

    Files are closed after each use, as they open fast.
    """
    is_file = address.startswith("sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            address,
            engine_kwargs={"connect_args": {"timeout": WAIT}, "poolclass": NullPool}
            if is_file
            else None,
            heartbeat_interval=SECONDS,
            grace_period=2 * SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )


class Heartbeats:
    """Of some trials, from now on until the end; where the storage has none, nothing."""

    def __init__(self, study: optuna.Study, trials: Sequence[optuna.Trial]):
        self._storage, self._ids = study._storage, [trial._trial_id for trial in trials]
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        interval = getattr(self._storage, "get_heartbeat_interval", lambda: None)()
        if interval is not None:
            self._beat()
            self._thread = threading.Thread(target=self._go_on, args=(interval,), daemon=True)
            self._thread.start()

    def end(self) -> None:
        """The trials are told."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self, interval: float) -> None:
        while not self._is_over.wait(interval):
            self._beat()

    def _beat(self) -> None:
        for trial in self._ids:
            self._storage.record_heartbeat(trial)  # pyright: ignore[reportAttributeAccessIssue]
