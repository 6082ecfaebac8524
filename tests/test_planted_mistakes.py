"""A test of the tests: each mistake is planted into a copy of the package, and tests must fail.

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
LAWS = "tests/conformance/test_transform_laws.py"


class Mistake(NamedTuple):
    file: str
    right: str
    wrong: str
    tests: str
    select: str


MISTAKES = {
    "wrong Nesterov": Mistake(
        "transforms/_sgd.py",
        "return g + decay * m, m",
        "return m + decay * g, m",
        OPTIMIZERS,
        "sgd_nesterov",
    ),
    "wrong Nesterov in Adam": Mistake(
        "transforms/_scale_by_adam.py",
        "[(b1, 0), (b1, 1), (b2, 0)]",
        "[(b1, 0), (b1, 0), (b2, 0)]",
        OPTIMIZERS,
        "nadam",
    ),
    "momentum with dampening": Mistake(
        "transforms/_sgd.py",
        "m = g + decay * m\n    return m, m",
        "m = (1 - decay) * g + decay * m\n    return m, m",
        OPTIMIZERS,
        "sgd_momentum",
    ),
    "eps inside the root": Mistake(
        "transforms/_scale_by_adam.py",
        "numerics.safe_sqrt(v * f.correct2 + f.eps_root) + f.eps",
        "numerics.safe_sqrt(v * f.correct2 + f.eps_root + f.eps)",
        OPTIMIZERS,
        "float64 and adam",
    ),
    "eps times 100": Mistake(
        "transforms/_scale_by_adam.py",
        "numerics.scalar(eps, real)",
        "100 * numerics.scalar(eps, real)",
        OPTIMIZERS,
        "float64",
    ),
    "no bias correction": Mistake(
        "transforms/_scale_by_adam.py",
        "m_hat = m * f.correct1",
        "m_hat = m",
        OPTIMIZERS,
        "adam",
    ),
    "bias correction a step late": Mistake(
        "transforms/_scale_by_adam.py",
        "[(b1, 0), (b2, 0)]",
        "[(b1, 1), (b2, 1)]",
        OPTIMIZERS,
        "adam",
    ),
    "second moment of the absolute value": Mistake(
        "transforms/_scale_by_adam.py", "numerics.squared(g)", "abs(g)", OPTIMIZERS, "adam"
    ),
    "coupled for decoupled decay": Mistake(
        "transforms/_adamw.py",
        """            scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
            l2_decay(weight_decay, mask),
""",
        """            l2_decay(weight_decay, mask),
            scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
