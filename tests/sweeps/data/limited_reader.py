"""A sweep over a file larger than its memory limit: `limited_reader.py FILE file|memory`."""

import resource
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf

ROWS, FEATURES = 300_000, 1_000  # 1.2 GB
ROOM = 500 * 2**20  # beside what the process has when it begins


def loss(params, batch):
    return jnp.mean((batch @ params - 1.0) ** 2)


def main(path, where):
    if not path.exists():
        np.memmap(path, np.float32, "w+", shape=(ROWS, FEATURES))  # holes, which read as zeros
    rows = np.memmap(path, np.float32, "r", shape=(ROWS, FEATURES))
    jax.jit(lambda x: x + 1)(jnp.zeros(3)).block_until_ready()  # jax has its threads
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limit = int(status["VmData"].split()[0]) * 1024 + ROOM
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    assert rows.nbytes > 2 * ROOM
    task = jf.Task(
        init=lambda key: jnp.zeros(FEATURES),
        loss=loss,
        data=rows if where == "file" else np.array(rows),
        validation=0.1,
    )
    result = jf.sweep(
        task,
        jf.sgd,
        jf.grid(learning_rate=[1e-3, 1e-2]),
        epochs=1,
        batch_size=1_000,
        progress=False,
        keep=None,
    )
    read = int(result.dataset["steps_taken"].max()) * 1_000 * FEATURES * 4
    assert read > 2 * ROOM
    print(*result.dataset["status"].values.ravel(), read)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
