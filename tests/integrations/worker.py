"""One of two processes on a study: `python worker.py DATABASE N FILE killed|spared`.

The one kills itself in its second batch. The other waits in its second batch for the file, which
says that the first one's heartbeats have been missing for long.
"""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
import sqlalchemy
from integrations.bowl import LOOKS, RANGES, score, sweep
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

import jefficient as jf

BATCH, NAME, GRACE = 4, "shared", 300


def opened(database, has_heartbeats=False):
    """A storage that leaves no connection open."""
    waits = {"connect_args": {"timeout": 60}} if database.startswith("sqlite") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        beats = {
            "heartbeat_interval": 1,
            "grace_period": GRACE,
            "heartbeat_stale_trial_callback": optuna.storages.RetryHeartbeatStaleTrialCallback(),
        }
        kwargs = {"poolclass": NullPool, **waits}
        return optuna.storages.RDBStorage(
            database, engine_kwargs=kwargs, **(beats if has_heartbeats else {})
        )


def main(database, n, file, is_killed):
    def at_work(progress):
        if progress.trials_done >= BATCH and progress.steps_done > BATCH * LOOKS[-1]:
            if is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
            while not file.exists():
                time.sleep(0.05)

    storage = opened(database, has_heartbeats=True)
    sampler = optuna.samplers.TPESampler(seed=0)  # the same in both processes
    sweep(
        jf.optuna(sampler, n, batch=BATCH, storage=storage, study_name=NAME, **RANGES),
        progress=at_work,
    )


def check_two_of_which_one_is_killed(database, n, folder):
    """Nothing is lost, and nothing is told twice."""
    optuna.create_study(storage=opened(database), study_name=NAME)
    file = folder / "the other has died"
    program = [sys.executable, __file__, database, str(n), file]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        ),
    }
    killed, spared = [
        subprocess.Popen([*program, which], env=environment) for which in ("killed", "spared")
    ]
    try:
        assert killed.wait(timeout=600) == -signal.SIGKILL
        with opened(
            database
        ).engine.begin() as connection:  # instead of waiting; who lives has another in a second
            connection.execute(
                sqlalchemy.text(
                    "UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00.000000'"
                )
            )
        file.touch()
        assert spared.wait(timeout=600) == 0
    finally:
        for process in (killed, spared):
            process.kill()
            process.wait()
    study = optuna.load_study(study_name=NAME, storage=opened(database))
    trials = study.get_trials()
    lost = [t for t in trials if t.state == TrialState.FAIL and "failed" not in t.user_attrs]
    ended = [t for t in trials if t.state == TrialState.COMPLETE or "failed" in t.user_attrs]
    assert len(lost) == BATCH
    assert len(ended) == n
    assert len(trials) == n + len(lost)  # nothing is left running
    again = [t for t in ended if "failed_trial" in t.system_attrs]
    assert len({tuple(t.params.values()) for t in ended}) == n
    assert sorted(t.system_attrs["failed_trial"] for t in again) == [t.number for t in lost]
    assert all(t.params == trials[t.system_attrs["failed_trial"]].params for t in again)
    for t in ended:
        assert (t.state == TrialState.FAIL) == (t.params["rate"] > 0.1)
        if t.state == TrialState.COMPLETE:
            np.testing.assert_allclose(t.value, score(**t.params), rtol=1e-5)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "killed")
