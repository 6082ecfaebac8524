"""Metrics that see the whole validation set equal scikit-learn's on exactly its examples."""

import os

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, f1_score, r2_score, roc_auc_score

import jefficient as jf

N = 40
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 3)).astype(np.float32)
Y = (X[:, 0] + 0.7 * RNG.normal(size=N) > 0.3).astype(np.int32)
UNEQUAL = [(np.arange(15, N), np.arange(15)), (np.arange(22), np.arange(22, N))]
DRAWS = int(os.environ.get("DRAWS", "3"))
"""Examples of the property; `DRAWS=200 python -m pytest tests/sweeps/tasks/test_metric.py`."""


def predict(params, batch):
    return batch["x"] @ params


def calibration_error(p, y):
    """Expected calibration error in five bins (Naeini et al. 2015, equation 3)."""
    bins = np.minimum((p * 5).astype(int), 4)
    return sum(
        abs(p[bins == k].mean() - y[bins == k].mean()) * np.mean(bins == k) for k in np.unique(bins)
    )


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype(float)))


SCORES = {
    "auc": lambda z, y: roc_auc_score(y, z),
    "f1": lambda z, y: f1_score(y, z > 0),
    "precision": lambda z, y: average_precision_score(y, z),
    "r2": lambda z, y: r2_score(y, z),
    "spearman": lambda z, y: spearmanr(z, y).statistic,
    "calibration": lambda z, y: calibration_error(sigmoid(z), y),
}


def on_host(name):
    return jf.host_metric(predict, lambda z, batch: SCORES[name](z, batch["y"]))


def f1_on_device(z, batch, weights):
    hit, true = (x.astype(jnp.float32) for x in (z > 0, batch["y"] == 1))
    return 2 * jnp.sum(weights * hit * true) / jnp.maximum(jnp.sum(weights * (hit + true)), 1)


def r2_on_device(z, batch, weights):
    y = batch["y"].astype(jnp.float32)
    rest = jnp.sum(weights * (y - z) ** 2)
    return 1 - rest / jnp.sum(weights * (y - jnp.average(y, weights=weights)) ** 2)


METRICS = {
    **{name: on_host(name) for name in SCORES},
    "f1_jax": jf.Metric(predict, f1_on_device),
    "r2_jax": jf.Metric(predict, r2_on_device),
}


def loss(params, batch):
    z = predict(params, batch)
    return jnp.mean(jnp.logaddexp(0.0, z) - batch["y"].astype(jnp.float32) * z)


def on_disk(data, folder):
    stored = {}
    for name, array in data.items():
        stored[name] = np.memmap(folder / name, array.dtype, "w+", shape=array.shape)
        stored[name][:] = array
    return stored


def task(data=None, **changes):
    given = {"data": {"x": X, "y": Y} if data is None else data, "metrics": METRICS, **changes}
    return jf.Task(init=lambda key: jnp.zeros(3), loss=loss, **given)


def sweep(the_task, rates=(0.5, 0.1, 0.01), **changes):
    given = {"metric": "valid_auc", "mode": "max", "steps": 12, "eval_every": 3, "batch_size": 8}
    given |= {"keep_configs": 3, "progress": False, **changes}
    return jf.sweep(the_task, jf.adam, jf.grid(learning_rate=list(rates)), **given)


def expected(params, x, y):
    scores = {name: score(x @ np.asarray(params), y) for name, score in SCORES.items()}
    return {**scores, "f1_jax": scores["f1"], "r2_jax": scores["r2"]}


