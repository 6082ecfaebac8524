"""Kill processes at random moments, resume, and compare bitwise with what was never interrupted.

    python tests/benchmarks/kills.py --kills 30 --seed 0

A process is killed (SIGKILL) up to three times before it may come to its end. The moments are drawn
evenly over the time that the uninterrupted call takes, compilation included.
"""

import argparse
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

import numpy as np  # noqa: E402
import optuna  # noqa: E402
import processes  # noqa: E402
import sqlalchemy  # noqa: E402
from integrations import bowl, worker  # noqa: E402
from sweeps import small, sources  # noqa: E402

import jefficient as jf  # noqa: E402

POINTS = 40


def sweep_in_a_directory(folder):
    """Stopping, folds and seeds, checkpointed weights; a snapshot after every segment."""
    return arrays_of(small.sweep(n=96, directory=folder / "sweep", snapshot_every=0.0))


def branches_in_directories(folder):
    """Half the updates, the states kept; branches that start from them; then all of them longer.

    Each in its directory; the last goes on in that of the first.
    """
    settings = {"stop": None, "diverged_above": None, "keep_configs": 24, "snapshot_every": 0.0}
    settings |= {"keep_states": "last", "n": 24}
    kept = folder / "kept"
    if not (folder / "is longer").exists():  # else the first is too far to be called again
        half = small.sweep(steps=30, directory=kept, **settings)
        branch = small.sweep(start=half, directory=folder / "branch", **settings)
        result = arrays_of(branch)
        (folder / "branches.pickle").write_bytes(pickle.dumps(result))
        (folder / "is longer").touch()
    else:
        result = pickle.loads((folder / "branches.pickle").read_bytes())
    longer = arrays_of(small.sweep(directory=kept, **settings))
    return result | {f"longer {name}": x for name, x in longer.items()}


def source_in_a_directory(folder):
    """Examples are read from files while lanes train."""
    settings = {"directory": folder / "sweep", "snapshot_every": 0.0, "progress": False}
    return arrays_of(
        jf.sweep(
            sources.task(folder, validation=0.2),
            jf.adam,
            sources.space(16),
            **settings,
            steps=400,
            eval_every=20,
            batch_size=4,
            seeds=2,
        )
    )


def parts_of_an_executor(folder):
    """Four parts in two processes; those of a sweep that was killed give their folders back."""
    ends = time.monotonic() + 60
    while True:
        try:
            with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
                result = small.sweep(
                    n=48,
                    stop=None,
                    executor=pool,
                    parts=4,
                    directory=folder / "sweep",
                    snapshot_every=0.0,
                )
            return arrays_of(result)
        except jf.JefficientError as error:
            if "directory must be free" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(0.1)


