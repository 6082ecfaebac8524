"""A sweep whose process is killed beside its worker: `python orphaned.py DIRECTORY`."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from sweeps import tiny

import jefficient as jf


def kill_when_begun(directory):
    while not list(directory.glob("part-*/*.json")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def main(directory):
    threading.Thread(target=kill_when_begun, args=(directory,), daemon=True).start()
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        tiny.sweep(
            tiny.task(validation=0.2),
            jf.grid(learning_rate=[0.1]),
            steps=100_000_000,
            eval_every=1_000_000,
            directory=directory,
            snapshot_every=0.0,
            executor=pool,
            parts=1,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