def assert_scored(result, folds, of_trial):
    for (config, seed, fold), params in result.weights.items():
        shown = of_trial(result.dataset.isel(config=config, seed=seed, fold=fold))
        valid = folds[fold][1]
        for name, value in expected(params, X[valid], Y[valid]).items():
            np.testing.assert_allclose(
                shown[f"valid_{name}"], value, rtol=1e-6, atol=1e-6, err_msg=name
            )


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_they_are_scikit_learn_s_on_each_fold_and_replayed_and_tested(where, tmp_path):
    data = {"x": X, "y": Y}
    the_task = task(on_disk(data, tmp_path) if where == "disk" else data, test=data)
    result = sweep(the_task, folds=UNEQUAL, eval_batch_size=7)
    assert_scored(result, UNEQUAL, lambda trial: trial.isel(evaluation=-1))
    best = result.best()
    assert best.score == pytest.approx(result.table()["valid_auc"].max())
    for fold in range(2):
        for name, value in expected(result.params(fold=fold), X, Y).items():
            got = result.test[f"test_{name}"].values[0, fold]
            np.testing.assert_allclose(got, value, rtol=1e-6, atol=1e-6, err_msg=name)

    again = result.replay(best.config, seed=0, fold=1)
    for name in METRICS:
        recorded = result.dataset[f"valid_{name}"].sel(config=[best.config], seed=[0], fold=[1])
        np.testing.assert_array_equal(again.dataset[f"valid_{name}"], recorded)


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("metric", ["valid_auc", "valid_f1_jax"])
def test_the_weights_that_are_kept_are_those_of_the_best_evaluation(where, metric, tmp_path):
    data = {"x": X, "y": Y}
    metrics = {name: METRICS[name] for name in ("auc", "f1_jax")}
    the_task = task(on_disk(data, tmp_path) if where == "disk" else data, metrics=metrics)
    settings = {"metric": metric, "select": "best", "keep": "best"}
    result = sweep(the_task, folds=UNEQUAL, **settings)
    for (config, seed, fold), params in result.weights.items():
        values = result.dataset[metric].values[config, seed, fold]
        valid = UNEQUAL[fold][1]
        score = expected(params, X[valid], Y[valid])[metric.removeprefix("valid_")]
        np.testing.assert_allclose(values.max(), score, atol=1e-6)
    assert any(  # so that the last weights would have been wrong
        result.dataset[metric].values[config, 0, fold].argmax() < 3
        for config, _, fold in result.weights
    )


def test_after_a_crash_the_best_weights_are_the_same(tmp_path):
    the_task = task(metrics={"auc": on_host("auc")})
    settings = {"folds": UNEQUAL, "select": "best", "keep": "best"}
    whole = sweep(the_task, **settings)
    calls = []

    def crash(progress):
        calls.append(progress)
        if len(calls) == 3:
            raise RuntimeError("a crash")

    held = {"directory": tmp_path / "sweep", "snapshot_every": 0, **settings}
    with pytest.raises(RuntimeError, match="a crash"):
        sweep(the_task, progress=crash, **held)
    resumed = sweep(the_task, **held)
    np.testing.assert_array_equal(resumed.dataset["valid_auc"], whole.dataset["valid_auc"])
    assert resumed.weights.keys() == whole.weights.keys()
    for trial, params in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[trial], params)


def test_rules_stop_by_them_and_models_with_a_state_have_them():
    the_task = jf.Task(
        init=lambda key: (jnp.zeros(3), {"seen": jnp.float32(0)}),
        loss=lambda params, state, batch: (loss(params, batch), {"seen": state["seen"] + 1}),
        data={"x": X, "y": Y},
        metrics={
            "auc": jf.host_metric(
                lambda params, state, batch, learning_rate: predict(params, batch) * learning_rate,
                lambda z, batch: roc_auc_score(batch["y"], z),
            )
        },
        model_state=True,
        validation={"x": X, "y": Y},
    )
    result = sweep(the_task, stop=jf.successive_halving(min_steps=3, eta=2))
    assert (result.dataset["status"] == "stopped").any()
    (params, _) = result.params()
    assert result.best().score == pytest.approx(roc_auc_score(Y, X @ params), abs=1e-6)


