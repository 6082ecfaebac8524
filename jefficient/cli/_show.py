"""`jefficient show`."""

import argparse
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from .._core.text import displayed, escaped
from ._command import Commands, add_command
from ._table import fitted

if TYPE_CHECKING:
    import pandas as pd

    from jefficient.results import Result

TEXT = """Print a result: its best configurations in a table, how many could be as good, where the
optimum is, and what the checks say. PATH is a file that result.save wrote, or the directory of a
sweep, which may still be running. Piped, the table is plain text, its columns separated by tabs;
within a cell a tab is \\t, a line break \\n, a backslash \\\\, and other control characters are
such as \\x1b.

With --follow a running sweep is drawn at every snapshot until it ends: the ranking with curves, how
far each trial under way is, the time left, what has diverged. In a pipe it is a line a snapshot.

With --json all of it is one object of JSON, whose entries the guide lists under "Command line".

example: jefficient show sweep.nc --top 20; jefficient show sweep --follow
next:    jefficient report sweep.nc writes it all as a page, with plots."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "show", "print a result: the best, ties, checks", TEXT, run)
    parser.add_argument(
        "path", metavar="PATH", help="a result's file (.nc), or the directory of a sweep"
    )
    parser.add_argument(
        "--top", metavar="N", type=_count, default=10, help="configurations to print (default: 10)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one object of JSON, for programs")
    form.add_argument(
        "--follow",
        action="store_true",
        help="show a running sweep until it ends: ranking, curves, lanes, time left",
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, got {text!r}")
    return int(text)


def run(chosen: argparse.Namespace) -> int:
    """Load and print."""
    import jefficient as jf

    from ._follow import follow
    from ._json import as_json

    if chosen.follow:
        code = follow(chosen.path, chosen.top)
        print_answer(jf.load(chosen.path))
        return code
    result = jf.load(chosen.path)
    if chosen.json:
        print(as_json(result, chosen.top))
    else:
        show(result, chosen.top)
    return 0


def show(result: "Result", top: int) -> None:
    """Print the table, the best, the ties and the checks."""
    frame = result.table()
    is_terminal = sys.stdout.isatty()
    write = displayed if is_terminal else escaped
    cells = frame.head(top).reset_index().map(lambda value: write(_text(value)))
    cells.columns = [write(str(name)) for name in cells.columns]
    if is_terminal:
        _print_table(cells)
    else:
        print("\t".join(cells.columns))
        for row in cells.itertuples(index=False):
            print("\t".join(row))
    rest = len(frame) - len(cells)
    configurations = "configuration" if rest == 1 else "configurations"
    print(f"\n{rest:,} more {configurations}: --top {len(frame)} prints all." if rest else "")
    print_answer(result)


def print_answer(result: "Result") -> None:
    """Print what the result says, in a terminal with line breaks between words."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in str(result).splitlines():
        print(textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False))


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_table(cells: "pd.DataFrame") -> None:
    """Print as many columns as fit, and the names of the others."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    table, left_out = fitted(cells, console.width)
    console.print(table)
    if left_out:
        console.print(Text(f"no room for: {', '.join(left_out)}"))