""",
        OPTIMIZERS,
        "adamw",
    ),
    "wrong sign of the decay": Mistake(
        "transforms/_decay.py",
        "g + strength * p,",
        "g - strength * p,",
        OPTIMIZERS,
        "sgd_l2",
    ),
    "grown where weights are large": Mistake(
        "transforms/_prune_masks.py",
        'w.g if method == "rigl"',
        'w.value if method == "rigl"',
        "tests/transforms/test_prune.py",
        "rigl_is_algorithm_1",
    ),
    "pruned by signed weights": Mistake(
        "transforms/_largest.py",
        "size = jnp.abs(x).astype(real)",
        "size = jnp.maximum(x.real, 0).astype(real)",
        OPTIMIZERS,
        "prune",
    ),
    "gradients of pruned weights reach the optimizer": Mistake(
        "transforms/_prune.py",
        "return (jnp.where(kept != 0, g, 0),)",
        "return (g,)",
        "tests/transforms/test_prune.py",
        "sees_no_gradient",
    ),
    "decay away from the initial weights": Mistake(
        "transforms/_decay.py", "return (p - goal,)", "return (goal - p,)", OPTIMIZERS, "sgd_l2"
    ),
    "a learning rate that climbs": Mistake(
        "transforms/_hypergradient_descent.py",
        "return rate - beta * _product(",
        "return rate + beta * _product(",
        OPTIMIZERS,
        "hypergradient_descent",
    ),
    "the derivative in the rate of the scaled step": Mistake(
        "transforms/_hypergradient_descent.py",
        "return rate * d, d",
        "return rate * d, rate * d",
        OPTIMIZERS,
        "hypergradient_descent",
    ),
    "linear for quadratic penalty": Mistake(
        "training/_objective.py",
        "0.5 * strength2 * square",
        "strength2 * absolute",
        "tests/training/test_objective.py",
        "",
    ),
    "linear for quadratic decay": Mistake(
        "transforms/_decay.py", "strength * p,", "strength * jnp.sign(p),", OPTIMIZERS, "sgd_l2"
    ),
    "linear for quadratic schedule": Mistake(
        "schedules/_polynomial.py", "_base.power(left, power)", "left", SCHEDULES, "polynomial"
    ),
    "the rate of the next step": Mistake(
        "transforms/_base.py",
        "now = values_at(where, numbers, state.count)",
        "now = values_at(where, numbers, state.count + 1)",
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
    "a complex gradient is not conjugated": Mistake(
        "training/_gradient.py",
        "return jnp.conj(g) if numerics.is_complex(g.dtype) else g",
        "return g",
        "tests/training/test_complex.py",
        "pairs_of_reals",
    ),
    "microbatches count alike whatever they weigh": Mistake(
        "training/_gradient.py",
        "value = value * weight.astype(total.dtype)",
        "value = value * weights",
        "tests/training/test_weighted_loss.py",
        "masked_loss",
    ),
    "the best evaluation on the host is the last one": Mistake(
        "sweeps/scheduler/_record.py",
        "has_none | (signed.argmin(axis=1) == index)",
        "has_none | True",
        "tests/sweeps/tasks/test_metric.py",
        "best_evaluation and memory and auc",
    ),
    "a hard threshold for a soft one": Mistake(
        "transforms/_proximal.py",
        "x - strength * direction",
        "x",
        OPTIMIZERS,
        "proximal",
    ),
    "a scalar threshold behind Adam": Mistake(
        "transforms/_proximal.py",
        "_elastic_net(p - s * m_hat, s * l1, s * l2)",
        "_elastic_net(p - s * m_hat, learning_rate * l1, s * l2)",
        OPTIMIZERS,
        "proximal_adam",
    ),
    "a sum for a mean": Mistake(
        "transforms/_accumulate.py",
        "mean + g / k",
        "mean + g",
        "tests/transforms/test_wrappers.py",
        "one_batch",
    ),
    "the norm of each leaf": Mistake(
        "transforms/_clip.py",
        "trees.map_leaves(where, _scaled_twice, updates, numbers=(by, factor))",
        "(jax.tree.map(lambda g: g * jnp.minimum(1, longest / trees.global_norm(g)), updates),)",
        LAWS,
        "optax_s and clip_by_global_norm",
    ),
    "a state that forgets its sharding": Mistake(
        "_core/trees.py",
        "jnp.zeros_like(p, dtype=",
        "jnp.zeros(p.shape, ",
        LAWS,
        "sgd_momentum-sharding",
    ),
    "a count that is bound to a device": Mistake(
        "transforms/_base.py",
        "return jnp.zeros((), jnp.int32)",
        "return jax.device_put(jnp.zeros((), jnp.int32), jax.devices()[0])",
        LAWS,
        "adam-compiled",
    ),
    "a state that is another one under jit": Mistake(
        "transforms/_average_weights.py",
        "weight = jnp.zeros((), jnp.float32)",
        "weight = jnp.float32(isinstance(jax.tree.leaves(params)[0], jax.core.Tracer))",
        LAWS,
        "average_weights-init",
    ),
    "one too many at a rung": Mistake(
        "sweeps/stopping/_successive_halving.py",
        "rounded_up(len(scores) / self.eta)",
        "len(scores) / self.eta + 1",
        STOPPING,
        "paper_says",
    ),
    "rungs on a line": Mistake(
        "sweeps/stopping/_successive_halving.py",
        "first * self.eta**rung",
        "first * (1 + self.eta * rung)",
        STOPPING,
        "paper_says",
    ),
    "the median of bests": Mistake(
        "sweeps/stopping/_median.py",
        "self._sums[count - 1] / count",
        "self._bests[count - 1]",
        STOPPING,
        "median_rule_is",
    ),
    "patience with the last score": Mistake(
        "sweeps/stopping/_patience.py",
        "state[seen.config] = after",
        "state[seen.config] = after._replace(best=seen.score)",
        STOPPING,
        "keras",
    ),
    "hyperband with one first rung": Mistake(
        "sweeps/stopping/_hyperband.py",
        "return float(self._ends[1] * self.eta**-s)",
        "return float(self._ends[0])",
        STOPPING,
        "hyperband",
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
        "jnp.sum(jnp.where(weights > 0, value, 0))",
        "jnp.sum(value)",
        "tests/sweeps/tasks/test_evaluation.py",
        "padding_may_be_anything",
    ),
    "training and validation examples are swapped": Mistake(
        "results/_statistics.py",
        "test / train if train",
        "train / test if train",
        STATISTICS,
        "corrected",
    ),
    "folds as if they were independent": Mistake(
        "results/_statistics.py",
        "1 / folds + overlap",
        "1 / folds",
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
