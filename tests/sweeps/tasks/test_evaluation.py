"""Evaluation in batches: the same means over examples, whatever the batches are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps.tiny import X, Y, init, sweep, task

import jefficient as jf
from jefficient.sweeps.tasks._evaluation import EvaluationSet, Mean
from jefficient.sweeps.tasks._injection import Requester

UNEQUAL = [
    (np.arange(12, 30), np.arange(11)),
    (np.arange(14), np.arange(14, 18)),
    (np.arange(20), np.arange(20, 30)),
]


def mean_of(function):
    """A metric of the batch alone."""
    requester = Requester.of("metrics['m']", lambda params, batch: function(batch), 2)
    return Mean(requester, (None,), {}, False)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 13),
    st.integers(1, 13),
    st.integers(0, 13),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1e6]),
)
def test_means_are_those_of_all_examples(size, batch_size, missing, seed, first):
    """Padding repeats example 0, as in the shorter of two folds, and does not count."""
    values = np.random.default_rng(seed).normal(size=size).astype(np.float32) + 3
    values[0] += first
    count = None if missing == 0 else max(1, size - missing)
    if count is not None:
        values[count:] = values[0]
    seen = []

    def batch_of(begin, count):
        seen.append(count)
        return jax.lax.dynamic_slice_in_dim(jnp.asarray(values), begin, count)

    functions = {
        "values": mean_of(lambda x: x**2),
        "mean": mean_of(lambda x: jnp.mean(x**2)),
        "pair": mean_of(lambda x: (jnp.sum(x**2), 1.0 * len(x))),
    }
    traced = None if count is None else jnp.int32(count)
    got = EvaluationSet(batch_of, size, traced).means(functions, batch_size)
    expected = (values[:count].astype(float) ** 2).mean()
    assert max(seen) <= batch_size
    for name in functions:
        assert got[name].dtype == jnp.float32
        np.testing.assert_allclose(got[name], expected, rtol=1e-5)


def test_padding_may_be_anything_to_a_metric_of_examples():
    """Example 0 counts, so inf is in the mean; padding does not, so NaN is not."""

    def mean(values):
        examples = EvaluationSet(lambda begin, size: jnp.array(values)[:size], 3, jnp.int32(2))
        return float(examples.means({"x": mean_of(lambda x: x)}, 3)["x"])

    assert mean([np.inf, 1.0, 2.0]) == np.inf
    assert mean([1.0, 2.0, np.nan]) == 1.5


def noisy(params, batch, key, keep):
    """Half of the inputs are dropped in training, where there is a key."""
    x, y = batch
    if key is not None:
        x = x * jax.random.bernoulli(key, keep, x.shape).astype(x.dtype) / keep
    return jnp.mean((x @ params - y) ** 2)


def absolute(params, batch):
    return jnp.abs(batch[0] @ params - batch[1])


def worst(params, batch, key="never"):
    assert key is None
    return jnp.mean(absolute(params, batch) > 1)


def expected_means(params, x, y):
    errors = x.astype(float) @ params.astype(float) - y
    return {
        "loss": (errors**2).mean(),
        "absolute": np.abs(errors).mean(),
        "worst": (np.abs(errors) > 1).mean(),
    }


@pytest.mark.parametrize(
    ("kind", "eval_batch_size"),
    [("unequal folds", 4), ("folds", 4), ("no folds", 7)],
)
def test_evaluation_is_the_float64_mean_without_penalty_or_dropout(kind, eval_batch_size):
    valid = np.arange(12)
    folds, splits = {
        "unequal folds": (UNEQUAL, [valid for _, valid in UNEQUAL]),
        "folds": (
            [(np.setdiff1d(np.arange(30), x), x) for x in (valid, valid + 18)],
            [valid, valid + 18],
        ),
        "no folds": (None, [valid]),
    }[kind]
    the_task = task(
        loss=jf.regularized(noisy),
        metrics={"absolute": absolute, "worst": worst},
        validation=None if folds else (X[:12], Y[:12]),
        test=(X[3:20], Y[3:20]),
    )
    space = jf.grid(l2=[0.0, 30.0], l1=[0.5], keep=[0.5])
    result = sweep(
        the_task,
        space,
        jf.sgd(0.01),
        folds=folds,
        steps=3,
        eval_every=3,
        eval_batch_size=eval_batch_size,
        seeds=2,
    )
    assert len(splits) == result.dataset.sizes["fold"]
    for (config, seed, fold), params in result.weights.items():
        trial = result.dataset.isel(config=config, seed=seed, fold=fold, evaluation=-1)
        for name, value in expected_means(params, X[splits[fold]], Y[splits[fold]]).items():
            np.testing.assert_allclose(trial[f"valid_{name}"], value, rtol=2e-6)
    assert len(result.weights) == 2 * 2 * len(splits)
    best = result.best().config
    assert result.test.attrs["config"] == best
    for seed in (0, 1):
        for fold in range(len(splits)):
            tested = result.test.isel(seed=seed, fold=fold)
            for name, value in expected_means(
                result.params(best, seed, fold), X[3:20], Y[3:20]
            ).items():
                np.testing.assert_allclose(tested[f"test_{name}"], value, rtol=2e-6)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            lambda params, batch: batch[0],
            r"metrics\['m'\] must return shape \(\) or \(n,\), got shape \(30, 3\) for a",
        ),
        (
            lambda params, batch: params,
            r"metrics\['m'\] must return shape \(\) or \(n,\), got shape \(3,\) for a batch of",
        ),
    ],
)
def test_metrics_that_break_a_rule(metric, message):
    with pytest.raises(jf.JefficientError, match=message):
        sweep(task(metrics={"m": metric}, validation=(X, Y)), jf.grid(learning_rate=[0.1]), steps=1)


@pytest.mark.parametrize(
    ("size", "message"), [(0, "eval_batch_size >= 1"), (2.5, "eval_batch_size must be a whole")]
)
def test_arguments(size, message):
    with pytest.raises(jf.JefficientError, match=message):
        sweep(task(), jf.grid(learning_rate=[0.1]), steps=1, eval_batch_size=size)


def test_a_fold_s_mean_does_not_depend_on_the_other_folds():
    """Nor on how they are batched: the shorter fold alone, and beside a longer one."""
    params = np.asarray(init(jax.random.key(5)))
    fixed = task(init=lambda key: jnp.asarray(params), metrics={"absolute": absolute})
    result = sweep(fixed, jf.grid(learning_rate=[0.0]), folds=UNEQUAL, steps=1, eval_batch_size=3)
    for fold, (_, valid) in enumerate(UNEQUAL):
        value = result.dataset["valid_absolute"].values[0, 0, fold, -1]
        np.testing.assert_allclose(
            value, expected_means(params, X[valid], Y[valid])["absolute"], rtol=2e-6
        )