def study(folder):
    """As many different points as without a kill, each with the value that it has in a table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{folder}/study.db"
    miss_heartbeats(storage)
    search = jf.optuna(
        optuna.samplers.TPESampler(seed=0),
        POINTS,
        batch=8,
        storage=storage,
        study_name="killed",
        **bowl.RANGES,
    )
    bowl.sweep(search)

    trials = search.study.get_trials()
    told = [x for x in trials if x.state == optuna.trial.TrialState.COMPLETE]
    failed = [x for x in trials if "failed" in x.user_attrs]
    points = {name: [x.params[name] for x in told] for name in bowl.RANGES}
    table = bowl.sweep(jf.Space(points)).dataset["valid_loss"].values[:, 0, 0, -1]
    return {
        "points": np.array(len({tuple(x.params.values()) for x in told + failed})),
        "is that of the table": np.array([x.value for x in told] == table.tolist()),
        "diverges": np.array(all(x.params["rate"] > 0.1 for x in failed)),
    }


def save(folder):
    """A file of before is replaced: it is the one or the other at any moment."""
    kept, old, new = (folder / name for name in ("kept.nc", "old.nc", "new.nc"))
    if not new.exists():
        for path, n in ((old, 4), (new, 24)):
            small.sweep(n=n, keep=None, stop=None).save(folder / f"partial-{path.name}")
        shutil.copy(folder / "partial-old.nc", kept)
        for path in (old, new):
            (folder / f"partial-{path.name}").rename(path)

    found = arrays_of(jf.load(kept))
    if not any(same(found, arrays_of(jf.load(path))) for path in (old, new)):
        raise AssertionError(f"{kept} is neither what it was nor what was saved")
    result = jf.load(new)
    return lambda: (result.save(kept), arrays_of(jf.load(kept)))[1]


KINDS = {
    "sweep, `directory=`": sweep_in_a_directory,
    "branches and longer trials, `directory=`": branches_in_directories,
    "source, `directory=`": source_in_a_directory,
    "`executor=`, `directory=`": parts_of_an_executor,
    "Optuna study": study,
    "`save`": save,
}


def miss_heartbeats(storage):
    """Let the last heartbeats be long ago, instead of waiting for two minutes."""
    engine = worker.opened(storage).engine
    if sqlalchemy.inspect(engine).has_table("trial_heartbeats"):
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00'")
            )


def arrays_of(result):
    """All that must have the same bits."""
    variables = result.dataset.drop_vars("seconds").variables.items()
    weights = {
        f"weights {trial} {i}": np.asarray(leaf)
        for trial, tree in result.weights.items()
        for i, leaf in enumerate(tree.values() if isinstance(tree, dict) else [tree])
    }
    return {str(name): x.values for name, x in variables} | weights


def same(got, expected):
    """Whether names, dtypes and bits are equal, NaN included."""
    return got.keys() == expected.keys() and all(
        got[name].dtype == x.dtype and np.array_equal(got[name], x, equal_nan=x.dtype.kind == "f")
        for name, x in expected.items()
    )


def child(kind, folder, output, seconds):
    """Do the work, and end it by SIGKILL after some seconds unless they are negative."""
    work = KINDS[kind]
    if work is save:  # what comes before is not what is tried
        prepared = save(folder)
    begun = time.monotonic()
    if seconds >= 0:
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    arrays = prepared() if work is save else work(folder)
    output.write_bytes(pickle.dumps((arrays, time.monotonic() - begun)))


def run(kind, folder, seconds):
    """Return the exit code, and what the work has left if it came to its end."""
    output = folder / "output"
    output.unlink(missing_ok=True)
    path = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    done = processes.run(__file__, "--child", kind, folder, output, seconds, env=path)
    if done.returncode == 0:
        return 0, *pickle.loads(output.read_bytes())
    if done.returncode != -signal.SIGKILL:
        print(done.stderr, file=sys.stderr, flush=True)
    return done.returncode, None, 0.0


def attack(kind, kills, seed):
    """Print the row of a kind."""
    draw = random.Random(f"{kind} {seed}")
    with tempfile.TemporaryDirectory() as name:
        run(kind, Path(name), -1)  # caches are warm from here on
    with tempfile.TemporaryDirectory() as name:
        code, expected, seconds = run(kind, Path(name), -1)
    assert code == 0

    killed = ended = equal = 0
    while killed < kills:
        with tempfile.TemporaryDirectory() as name:
            for _ in range(min(draw.randint(1, 3), kills - killed)):
                killed += run(kind, Path(name), draw.uniform(0, seconds))[0] == -signal.SIGKILL
            code, got, _ = run(kind, Path(name), -1)
            ended += 1
            equal += code == 0 and same(got, expected)
    print(f"| {kind} | {seconds:.2f} | {killed} | {ended} | {equal} |", flush=True)


def main():
    """Read the arguments, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    arguments = parser.parse_args()
    print("| what | seconds uninterrupted | kills | came to their end | the same bits |")
    print("|---|---|---|---|---|", flush=True)
    for kind in arguments.kinds:
        attack(kind, arguments.kills, arguments.seed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), float(sys.argv[5]))
    else:
        main()
