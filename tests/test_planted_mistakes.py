"""A test of the tests: a mistake is planted into a copy of the package, and tests must fail.

The mistakes are those that people make when they write an optimizer from its paper, one line each.
Where a line has been rewritten, the mistake must be planted into the new one.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

import processes
import pytest

ROOT = Path(__file__).parents[1]
STATISTICS = "tests/results/test_statistics.py"
OPTIMIZERS = "tests/transforms/test_references.py"
SCHEDULES = "tests/schedules/test_references.py"
STOPPING = "tests/sweeps/stopping/test_stop.py"


class Mistake(NamedTuple):
    file: str
    right: str
    wrong: str
    tests: str
    select: str


MISTAKES = {
    "wrong Nesterov": Mistake(
        "transforms/_sgd.py",
        "u = g32 + decay * new_m if nesterov",
        "u = new_m + decay * g32 if nesterov",
        OPTIMIZERS,
        "sgd_nesterov",
    ),
    "wrong Nesterov in Adam": Mistake(
        "transforms/_adam.py",
        "[(b1, 0), (b1, 1), (b2, 0)]",
        "[(b1, 0), (b1, 0), (b2, 0)]",
        OPTIMIZERS,
        "nadam",
    ),
    "momentum with dampening": Mistake(
        "transforms/_sgd.py",
        "new_m = g32 + decay * m",
        "new_m = (1 - decay) * g32 + decay * m",
        OPTIMIZERS,
        "sgd_momentum",
    ),
    "eps inside the root": Mistake(
        "transforms/_adam.py",
        "numerics.safe_sqrt(v32 * f.correct2 + f.eps_root) + f.eps",
        "numerics.safe_sqrt(v32 * f.correct2 + f.eps_root + f.eps)",
        OPTIMIZERS,
        "float64 and adam",
    ),
    "eps times 100": Mistake(
        "transforms/_adam.py",
        "numerics.scalar(eps, real)",
        "100 * numerics.scalar(eps, real)",
        OPTIMIZERS,
        "float64",
    ),
    "no bias correction": Mistake(
        "transforms/_adam.py",
        "m_hat = m32 * f.correct1.astype(dtype)",
        "m_hat = m32",
        OPTIMIZERS,
        "adam",
    ),
    "bias correction a step late": Mistake(
        "transforms/_adam.py", "[(b1, 0), (b2, 0)]", "[(b1, 1), (b2, 1)]", OPTIMIZERS, "adam"
    ),
    "second moment of the absolute value": Mistake(
        "transforms/_adam.py", "numerics.squared(g32)", "abs(g32)", OPTIMIZERS, "adam"
    ),
    "coupled for decoupled decay": Mistake(
        "transforms/_adam.py",
        """        _scale_by_adam(where, *moments),
        decay_by(where, "weight_decay", weight_decay, mask, itself),
""",
        """        decay_by(where, "weight_decay", weight_decay, mask, itself),
        _scale_by_adam(where, *moments),
""",
        OPTIMIZERS,
        "adamw",
    ),
    "wrong sign of the decay": Mistake(
        "transforms/_decay.py",
        "+ strength * direction",
        "- strength * direction",
        OPTIMIZERS,
        "sgd_l2",
    ),
    "linear for quadratic penalty": Mistake(
        "training/_objective.py",
        "0.5 * strength2 * square",
        "strength2 * absolute",
        "tests/training/test_objective.py",
        "",
    ),
    "linear for quadratic decay": Mistake(
        "transforms/_decay.py", "    return p\n", "    return jnp.sign(p)\n", OPTIMIZERS, "sgd_l2"
    ),
    "linear for quadratic schedule": Mistake(
        "schedules/_polynomial.py", "_base.power(left, power)", "left", SCHEDULES, "polynomial"
    ),
    "the rate of the next step": Mistake(
        "transforms/_scale.py",
        "value = _base.value_at(where, name, number, state.count)",
        "value = _base.value_at(where, name, number, state.count + 1)",
        OPTIMIZERS,
        "schedule",
    ),
    "a schedule off by one": Mistake(
        "schedules/_base.py",
        "return _as_int32(step) - _as_int32(begin)",
        "return _as_int32(step) - _as_int32(begin) + 1",
        SCHEDULES,
        "every_step",
    ),
    "a boundary a step late": Mistake(
        "schedules/_piecewise.py",
        "is_behind = _base.elapsed(step, boundary, dtype) >= 0",
        "is_behind = _base.elapsed(step, boundary, dtype) > 0",
        SCHEDULES,
        "jumps",
    ),
    "a hard threshold for a soft one": Mistake(
        "transforms/_proximal.py",
        "x - strength.astype(x.dtype) * direction",
        "x",
        OPTIMIZERS,
        "proximal",
    ),
    "a scalar threshold behind Adam": Mistake(
        "transforms/_proximal.py",
        "_shrink(x, s * l1, s * l2)",
        "_shrink(x, learning_rate * l1, s * l2)",
        OPTIMIZERS,
        "proximal_adam",
    ),
    "a sum for a mean": Mistake(
        "transforms/_accumulate.py",
        "g.astype(dtype) / numerics.scalar(k, dtype)",
        "g.astype(dtype)",
        "tests/transforms/test_wrappers.py",
        "one_batch",
    ),
    "the norm of each leaf": Mistake(
        "transforms/_clip.py",
        "return (numerics.scaled(g, factor),)",
        "return (numerics.scaled(g, jnp.minimum(1, bound / trees.global_norm(g))),)",
        "tests/conformance/test_transform_laws.py",
        "optax_s and clip_by_global_norm",
    ),
    "one too many at a rung": Mistake(
        "sweeps/stopping/_stop.py",
        "self._rule.eta * (1 + _ROUNDING))",
        "self._rule.eta + 1)",
        STOPPING,
        "paper_says",
    ),
    "rungs on a line": Mistake(
        "sweeps/stopping/_stop.py",
        "first * self._rule.eta**rung",
        "first * (1 + self._rule.eta * rung)",
        STOPPING,
        "paper_says",
    ),
    "the median of bests": Mistake(
        "sweeps/stopping/_stop.py",
        "self._sums[evaluations - 1] / evaluations",
        "self._bests[evaluations - 1]",
        STOPPING,
        "median_rule_is",
    ),
    "folds swap their sides": Mistake(
        "sweeps/tasks/_folds.py",
        "return train, valid\n",
        "return valid, train\n",
        "tests/sweeps/tasks/test_folds.py",
        "those_of_the_splitter",
    ),
    "padding counts": Mistake(
        "sweeps/tasks/_evaluation.py",
        "jnp.float32(size) if count is None else count.astype(jnp.float32)",
        "jnp.float32(size)",
        "tests/sweeps/tasks/test_evaluation.py",
        "padding_may_be_anything",
    ),
    "training and validation rows are swapped": Mistake(
        "results/_statistics.py",
        "test / train if train",
        "train / test if train",
        STATISTICS,
        "corrected",
    ),
    "folds as if they were independent": Mistake(
        "results/_statistics.py",
        "1 / folds + (test",
        "1 / folds + 0 * (test",
        STATISTICS,
        "corrected",
    ),
    "seeds of a fold as if they were independent": Mistake(
        "results/_statistics.py",
        "values.mean(axis=-2)",
        "values.reshape(*values.shape[:-2], -1)",
        STATISTICS,
        "corrected",
    ),
    "many comparisons as if they were one": Mistake(
        "results/_statistics.py",
        "p_values * comparisons, 1.0",
        "p_values, 1.0",
        STATISTICS,
        "ties_are_those",
    ),
}


def run(tests, select, folder):
    """The outcome of the tests with the package in `folder`."""
    settings = ["-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider"]
    return processes.run(
        *["-P", "-m", "pytest", tests, "-k", select, "-x", "-q", *settings],
        cwd=ROOT,
        env={"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(ROOT / "jefficient", tmp_path / "jefficient"))


@pytest.mark.parametrize("name", MISTAKES)
def test_the_mistake_is_caught(name, copy):
    mistake = MISTAKES[name]
    source = (copy / mistake.file).read_text(encoding="utf-8")
    assert mistake.right in source, (
        f"{mistake.file} has changed: plant the mistake into its new line"
    )
    (copy / mistake.file).write_text(source.replace(mistake.right, mistake.wrong), encoding="utf-8")
    done = run(mistake.tests, mistake.select, copy.parent)
    assert done.returncode == 1, f"nothing failed:\n{done.stdout}\n{done.stderr}"
    assert "AssertionError" in done.stdout, f"it failed for another reason:\n{done.stdout}"


def test_without_a_mistake_nothing_fails(copy):
    done = run(OPTIMIZERS, "sgd_momentum or adamw", copy.parent)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
