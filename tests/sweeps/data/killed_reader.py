"""A sweep over files that may kill its process: `killed_reader.py FOLDER NAME OUTPUT ROUNDS`."""

import os
import signal
import sys
from pathlib import Path

from sweeps import sources, tiny

import jefficient as jf


def main(folder, name, output, rounds):
    seen = []

    def killed_later(progress):
        seen.append(progress)
        if 0 <= rounds < len(seen):
            os.kill(os.getpid(), signal.SIGKILL)

    files = folder / name
    files.mkdir(exist_ok=True)
    stop = jf.successive_halving(eta=2, min_steps=12)
    result = tiny.sweep(
        sources.task(files, validation=0.3),
        sources.space(12),
        steps=48,
        eval_every=6,
        seeds=2,
        stop=stop,
        directory=files / "sweep",
        snapshot_every=0.0,
        progress=killed_later,
    )
    result.save(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
