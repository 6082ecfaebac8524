"""What the bits of a program's results depend on, beside the program."""

import functools
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import jax

from .devices import cores

JAX_SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_numpy_dtype_promotion",
    "jax_threefry_partitionable",
)
"""Settings of jax that change numbers."""

_ENVIRONMENT = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")

_HARMLESS = ("--xla_dump", "--xla_force_host_platform_device_count", "--xla_hlo_profile")
"""Flags that change no number; how many devices there are is asked for by itself."""


def arithmetic() -> dict[str, str]:
    """Return the device, jax's settings and XLA's flags: those that change numbers, as texts.

    On a CPU its model and the cores count, too: XLA makes the instructions that it has, and Eigen
    splits sums (of a convolution's gradient, say) among the threads that there are.
    """
    found = {name: str(getattr(jax.config, name)) for name in JAX_SETTINGS}
    for name in _ENVIRONMENT:
        flags = os.environ.get(name, "").split()
        if kept := sorted(x for x in flags if not x.startswith(_HARMLESS)):
            found[name] = " ".join(kept)
    found["device"] = jax.local_devices()[0].device_kind
    if jax.default_backend() == "cpu":
        found |= {"cpu": _cpu_model(), "cores": str(cores())}
    return found


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """Say in which names two of these differ, or None."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    texts = (f"{name} was {there.get(name)}, is {here.get(name)}" for name in names)
    return ", ".join(texts) or None


@functools.cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
