"""MPI with real ranks on this machine, and SLURM's submitit with its local jobs."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from executors.test_parts import SETTINGS, assert_same
from sweeps import small

import jefficient as jf

pytestmark = pytest.mark.clusters
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def whole():
    return small.sweep(**SETTINGS)


def test_mpi_ranks_give_the_same_bits(whole, tmp_path):
    output = tmp_path / "sweep.nc"
    python = ["-m", "mpi4py.futures", str(TESTS / "executors" / "by_mpi.py"), str(output)]
    command = [str(Path(sys.executable).with_name("mpiexec")), "-n", "3", sys.executable, *python]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same(jf.load(output), whole)


class Slurm(ThreadPoolExecutor):
    """Each part is a job; a thread waits for it."""

    def __init__(self, jobs, most):
        super().__init__(most)
        self.jobs = jobs

    def submit(self, function, /, *arguments):
        return super().submit(lambda: self.jobs.submit(function, *arguments).result())


def test_submitit_s_jobs_give_the_same_bits(whole, tmp_path, monkeypatch):
    import submitit

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    jobs = submitit.AutoExecutor(folder=tmp_path, cluster="local")
    jobs.update_parameters(timeout_min=5)
    with Slurm(jobs, most=2) as executor:
        assert_same(small.sweep(**SETTINGS, executor=executor, parts=2), whole)