def test_a_diverged_trial_is_not_scored():
    """scikit-learn refuses NaN, which must not end the sweep."""
    result = jf.sweep(
        task(metrics={"auc": on_host("auc")}, validation={"x": X, "y": Y}),
        jf.sgd,
        jf.grid(learning_rate=[0.1, 1e4]),
        diverged_above=100,
        steps=4,
        batch_size=8,
        metric="valid_auc",
        mode="max",
        progress=False,
    )
    assert result.dataset["status"].values.ravel().tolist() == ["finished", "diverged"]
    assert np.isnan(result.dataset["valid_auc"].values[1, 0, 0, -1])


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        (
            jf.Metric(lambda params, batch: params, f1_on_device),
            jf.ArgumentError,
            r"metrics\['m'\].predict must return arrays of shape \(n, …\), got shapes \[\(3,\)\]",
        ),
        (
            jf.Metric(predict, lambda z, batch, weights: z),
            jf.ArgumentError,
            r"metrics\['m'\].score must return a scalar, got shape \(40,\)",
        ),
        (
            jf.host_metric(predict, lambda z, batch: "high"),
            jf.ArgumentTypeError,
            r"metrics\['m'\].score must return a number, got",
        ),
    ],
)
def test_metrics_that_break_a_rule(metric, error, message):
    with pytest.raises(error, match=message):
        sweep(
            task(metrics={"m": metric}, validation={"x": X, "y": Y}),
            metric="valid_m",
            steps=2,
            eval_every=None,
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jf.Metric(predict, 3), "jf.Metric: score must be a function, got 3"),
        (lambda: jf.host_metric(None, len), "jf.host_metric: predict must be a function, got None"),
    ],
)
def test_functions_must_be_functions(make, message):
    with pytest.raises(jf.ArgumentTypeError, match=message):
        make()


@settings(max_examples=DRAWS, deadline=None)
@given(drawn=st.data())
def test_whatever_the_folds_batches_width_and_source(drawn, tmp_path_factory):
    """Against scikit-learn on the host, from the weights that the result has."""
    both = np.flatnonzero(Y == 1)[:2].tolist() + np.flatnonzero(Y == 0)[:2].tolist()
    folds = []
    for _ in range(drawn.draw(st.integers(1, 3), label="folds")):
        size = drawn.draw(st.integers(4, 20), label="validation examples")
        rest = np.setdiff1d(np.random.default_rng(size).permutation(N), both)
        valid = np.concatenate([both, rest[: size - 4]])
        folds.append((np.setdiff1d(np.arange(N), valid), valid))
    held = {"x": X, "y": Y}
    if drawn.draw(st.booleans(), label="on a disk"):
        held = on_disk(held, tmp_path_factory.mktemp("data"))
    width = drawn.draw(st.integers(1, 4), label="width")
    result = sweep(
        task(held),
        folds=folds,
        eval_batch_size=drawn.draw(st.none() | st.integers(1, 21), label="eval_batch_size"),
        rates=np.linspace(0.1, 1, width).tolist(),
        keep_configs=width,
        steps=2,
        eval_every=1,
    )
    ordered = [(train, np.sort(valid)) for train, valid in folds]
    assert_scored(result, ordered, lambda trial: trial.isel(evaluation=-1))


@pytest.mark.parametrize("where", ["host", "device"])
def test_where_the_metric_never_has_a_number_the_last_weights_are_kept(where):
    nothing = {
        "host": jf.host_metric(predict, lambda z, batch: np.nan),
        "device": lambda params, batch: jnp.nan,
    }
    whole = {"x": X, "y": Y}
    the_task = task(metrics={"nothing": nothing[where]}, validation=whole)
    settings = {"metric": "valid_nothing", "select": "best"}
    best, last = (sweep(the_task, keep=keep, **settings) for keep in ("best", "last"))
    for trial, params in last.weights.items():
        np.testing.assert_allclose(best.weights[trial], params, rtol=1e-6)
        assert np.abs(params).max() > 0
