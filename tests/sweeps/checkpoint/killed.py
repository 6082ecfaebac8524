"""A sweep that may kill its own process: `python killed.py DIRECTORY OUTPUT SECONDS`.

Negative seconds are never.
"""

import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from sweeps import small


def main(directory, output, seconds):
    def killed_later(progress):
        if seconds >= 0 and progress.steps_done and threading.active_count() < 100:
            timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    result = small.sweep(n=96, directory=directory, snapshot_every=0.0, progress=killed_later)
    arrays = {
        str(name): x.values for name, x in result.dataset.drop_vars("seconds").variables.items()
    }
    output.write_bytes(pickle.dumps((arrays, dict(result.weights))))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
