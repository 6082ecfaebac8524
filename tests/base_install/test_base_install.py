"""An environment with `pip install .` alone imports and sweeps, and names missing extras.

Once with the newest versions, once with the lowest that pyproject.toml allows.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("program.py")

pytestmark = pytest.mark.base_install


@pytest.fixture(params=["newest", "lowest"])
def python(request, tmp_path_factory):
    """The interpreter of an environment with jefficient and its dependencies alone."""
    folder = tmp_path_factory.mktemp("base")
    ignored = shutil.ignore_patterns(
        "__pycache__", ".*", "tests", "docs", "site", "examples", "shared"
    )
    source = shutil.copytree(ROOT, folder / "source", ignore=ignored)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-compile", source]
    if request.param == "lowest":
        bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        install += [bound.replace(">=", "==") for bound in bounds]
    subprocess.run(install, check=True)
    return python


def test_the_base_install_is_enough(python, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-P", "-W", "error", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = ("transforms", "sweeps", "command_line", "extras")
    assert [line for line in done.stdout.splitlines() if line.endswith(": done")] == [
        f"{part}: done" for part in parts
    ]
