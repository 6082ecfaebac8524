"""The command line as it is installed."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from results.made import made

import jefficient as jf
from jefficient.cli import main

COMMAND = Path(sys.executable).with_name("jefficient")


def test_info_names_versions_and_devices():
    done = subprocess.run([COMMAND, "info"], capture_output=True, text=True, check=True)
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


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("output") / "sweep.nc"
    return str(made([[[0.5]], [[0.4]]], {"activation": ["λ", "relu"]}).save(path))


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">&-", 1, "jefficient: the standard output is closed.\n"),
        (">/dev/full", 1, "jefficient: [Errno 28] No space left on device\n"),
        ("| true", 0, ""),
        (">&- 2>&-", 1, ""),
    ],
)
def test_an_output_that_cannot_be_written_is_a_line_and_an_exit_code(
    redirection, code, said, saved
):
    line = f'unset PYTHONUNBUFFERED; "$0" show "$1" {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", line, COMMAND, saved], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_an_output_that_has_no_such_letters_gets_escapes(saved):
    done = subprocess.run(
        [COMMAND, "show", saved],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert r"\u03bb" in done.stdout
