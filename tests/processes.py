"""Processes for tests, without the seconds that importing jax and pytest takes in each.

A server that has imported the libraries and jefficient, but nothing of jax's devices, forks at
every `run`: what the child then does, it does first and alone. A child that finds another
jefficient first imports that one. What is imported already warns no more, so where imports matter a
test starts an interpreter (`test_documents.test_imports_warn_of_nothing` for these).
"""

import gc
import io
import os
import runpy
import subprocess
import sys
import tempfile
import types
import warnings
from multiprocessing import get_context
from pathlib import Path

# What trains for long is compiled with some optimisation (tests/conftest.py asks for none).
OPTIMIZED = {
    "XLA_FLAGS": os.environ.get("XLA_FLAGS", "").replace(
        "--xla_backend_optimization_level=0", "--xla_backend_optimization_level=1"
    )
}

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "chex",
        "optax",
        "pytest",
        "xdist.plugin",
        "xarray",
        "pandas",
        "h5netcdf",
        "rich",
        "scipy.stats",
        "dask.array",
        "matplotlib.pyplot",
        "sklearn.datasets",
        "jefficient._api",
        "jefficient.sweeps._run",
    ]
)


def run(*arguments, cwd=None, env=None, timeout=600):
    """Run ``python *arguments`` (``-c PROGRAM``, ``-m MODULE …``, ``FILE …``) to its end."""
    arguments, env = [str(a) for a in arguments], {**os.environ, **(env or {})}
    with tempfile.TemporaryDirectory(prefix="jefficient-process-") as folder:
        outputs = Path(folder) / "stdout", Path(folder) / "stderr"
        process = _CONTEXT.Process(
            target=_child, args=(arguments, str(cwd or os.getcwd()), env, outputs)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        texts = [path.read_text(encoding="utf-8") if path.exists() else "" for path in outputs]
    return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def collect_garbage_of_tests_only():
    """Spare the garbage collector what is there now, a million objects of imported libraries.

    jax makes objects fast, so that it would go through them again and again: a fifth of the suite.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


def _child(arguments, cwd, env, outputs):
    collect_garbage_of_tests_only()
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(n, "w", closefd=False), encoding="utf-8") for n in (1, 2)
    )
    os.chdir(cwd)
    warnings.resetwarnings()
    warnings.simplefilter("default")
    if arguments[:2] == ["-W", "error"]:
        warnings.simplefilter("error")
        arguments = arguments[2:]
    import jax

    for name in ("jax_platforms", "jax_compilation_cache_dir"):  # read when jax was imported
        if name.upper() in env:
            jax.config.update(name, env[name.upper()])
    is_safe = arguments[0] == "-P"
    added = [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:] = added + [folder for folder in sys.path if folder not in added]
    _main(is_safe, *arguments[is_safe:])


def _forget_another_jefficient():
    """Let the child import its own package, where that is not the one of the server."""
    loaded = sys.modules.get("jefficient")
    own = (folder for folder in sys.path if Path(folder, "jefficient", "__init__.py").is_file())
    folder = Path(next(own, "")).resolve()
    if loaded is not None and Path(loaded.__file__).resolve().parents[1] != folder:
        for name in [name for name in sys.modules if name.split(".")[0] == "jefficient"]:
            del sys.modules[name]


def _main(is_safe, first, *rest):
    own = {"-m": os.getcwd(), "-c": ""}.get(first, os.path.dirname(first))
    if not is_safe:
        sys.path.insert(0, own)
    _forget_another_jefficient()

    if first == "-m":
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv[:] = ["-c", *rest[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        sys.argv[:] = [first, *rest]
        runpy.run_path(first, run_name="__main__")
