"""One of several processes on a study, which may kill itself: `python worker.py DATABASE N killed|spared`."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
from integrations.bowl import RANGES, score, sweep
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

import jefficient as jf

BATCH, NAME = 4, "shared"


def opened(database, has_heartbeats=False):
    """A storage that leaves no connection open."""
    waits = {"connect_args": {"timeout": 60}} if database.startswith("sqlite") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        beats = {
            "heartbeat_interval": 1,
            "grace_period": 2,
            "heartbeat_stale_trial_callback": optuna.storages.RetryHeartbeatStaleTrialCallback(),
        }
        kwargs = {"poolclass": NullPool, **waits}
        return optuna.storages.RDBStorage(database, engine_kwargs=kwargs, **(beats if has_heartbeats else {}))


def main(database, n, is_killed):
    def slowly(progress):
        if is_killed and progress.trials_done >= BATCH and progress.steps_done > BATCH * 6:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)

    storage = opened(database, has_heartbeats=True)
    sampler = optuna.samplers.RandomSampler(seed=int(is_killed))
    sweep(jf.optuna(sampler, n, batch=BATCH, storage=storage, study_name=NAME, **RANGES), progress=slowly)


def check_two_of_which_one_is_killed(database, n):
    """Nothing is lost, and nothing is told twice."""
    optuna.create_study(storage=opened(database), study_name=NAME)
    program = [sys.executable, __file__, database, str(n)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    both = [subprocess.Popen([*program, which], env=environment) for which in ("killed", "spared")]
    assert [process.wait(timeout=120) for process in both] == [-signal.SIGKILL, 0]
    study = optuna.load_study(study_name=NAME, storage=opened(database))
    trials = study.get_trials()
    lost = [t for t in trials if t.state == TrialState.FAIL and "failed" not in t.user_attrs]
    ended = [t for t in trials if t.state == TrialState.COMPLETE or "failed" in t.user_attrs]
    assert len(lost) == BATCH
    assert len(ended) == n
    assert len(trials) == n + len(lost)  # nothing is left running
    again = [t for t in ended if "failed_trial" in t.system_attrs]
    assert sorted(t.system_attrs["failed_trial"] for t in again) == [t.number for t in lost]
    assert all(t.params == trials[t.system_attrs["failed_trial"]].params for t in again)
    for t in ended:
        assert (t.state == TrialState.FAIL) == (t.params["rate"] > 0.1)
        if t.state == TrialState.COMPLETE:
            np.testing.assert_allclose(t.value, score(**t.params), rtol=1e-5)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "killed")
