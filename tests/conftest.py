"""Strict dtype promotion; warnings are errors (pyproject.toml); a run compiles programs once.

Programs are compiled with little optimisation, since compiling is what the suite costs: XLA
simplifies as it always does, LLVM hardly at all, and on the worker's core alone. The tutorial and
the examples train for long, so theirs are compiled with some. Programs carry no lines of source.
`XLA_FLAGS= python -m pytest` compiles all as users do.
"""

import gc
import os
import shutil
import signal
import tempfile
from importlib.metadata import version

os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false"
    * (version("jaxlib") < "0.11"),  # one that XLA does not know aborts it
)

os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

import chex
import jax
import processes
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")

gc.disable()  # what is imported and collected stays: looking for garbage among it finds none

LONGEST = {"test_documents.py", "test_examples.py", "test_optax_suite.py"}


def pytest_configure(config):
    """Share a worker's compilation cache with processes it starts; let Ctrl-C work as usual.

    A folder that is given has one for each worker inside.
    """
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # a shell's background processes are started so
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if folder is None:
        folder = tempfile.mkdtemp(prefix="jefficient-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    elif hasattr(config, "workerinput"):  # jax's cache can be read while another worker writes it
        folder = os.path.join(folder, config.workerinput["workerid"])
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    jax.config.update("jax_compilation_cache_dir", folder)
    if "THREAD_DELAYS" in os.environ:
        import delays

        delays.begin(os.environ["THREAD_DELAYS"])


def pytest_collection_modifyitems(items):
    """Run the longest tests first: at the end no worker waits for another's."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish():
    """Look for garbage less often, and only among what the tests make."""
    processes.collect_garbage_of_tests_only()


@pytest.fixture(autouse=True)
def _fresh_trace_counts():
    chex.clear_trace_counter()


@pytest.fixture
def x64():
    """float64 for the duration of a test."""
    with jax.enable_x64(True):
        yield
