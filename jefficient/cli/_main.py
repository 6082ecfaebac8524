"""Arguments of the command line."""

import argparse
import platform
import sys
from collections.abc import Sequence

import jax
import optax

import jefficient as jf


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: by default those of the process.

    Returns:
        The exit code: 0 for success; wrong arguments end the process with 2.
    """
    parser = argparse.ArgumentParser(
        prog="jefficient",
        description="Compose gradient transformations, and train every value of a hyperparameter in one program.",
        epilog="To sweep, call jf.sweep from Python: see the README and examples/01_learning_rate_sweep.py.",
    )
    parser.add_argument("--version", action="version", version=f"jefficient {jf.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("info", help="versions and devices, as a bug report needs them")
    chosen = parser.parse_args(arguments)
    if chosen.command is None:
        parser.print_help(sys.stderr)
        return 2
    print(info())
    return 0


def info() -> str:
    """Versions and devices, a line each."""
    devices = ", ".join(f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices())
    lines = {
        "jefficient": jf.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "optax": optax.__version__,
        "devices": devices,
    }
    return "\n".join(f"{name:<11}{value}" for name, value in lines.items())
