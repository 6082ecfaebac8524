"""A clean environment with nothing but `pip install .`: it imports and sweeps, and what is optional is asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("program.py")

pytestmark = pytest.mark.base_install


@pytest.fixture
def python(tmp_path_factory):
    """The interpreter of an environment that has jefficient and what it depends on; not this checkout."""
    folder = tmp_path_factory.mktemp("base")
    kept = shutil.ignore_patterns(
        "__pycache__", ".*", "tests", "docs", "site", "examples", "shared"
    )
    source = shutil.copytree(ROOT, folder / "source", ignore=kept)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-compile", source], check=True)
    return python


def test_it_does_with_the_base_install_alone(python, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-P", "-W", "error", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = ("transforms", "sweeps", "command_line", "extras")
    assert [line for line in done.stdout.splitlines() if line.endswith(": done")] == [
        f"{part}: done" for part in parts
    ]
