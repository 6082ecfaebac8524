"""One of several processes on a study, which may kill itself: `python worker.py DATABASE N killed|spared`."""

import os
import signal
import sys
import time
import warnings

import optuna
from integrations.bowl import RANGES, sweep

import jefficient as jf

BATCH, NAME = 4, "shared"


def main(database, n, is_killed):
    def slowly(progress):
        if is_killed and progress.trials_done >= BATCH and progress.steps_done > BATCH * 6:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            database,
            heartbeat_interval=1,
            grace_period=2,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            engine_kwargs={"connect_args": {"timeout": 60}},
        )
    sampler = optuna.samplers.RandomSampler(seed=int(is_killed))
    sweep(jf.optuna(sampler, n, batch=BATCH, storage=storage, study_name=NAME, **RANGES), progress=slowly)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "killed")
