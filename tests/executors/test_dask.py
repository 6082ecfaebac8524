"""A Dask cluster of processes, one of whose workers is killed in the middle."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from executors.test_parts import SETTINGS, assert_same
from sweeps import small

pytestmark = pytest.mark.clusters
TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}


@contextlib.contextmanager
def process(*arguments):
    with subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as started:
        yield started
        started.kill()


@pytest.fixture
def cluster(tmp_path):
    """A client, and the worker processes by name."""
    from distributed import Client

    file = str(tmp_path / "scheduler.json")
    with contextlib.ExitStack() as stack:
        start = lambda *arguments: stack.enter_context(process(*arguments))  # noqa: E731
        start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            file,
        )
        common = ("--scheduler-file", file, "--no-nanny", "--no-dashboard", "--nthreads", "1")
        workers = {name: start("worker", *common, "--name", name) for name in ("first", "second")}
        client = stack.enter_context(Client(scheduler_file=file, timeout=60, set_as_default=False))
        client.wait_for_workers(2, timeout=120)
        yield client, workers


def test_a_killed_worker_s_part_is_run_by_the_other(cluster, tmp_path):
    client, workers = cluster
    busy_when_killed = []

    def kill_one(progress):
        if not busy_when_killed:
            utilization = {
                info["name"]: list(client.processing()[address])
                for address, info in nodes(client).items()
            }
            busy_when_killed.append(utilization["second"])
            workers["second"].send_signal(signal.SIGKILL)

    with client.get_executor() as executor:
        result = small.sweep(
            **SETTINGS, executor=executor, parts=5, directory=tmp_path / "sweep", progress=kill_one
        )
    deadline = time.monotonic() + 30
    while len(nodes(client)) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [info["name"] for info in nodes(client).values()] == ["first"]
    assert busy_when_killed[0]  # it had a part in its hands
    assert_same(result, small.sweep(**SETTINGS))
    assert (result.dataset["status"] == "finished").all()


def nodes(client):
    return client.scheduler_info(n_workers=-1)["workers"]
