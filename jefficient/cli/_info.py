"""`jefficient info`."""

import argparse
import platform

from ._command import Commands, add_command

TEXT = """Versions and devices, as a bug report needs them.

example: jefficient info
next:    jefficient demo trains something on these devices."""


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, "info", "versions and devices, as a bug report needs them", TEXT, run)


def run(_: argparse.Namespace) -> int:
    """Print it."""
    print(info())
    return 0


def info() -> str:
    """List versions and devices, one a line."""
    import jax
    import optax

    import jefficient as jf

    devices = [f"{x.platform}:{x.id} ({x.device_kind})" for x in jax.devices()]
    lines = {
        "jefficient": jf.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "optax": optax.__version__,
        "devices": ", ".join(devices),
    }
    return "\n".join(f"{name:<11}{value}" for name, value in lines.items())
