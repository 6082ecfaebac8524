"""How every command is added: a line for the list, a text that teaches, and what it calls."""

import argparse
from collections.abc import Callable
from typing import Any


def add_command(
    commands: Any, name: str, line: str, text: str, run: Callable[[Any], int]
) -> argparse.ArgumentParser:
    """A parser for the command's arguments; `text` keeps its lines."""
    parser = commands.add_parser(
        name, help=line, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser
