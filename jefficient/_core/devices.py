"""The machine as planning sees it, and two settings of jax that sweeps profit from."""

import dataclasses
import math
import os
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from . import checks
from .debugging import DebugTools
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
    Other settings of it (``jax_compilation_cache_max_size`` …) can be made as usual. Processes may
    share the folder: where one reads what another is still writing, or was killed while writing,
    jax warns of it and compiles; what was cut off stays so until its file is deleted.

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
    settings: dict[str, object] = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # one in another folder may be open


@dataclasses.dataclass(frozen=True)
class Machine:
    """What decisions about a sweep's layout depend on, read once.

    Attributes:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        device_kind: what jax calls the devices.
        devices: local devices.
        cores: CPU cores that the process may use.
        device_memory: bytes of one device, inf where jax does not tell (a CPU).
        host_memory: bytes of the host.
        widest: lanes in a block at most.
        widest_small: lanes in a block at most where there are very many trials of a small model.
        tools: JAX's debugging tools that are on.
    """

    platform: str
    device_kind: str
    devices: int
    cores: int
    device_memory: float
    host_memory: int
    widest: int
    widest_small: int
    tools: DebugTools = dataclasses.field(default_factory=DebugTools)

    @classmethod
    def here(cls) -> "Machine":
        """Read the machine that this process runs on.

        On a CPU wider blocks than these are no faster (``tests/benchmarks/width.py``).
        """
        devices = jax.local_devices()
        is_cpu = jax.default_backend() == "cpu"
        return cls(
            platform=jax.default_backend(),
            device_kind=devices[0].device_kind,
            devices=len(devices),
            cores=cores(),
            device_memory=_device_memory(devices[0]),
            host_memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            widest=8 if is_cpu else 1024,
            widest_small=256 if is_cpu else 1024,
            tools=DebugTools.here(),
        )

    @property
    def blocks(self) -> int:
        """Blocks that run side by side on a device.

        On a CPU one for each core, since a program keeps one core busy; elsewhere two, so that one
        is computed while the host observes the other.
        """
        return max(1, self.cores // self.devices) if self.platform == "cpu" else 2


def cores() -> int:
    """Return the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _device_memory(device: Device) -> float:
    return (device.memory_stats() or {}).get("bytes_limit", math.inf)


def host_device() -> Device:
    """Return a CPU device, beside accelerators too; the first device where jax has no CPU."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS names no cpu
        return jax.local_devices()[0]
