"""`jefficient report`."""

import argparse
from pathlib import Path

from ._command import Commands, add_command

TEXT = """Write an HTML page: the answer, what could be as good, checks, plots, the table of all
configurations. It is one file that needs no network. PATH is a file that result.save wrote, or the
directory of a sweep; if that is still running, the page has the best so far.

example: jefficient report sweep.nc --output digits.html
next:    open the page in a browser. jefficient show prints the same in the terminal."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "report", "write an HTML page on a result", TEXT, run)
    parser.add_argument(
        "path", metavar="PATH", help="a result's file (.nc), or the directory of a sweep"
    )
    parser.add_argument(
        "--output", metavar="FILE", default="report.html", help="the page (default: report.html)"
    )
    parser.add_argument("--title", help="of the page")


def run(chosen: argparse.Namespace) -> int:
    """Load, write, print the path."""
    import jefficient as jf

    print(jf.load(chosen.path).report(Path(chosen.output), title=chosen.title))
    return 0
