"""The command line as it is installed."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jefficient as jf
from jefficient.cli import main


def test_info_names_versions_and_devices():
    command = Path(sys.executable).with_name("jefficient")
    done = subprocess.run([command, "info"], capture_output=True, text=True, check=True)
    assert f"jax        {jax.__version__}" in done.stdout
    assert "cpu:0" in done.stdout


def test_no_command_shows_the_help_and_fails(capsys):
    assert main([]) == 2
    assert "info" in capsys.readouterr().err


def test_version_and_unknown_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert jf.__version__ in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["dance"])
    assert ended.value.code == 2


def test_help_is_there_before_jax_is_loaded():
    program = (
        "import sys; from jefficient.cli import main; import contextlib\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "sys.exit(any(x in sys.modules for x in ('jax', 'optax', 'numpy', 'xarray')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "jefficient demo" in done.stdout
