"""`jefficient demo`."""

import argparse
import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ._command import Commands, add_command

if TYPE_CHECKING:
    from jefficient.results import Result

TEXT = """Sweep over scikit-learn's digits: learning rates, batch sizes and L2 strengths for a small
network, three seeds each, in about half a minute. Writes sweep.nc (the result) and report.html (a
page on it).

With --directory the sweep survives Ctrl-C and kill: the same command resumes it.

example: jefficient demo --output demo --directory demo/sweep
next:    open report.html; jefficient show demo/sweep.nc; then make your own sweep in Python from
         examples/01_learning_rate_sweep.py."""
NEEDED = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "jinja2": "jinja2"}
HIDDEN = 32


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "demo", "a sweep over digits in half a minute, with a report", TEXT, run
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default=".",
        help="where sweep.nc and report.html go (default: .)",
    )
    parser.add_argument(
        "--directory",
        metavar="DIR",
        help="write checkpoints here, so that the sweep can be stopped and resumed",
    )


def run(chosen: argparse.Namespace) -> int:
    """Train, write, and print the best configuration."""
    from jefficient import JefficientError, JefficientWarning

    missing = [
        package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise JefficientError(
            f"demo needs {', '.join(missing)}, which is not installed. Run: pip install "
            "'jefficient[all]'"
        )
    output = Path(chosen.output)
    output.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # it is said at the end
        warnings.filterwarnings("ignore", "jf.sweep: interrupted", JefficientWarning)
        result = demo(chosen.directory)
    return _finish(result, output, chosen.directory)


def demo(
    directory: str | None, rates: int = 8, sizes: tuple[int, ...] = (32, 128), epochs: int = 20
) -> "Result":
    """Sweep over the digits."""
    import jax
    import numpy as np
    import optax
    from sklearn.datasets import load_digits

    import jefficient as jf

    def init(key: jax.Array) -> dict[str, jax.Array | np.ndarray]:
        first, second = jax.random.split(key)
        return {
            "w1": jax.random.normal(first, (64, HIDDEN)) * np.float32(np.sqrt(2 / 64)),
            "b1": np.zeros(HIDDEN, np.float32),
            "w2": jax.random.normal(second, (HIDDEN, 10)) * np.float32(np.sqrt(1 / HIDDEN)),
            "b2": np.zeros(10, np.float32),
        }

    def logits(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]

    def loss(params: dict[str, jax.Array], batch: dict[str, jax.Array]) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(
            logits(params, batch["x"]), batch["y"]
        ).mean()

    def error(params: dict[str, jax.Array], batch: dict[str, jax.Array]) -> jax.Array:
        return logits(params, batch["x"]).argmax(-1) != batch["y"]

    images, digits = load_digits(return_X_y=True)
    data = {"x": (images / 16).astype(np.float32), "y": digits.astype(np.int32)}
    space = jf.grid(
        learning_rate=np.geomspace(3e-4, 1.0, rates), batch_size=list(sizes), l2=[0.0, 1e-3, 1e-2]
    )
    task = jf.Task(
        init=init, loss=jf.regularized(loss), data=data, metrics={"error": error}, validation=0.25
    )
    return jf.sweep(
        task,
        jf.adam,
        space,
        epochs=epochs,
        seeds=3,
        diverged_above=2 * float(np.log(10)),  # twice the training loss of guessing
        directory=directory,
        snapshot_every=5.0,
    )


def _finish(result: "Result", output: Path, directory: str | None) -> int:
    from ._show import print_answer

    saved = result.save(output / "sweep.nc")
    report = result.report(output / "report.html", title="Digits: a demo")
    print_answer(result)
    print(f"\nresult:  {saved}\nreport:  {report}")
    if not (result.dataset["status"] == "interrupted").any():
        return 0
    again = "With --directory DIR it could be resumed."
    if directory:
        again = "The same command resumes it."
    print(f"stopped by Ctrl-C; what there was is written. {again}")
    return 130
