"""The tiny task on examples that are not in memory: what the tests of sources share."""

import threading

import numpy as np
from sweeps import tiny

import jefficient as jf


def stored(path, array):
    """The array as a file, mapped."""
    file = np.memmap(path, array.dtype, "w+", shape=array.shape)
    file[:] = array
    file.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape)


class Counting:
    """A source that takes index arrays and records what was read."""

    def __init__(self, *arrays):
        self.arrays = arrays
        self.reads = []
        self.threads = set()

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, rows):
        self.threads.add(threading.current_thread().name)
        self.reads.append(np.atleast_1d(rows))
        return tuple(x[rows] for x in self.arrays)

    @property
    def rows_read(self):
        """All indices that were read, in order."""
        return np.concatenate(self.reads) if self.reads else np.array([], int)


class Items:
    """A source of one example at a time, as torch's Dataset; labels are Python's numbers."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        if not isinstance(row, int):
            raise TypeError(f"examples have one index, got {row!r}")
        return self.x[row], float(self.y[row])


def task(path, **changes):
    """The tiny task on memmaps."""
    return tiny.task(
        **{"data": (stored(path / "x", tiny.X), stored(path / "y", tiny.Y)), **changes}
    )


def space(n=5):
    return jf.grid(learning_rate=np.geomspace(1e-3, 0.3, n).tolist())
