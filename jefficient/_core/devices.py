"""Two settings of the machine that a sweep profits from; both are jax's own, gathered here."""

import math
import os
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from . import checks
from .errors import JefficientError
from .typing import Device


def use_cpu_devices(count: int | None = None) -> None:
    """Turn a CPU's cores into jax devices; a sweep runs its blocks on all of them.

    To be called before jax is first used in the process: jax fixes its devices then. The
    environment variable ``JAX_NUM_CPU_DEVICES`` does the same from outside. A sweep keeps all cores
    busy without it (its blocks run side by side on one device); devices help code of your own that
    spreads work over them.

    Args:
        count: how many; by default one for each core that the process may use.

    Raises:
        ArgumentTypeError: where `count` is no whole number.
        JefficientError: where jax is in use already.

    Examples:
        The first lines of a program::

            import jefficient as jf

            jf.use_cpu_devices(2)
    """
    where = "jf.use_cpu_devices"
    if count is not None:
        checks.check_count(where, count=count)
    try:
        jax.config.update("jax_num_cpu_devices", cores() if count is None else count)
    except RuntimeError:
        raise JefficientError(
            f"{where}: it must be called before jax is first used, got a jax in use."
        ) from None


def use_compilation_cache(path: str | os.PathLike | None = None) -> None:
    """Keep compiled programs on disk: the second run of a sweep starts at once.

    Sets jax's persistent compilation cache for all programs, however small and quick to compile.
    Other settings of it (``jax_compilation_cache_max_size`` …) can be made as usual.

    Args:
        path: a folder, made if it is not there; by default ``~/.cache/jefficient`` (or below
            ``XDG_CACHE_HOME``).

    Examples:
        The first lines of a program::

            import jefficient as jf

            jf.use_compilation_cache()
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(path) if path is not None else home / "jefficient"
    settings: dict[str, Any] = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # one in another folder may be open


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_of(device: Device) -> float:
    """Bytes that a device has, inf where it does not say (a CPU)."""
    return (device.memory_stats() or {}).get("bytes_limit", math.inf)


def host_device() -> Device:
    """A CPU as a device, beside accelerators too; the first device where jax was told to have none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS names no cpu
        return jax.local_devices()[0]


def host_memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
