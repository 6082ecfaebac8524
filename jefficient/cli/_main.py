"""The command line: choose a command, and turn errors into a line and an exit code."""

import argparse
import sys
from collections.abc import Sequence

import jefficient as jf

from . import _demo, _info, _report, _show

COMMANDS = (_demo, _show, _report, _info)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: by default those of the process.

    Returns:
        The exit code: 0 for success, 1 for an error (a line on stderr), 130 after Ctrl-C; wrong
        arguments end the process with 2.
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
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help(sys.stderr)
        return 2
    try:
        return chosen.run(chosen)
    except KeyboardInterrupt:
        print("jefficient: stopped by Ctrl-C.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `jefficient show … | head` has read enough
        sys.stderr.close()
        return 0
    except (jf.JefficientError, OSError) as error:
        print(f"jefficient: {error}", file=sys.stderr)
        return 1
