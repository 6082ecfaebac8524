"""The command line: choose a command, and turn errors into a line and an exit code."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

import jefficient as jf

from .._core.errors import JefficientError
from .._core.text import displayed_lines
from . import _demo, _info, _report, _show

COMMANDS = (_demo, _show, _report, _info)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: by default those of the process.

    Returns:
        The exit code: 0 for success, or if who reads the output has enough; 1 for an error (a line
        on stderr), an output that cannot be written among them; 3 if a sweep that was followed was
        interrupted; 130 after Ctrl-C; wrong arguments end the process with 2.
    """
    parser = argparse.ArgumentParser(
        prog="jefficient",
        description="Compose gradient transformations, and train every value of a hyperparameter "
        "in one program.",
        epilog="Start with: jefficient demo. Your own sweep is a call of jf.sweep in Python; write "
        "it to disk with\nresult.save('sweep.nc') or directory='sweep', and read it here with show "
        "and report.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jefficient {jf.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return _guarded(lambda: _run(parser, arguments))


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help(sys.stderr)
        return 2
    return chosen.run(chosen)


def _guarded(command: Callable[[], int]) -> int:
    """Run a command; turn what it raises, and what becomes of its output, into an exit code."""
    is_closed = sys.stdout is None  # as `>&-` does
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where it is not UTF-8
    try:
        try:
            code = command()
        finally:
            sys.stdout.flush()  # errors of writing belong here
    except KeyboardInterrupt:
        return _failed("stopped by Ctrl-C.", 130)
    except BrokenPipeError:  # `jefficient show … | head` has read enough
        _discard_unwritten()
        return 0
    except (JefficientError, OSError) as error:
        _discard_unwritten()
        return _failed(str(error), 1)
    return _failed("the standard output is closed.", 1) if is_closed and code == 0 else code


def _nowhere() -> TextIO:
    """Open a stream that takes the place of a closed one, so that no file of ours gets it."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _failed(message: str, code: int) -> int:
    print(f"jefficient: {displayed_lines(message)}", file=sys.stderr)
    return code


def _discard_unwritten() -> None:
    """Discard what cannot be written: Python would try once more when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
