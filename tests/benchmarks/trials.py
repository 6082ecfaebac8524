"""What many trials cost beside their training, by stage of the sweep and number of trials.

    python tests/benchmarks/trials.py [--trials 1000 10000 100000] [--space sobol]
        [--evaluations 4] [--seeds 1] [--width 1024] [--keep last] [--stop halving]
        [--profile prepare]

Every number of trials runs in a process of its own. The columns are CPU seconds of all threads;
those of the host's thread, without compiling and training; CPU time per trial; wall time; and how
far memory has grown at its peak so far. Other processes lengthen CPU time less than wall time, so
compare it from line to line to see what is linear.
"""

import argparse
import contextlib
import cProfile
import io
import json
import pickle
import pstats
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from timing import machine

import jefficient as jf
from jefficient._core.devices import Machine
from jefficient.results import Result, concatenated
from jefficient.sweeps.checkpoint._checkpointer import Checkpointer
from jefficient.sweeps.checkpoint._labels import attributes, dataset_of
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._assemble import assemble
from jefficient.sweeps.planning._plan import plan_of
from jefficient.sweeps.planning._settings import Settings

ROWS, FEATURES, STEPS = 64, 8, 16
PARTS = 8
"""Into which the dataset is split, to be concatenated again."""

SPACES = {
    "sobol": lambda n: jf.sobol(
        n, learning_rate=jf.LogUniform(1e-4, 1e-1), l2=jf.Uniform(0.0, 1e-2)
    ),
    "random": lambda n: jf.random(
        n, learning_rate=jf.LogUniform(1e-4, 1e-1), l2=jf.Uniform(0.0, 1e-2)
    ),
    "grid": lambda n: jf.grid(
        learning_rate=np.geomspace(1e-4, 1e-1, -(-n // 10)), l2=np.linspace(0.0, 1e-2, 10)
    ),
}

RULES = {
    None: None,
    "halving": jf.successive_halving(eta=3, min_steps=4),
    "median": jf.median_stop(min_steps=4),
}


def task():
    """Make a task of a linear regression with eight weights."""
    x = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype(np.float32)
    return jf.Task(
        init=lambda key: jax.random.normal(key, (FEATURES,)),
        loss=lambda w, batch: ((batch["x"] @ w - batch["y"]) ** 2).mean(),
        data={"x": x, "y": x.sum(axis=1)},
        validation=0.25,
    )


def optimizer(learning_rate, l2):
    """Adam with decoupled decay."""
    return jf.adamw(learning_rate, weight_decay=l2)


class Stages:
    """Costs of the stages of a sweep."""

    def __init__(self, profiled):
        self.costs = {}
        self._profiled = profiled

    @contextlib.contextmanager
    def __call__(self, name):
        profile = cProfile.Profile() if name == self._profiled else None
        if profile is not None:
            profile.enable()
        wall, cpu, host = time.perf_counter(), time.process_time(), time.thread_time()
        yield
        ends = time.perf_counter() - wall, time.process_time() - cpu, time.thread_time() - host
        if profile is not None:
            profile.disable()
            text = io.StringIO()
            pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(40)
            print(text.getvalue(), file=sys.stderr)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.costs[name] = dict(zip(("wall", "cpu", "host", "peak"), (*ends, peak), strict=True))


def measured(n, given):
    """Measure every stage of one sweep in this process."""
    warnings.simplefilter("ignore")
    settings = {
        "steps": STEPS,
        "batch_size": 8,
        "eval_every": -(-STEPS // given.evaluations),
        "seeds": given.seeds,
        "keep": given.keep,
        "stop": RULES[given.stop],
    }
    # Whatever is imported and compiled once is not measured.
    jf.sweep(task(), optimizer, SPACES[given.space](40), **settings, progress=False)
    stage = Stages(given.profile)
    configs = n // given.seeds
    with stage("start"):
        pass
    with stage("space"):
        the_space = SPACES[given.space](configs)
    with stage("prepare"):
        spec = prepare(task(), optimizer, the_space, Settings(**settings))
    machine = Machine.here()
    with stage("plan"):
        plan = plan_of(spec, machine)
    if given.width is not None:
        plan = plan.with_widths([given.width])
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        count = 0

        def report(progress):
            nonlocal count
            count += 1

        with stage("assemble"):
            scheduler = assemble(spec, plan, machine, report, stack)
        with stage("compile"):
            scheduler.compiler(scheduler.queues[0], scheduler.devices[0])
        with stage("run"):
            scheduler.run()
        with stage("dataset"):
            record = scheduler.record
            about = attributes(spec, plan, record.seconds, record.utilization)
            dataset = dataset_of(spec, record, about)
        result = Result(dataset, dict(the_space.columns))
        with stage("table"):
            result.table()
        with stage("best"):
            result.best()
        with stage("ties"):
            result.ties()
        with stage("checks"):
            result.checks()
        path = Path(folder) / "sweep.nc"
        with stage("save"):
            result.save(path)
        with stage("load"):
            jf.load(path)
        halves = [Result(dataset.isel(config=x)) for x in np.array_split(np.arange(configs), 2)]
        with stage("two + two"):
            sum(halves)
        cut = [dataset.isel(config=x) for x in np.array_split(np.arange(configs), PARTS)]
        with stage("parts sent"):  # what a worker packs, and what unpacks it
            packed = [pickle.dumps(part) for part in cut]
            cut = [pickle.loads(part) for part in packed]
        with stage("parts together"):
            concatenated(cut, np.arange(configs))
        with stage("checkpointer, begin"):
            checkpointer = Checkpointer(spec, Path(folder) / "sweep", 0.0)
            checkpointer.begin(scheduler, plan)
        with stage("snapshot"):
            checkpointer.at_boundary(scheduler)
        checkpointer.close()
        again = Checkpointer(spec, Path(folder) / "sweep", 0.0)
        with stage("resume"):
            scheduler = assemble(spec, plan, machine, report, stack)
            again.begin(scheduler, plan)
        again.close()
        with stage("show directory"):
            jf.load(Path(folder) / "sweep")
        sizes = {
            "segments": count,
            "width": plan.programs[0].width,
            "dataset": dataset.nbytes,
            "parts": sum(map(len, packed)),
            "file": path.stat().st_size,
            "snapshot": sum(
                x.stat().st_size for x in (Path(folder) / "sweep").glob("*") if x.is_file()
            )
            // 2,
        }
    return {"configs": configs, **sizes, "stages": stage.costs}


def print_table(n, found):
    """Print a table of one sweep."""
    print(
        f"\n{n:,} trials of {found['configs']:,} configurations, blocks of {found['width']} lanes, "
        f"{found['segments']:,} segments; {machine()}"
    )
    for name in ("dataset", "parts", "file", "snapshot"):
        print(f"  {name}: {found[name] / 2**20:,.1f} MiB, {found[name] / n:,.0f} bytes a trial")
    first = found["stages"].pop("start")["peak"]
    print(
        f"  {'stage':<16}{'CPU s':>10}{'of the host':>13}{'µs a trial':>12}{'wall s':>9}"
        f"{'peak + MiB':>12}"
    )
    for name, x in found["stages"].items():
        grown = (x["peak"] - first) / 2**20
        print(
            f"  {name:<16}{x['cpu']:>10.3f}{x['host']:>13.3f}{1e6 * x['cpu'] / n:>12.1f}"
            f"{x['wall']:>9.2f}{grown:>12.1f}"
        )
    run = found["stages"]["run"]
    print(f"  the host spends {1e3 * run['host'] / found['segments']:.3f} ms a segment", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--space", choices=SPACES, default="sobol")
    parser.add_argument("--evaluations", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--width", type=int, help="lanes in a block, instead of the plan's")
    parser.add_argument("--keep", choices=("last", "best"), help="weights; by default none")
    parser.add_argument(
        "--stop", choices=[x for x in RULES if x], help="configurations early; by default none"
    )
    parser.add_argument("--profile", help="a stage, whose profile goes to stderr")
    parser.add_argument("--one", action="store_true", help="in this process, as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.trials[0], given)))
        sys.exit()
    own = [
        "--one",
        *(
            f"--{name}={x}"
            for name, x in vars(given).items()
            if x and name not in ("trials", "one")
        ),
    ]
    for n in given.trials:
        command = [sys.executable, __file__, *own, "--trials", str(n)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print_table(n, json.loads(done.stdout.splitlines()[-1]))
