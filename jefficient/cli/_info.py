"""`jefficient info`."""

import platform
from typing import Any

from ._command import add_command

TEXT = """Versions and devices, as a bug report needs them.

example: jefficient info
next:    jefficient demo trains something on these devices."""


def add(commands: Any) -> None:
    """Add the command."""
    add_command(commands, "info", "versions and devices, as a bug report needs them", TEXT, run)


def run(_: Any) -> int:
    """Print it."""
    print(info())
    return 0


def info() -> str:
    """Versions and devices, a line each."""
    import jax
    import optax

    import jefficient as jf

    devices = ", ".join(
        f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices()
    )
    lines = {
        "jefficient": jf.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "optax": optax.__version__,
        "devices": devices,
    }
    return "\n".join(f"{name:<11}{value}" for name, value in lines.items())
