"""A study in PostgreSQL, on a server of the test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import optuna
import pytest
from integrations import worker
from integrations.bowl import RANGES, sweep

import jefficient as jf

pytestmark = pytest.mark.postgres

USER = "postgres"
"""Whom Debian's package makes; the server refuses to run as root."""


def run(program, *arguments):
    """As an ordinary user, where the tests run as root."""
    (folder,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    user = USER if os.geteuid() == 0 else None
    command = [str(folder / program), *map(str, arguments)]
    subprocess.run(command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def server():
    folder = tempfile.mkdtemp(prefix="jefficient-postgres-")
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        place = f"{folder}/data"
        run("initdb", "-D", place, "-A", "trust", "-U", "tests", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        run("pg_ctl", "start", "-w", "-D", place, "-o", options, "-l", f"{folder}/log")
        try:
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-w", "-D", place, "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def database():
    with server() as address:
        yield address


def test_a_study_begins_and_goes_on(database):
    place = {"storage": database, "study_name": "long"}
    sweep(jf.optuna(optuna.samplers.TPESampler(seed=0), 4, batch=4, **place, **RANGES))
    again = jf.optuna(optuna.samplers.TPESampler(seed=1), 10, batch=4, **place, **RANGES)
    assert sweep(again).dataset["optuna_trial"].values.tolist() == [4, 5, 6, 7, 8, 9]


def test_two_processes_share_a_study_and_one_is_killed(database, tmp_path):
    worker.check_two_of_which_one_is_killed(database, n=28, folder=tmp_path)
