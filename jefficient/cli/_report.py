"""`jefficient report`."""

from pathlib import Path
from typing import Any

from ._command import add_command

TEXT = """Write one HTML page to pass on: the answer, what could be as good, checks, pictures, every configuration.
It needs no network and no other file. PATH is what result.save wrote, or the directory of a sweep, also of one that
is running: then it says what is best so far.

example: jefficient report sweep.nc --output digits.html
next:    open the page in a browser. jefficient show prints the same in the terminal."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(commands, "report", "write an HTML page on a result", TEXT, run)
    parser.add_argument(
        "path", metavar="PATH", help="a result's file (.nc), or the directory of a sweep"
    )
    parser.add_argument(
        "--output", metavar="FILE", default="report.html", help="the page (default: report.html)"
    )
    parser.add_argument("--title", help="of the page")


def run(chosen: Any) -> int:
    """Load, write, say where."""
    import jefficient as jf

    print(jf.load(chosen.path).report(Path(chosen.output), title=chosen.title))
    return 0
