"""Databases of studies, and the heartbeats by which a process shows that its trials are alive."""

import threading
import warnings

import optuna
from sqlalchemy.pool import NullPool

SECONDS = 60
"""From one heartbeat to the next; a process that misses two is taken to have died."""

WAIT = 60
"""Seconds that a process waits for another one's lock on an SQLite file."""


def database_at(address: str) -> optuna.storages.RDBStorage:
    """Return a database whose lost trials are proposed again."""
    engine_kwargs = None
    if address.startswith("sqlite"):  # files are closed after each use: they open fast
        engine_kwargs = {"connect_args": {"timeout": WAIT}, "poolclass": NullPool}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            address,
            engine_kwargs=engine_kwargs,
            heartbeat_interval=SECONDS,
            grace_period=2 * SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )


class Heartbeats:
    """Heartbeats of trials, of each until `end`; none if the storage does not have them."""

    def __init__(self, study: optuna.Study):
        self._storage = study._storage
        self._ids: list[int] = []
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        interval = getattr(self._storage, "get_heartbeat_interval", lambda: None)()
        if interval is not None:
            self._thread = threading.Thread(target=self._go_on, args=(interval,), daemon=True)
            self._thread.start()

    def add(self, trial: optuna.Trial) -> None:
        """Begin with a trial at once: the next ones may take long to propose."""
        if self._thread is not None:
            self._beat(trial._trial_id)
            self._ids.append(trial._trial_id)

    def end(self) -> None:
        """Stop: the trials are told."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self, interval: float) -> None:
        while not self._is_over.wait(interval):
            for trial in list(self._ids):
                self._beat(trial)

    def _beat(self, trial: int) -> None:
        self._storage.record_heartbeat(trial)  # pyright: ignore[reportAttributeAccessIssue]
