"""What all commands have in common."""

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

Commands: TypeAlias = Any
"""What `argparse.ArgumentParser.add_subparsers` returns; its class is private."""


def add_command(
    commands: Commands, name: str, line: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command; return the parser for its arguments. The line breaks of `text` stay."""
    parser = commands.add_parser(
        name, help=line, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser
