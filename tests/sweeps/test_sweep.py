"""Sweeps against plain loops, and the promises of the engine."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from sweeps import tiny

import jefficient as jf
from jefficient.sweeps.programs import _groups

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int32)


def init(key):
    w1, w2 = jax.random.split(key)
    return {"w1": 0.5 * jax.random.normal(w1, (4, 8)), "w2": 0.5 * jax.random.normal(w2, (8, 2))}


def logits(params, x):
    return jnp.tanh(x @ params["w1"]) @ params["w2"]


def loss(params, batch):
    x, y = batch
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


def accuracy(params, batch):
    x, y = batch
    return logits(params, x).argmax(-1) == y


def task(**changes):
    defaults = {
        "init": init,
        "loss": loss,
        "data": (X, Y),
        "metrics": {"accuracy": accuracy},
        "validation": (X, Y),
    }
    return jf.Task(**{**defaults, **changes})


RATES = np.geomspace(1e-3, 0.3, 5)


def sweep(optimizer=jf.adam, space=None, the_task=None, **changes):
    defaults = {"steps": 20, "batch_size": 16, "progress": False}
    space = jf.grid(learning_rate=RATES) if space is None else space
    return jf.sweep(the_task or task(), optimizer, space, **{**defaults, **changes})


def alone(rate, seed=0, steps=20, batch_size=16):
    """The same trial by a jitted loop over an optax step, with the keys and order of a sweep."""
    trial_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), 0)
    params = init(jax.random.fold_in(trial_key, 0))
    order = jax.random.fold_in(trial_key, 1)
    tx = optax.adam(optax.warmup_cosine_decay_schedule(0.0, float(rate), steps // 10, steps))
    state = tx.init(params)

    @jax.jit
    def step(params, state, rows):
        value, grads = jax.value_and_grad(loss)(
            params, (jnp.asarray(X)[rows], jnp.asarray(Y)[rows])
        )
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    losses = []
    with jax.numpy_dtype_promotion("standard"):
        for t in range(steps):
            params, state, value = step(
                params, state, jf.shuffled_batch(order, t, len(X), batch_size)
            )
            losses.append(value)
    return params, np.array(losses)


def test_one_trace_for_32_rates_and_each_trial_as_if_alone():
    traces = []

    def counted(params, batch):
        traces.append(1)
        return loss(params, batch)

    def optimizer(learning_rate, steps):
        return jf.adam(jf.warmup_cosine_decay_schedule(0.0, learning_rate, steps // 10, steps))

    rates = np.geomspace(1e-4, 0.3, 32)
    result = sweep(
        optimizer,
        jf.grid(learning_rate=rates),
        task(loss=counted),
        seeds=3,
        eval_every=1,
        keep_configs=99,
    )
    few = len(traces)
    traces.clear()
    sweep(optimizer, jf.grid(learning_rate=rates[:2]), task(loss=counted), seeds=3, eval_every=1)
    assert few <= 4  # checked once and compiled once, each in training and in evaluation
    assert len(traces) == 2  # of another width: compiled once, and not checked again
    for config, seed in ((0, 0), (15, 2), (31, 1)):
        params, losses = alone(rates[config], seed)
        trial = result.dataset.isel(config=config, seed=seed, fold=0)
        np.testing.assert_allclose(trial["train_loss"], losses, rtol=1e-4, atol=1e-6)
        chex.assert_trees_all_close(
            result.params(config, seed), jax.device_get(params), rtol=1e-3, atol=1e-5
        )
        np.testing.assert_allclose(trial["valid_loss"][-1], loss(params, (X, Y)), rtol=1e-4)
        np.testing.assert_allclose(
            trial["valid_accuracy"][-1], accuracy(params, (X, Y)).mean(), rtol=1e-6
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_neighbours_and_places_change_no_bit(workers):
    """In any order, beside a trial that diverges, in one block or two at the same time."""
    space = jf.grid(learning_rate=[0.01, 0.1, 0.3])
    shuffled = jf.grid(learning_rate=[0.3, 1e30, 0.01])
    with tiny.machine(cores=workers):
        one = sweep(jf.sgd, space, keep_configs=99, diverged_above=1e3)
        other = sweep(jf.sgd, shuffled, keep_configs=99, diverged_above=1e3)
    for result in (one, other):
        assert set(result.dataset["block_width"].values) == {{1: 3, 2: 2}[workers]}
    assert other.dataset["status"].values.ravel().tolist() == ["finished", "diverged", "finished"]
    for a, b in ((0, 2), (2, 0)):
        chex.assert_trees_all_equal(one.params(a), other.params(b))
        for name in ("train_loss", "valid_loss", "valid_accuracy"):
            np.testing.assert_array_equal(one.dataset[name][a], other.dataset[name][b])


def test_blocks_of_one_width_and_a_padded_last_one():
    """Seven trials in blocks of four are, bit for bit, four and three of them in blocks of four."""
    rates = np.geomspace(1e-3, 0.1, 7)
    with tiny.lanes(4):
        whole = sweep(space=jf.grid(learning_rate=rates), keep_configs=99)
        part = sweep(space=jf.grid(learning_rate=rates[3:]), keep_configs=99)
    assert (whole.dataset["block_width"] == 4).all()
    assert (whole.dataset["steps_taken"] == 20).all()
    for i in range(3, 7):
        chex.assert_trees_all_equal(whole.params(i), part.params(i - 3))
    assert len(whole.weights) == 7


def test_all_configurations_of_a_seed_start_alike_and_see_the_same_batches():
    result = sweep(jf.sgd, jf.grid(learning_rate=[0.0, 1e-3]), seeds=2, eval_every=1)
    first = result.dataset["train_loss"].isel(evaluation=0, fold=0).values
    np.testing.assert_allclose(first[0], first[1], rtol=1e-6)
    assert first[0, 0] != first[0, 1]
    params = init(
        jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 1), 0), 0)
    )
    chex.assert_trees_all_close(result.params(0, seed=1), jax.device_get(params))
    other = sweep(jf.sgd, jf.grid(learning_rate=[0.0]), key=jax.random.key(1), eval_every=1)
    assert other.dataset["train_loss"].values.ravel()[0] != first[0, 0]


def test_divergence_is_recorded_and_never_the_best():
    result = sweep(
        jf.sgd, jf.grid(learning_rate=[0.1, 1e20, 1e30]), diverged_above=50.0, eval_every=5
    )
    data = result.dataset.isel(seed=0, fold=0)
    assert data["status"].values.tolist() == ["finished", "diverged", "diverged"]
    assert data["diverged_at"].values.tolist() == [-1, 1, 1]
    assert data["steps_taken"].values.tolist() == [20, 1, 1]
    assert np.isnan(data["valid_loss"][1:]).all()
    assert np.isfinite(data["valid_loss"][0]).all()
    assert result.best().config == 0
    table = result.table()
    assert table["diverged"].tolist() == [0, 1, 1]
    assert table.index[0] == 0
    hopeless = sweep(jf.sgd, jf.grid(learning_rate=[1e20, 1e30]), diverged_above=50.0)
    with pytest.raises(
        jf.JefficientError, match="finite valid_loss in every trial, got none such of 2"
    ):
        hopeless.best()


def test_a_diverged_trial_stays_as_it_was():
    """Its weights are those before the step that failed, however many follow."""
    space = jf.grid(learning_rate=[0.1, 60.0])
    whole = sweep(jf.sgd, space, diverged_above=8.0, keep_configs=99)
    failed_at = int(whole.dataset["diverged_at"].isel(config=1, seed=0, fold=0))
    assert 0 < failed_at < 19
    shorter = sweep(jf.sgd, space, steps=failed_at, keep_configs=99)
    chex.assert_trees_all_equal(whole.params(1), shorter.params(1))


def test_nan_and_infinity_diverge_without_a_bound():
    def bad(params, batch, kind):
        return loss(params, batch) + jnp.array([0.0, jnp.nan, jnp.inf, -jnp.inf])[kind]

    result = sweep(jf.sgd(0.1), jf.grid(kind=range(4)), task(loss=bad, metrics={}))
    assert result.dataset["status"].values.ravel().tolist() == ["finished", *3 * ["diverged"]]
    assert result.dataset["diverged_at"].values.ravel().tolist() == [-1, 0, 0, 0]


def test_a_last_update_that_ruins_the_weights_is_a_divergence():
    """The loss before it was finite: only the evaluation can tell."""
    result = sweep(jf.sgd, jf.grid(learning_rate=[0.1, 3e38]), steps=1)
    assert result.dataset["status"].values.ravel().tolist() == ["finished", "diverged"]
    assert result.best().config == 0


def test_the_score_is_the_last_look_or_the_best_one():
    for select, mode, best in (("last", "min", np.nanmin), ("best", "max", np.nanmax)):
        result = sweep(eval_every=3, select=select, metric="valid_accuracy", mode=mode)
        values = result.dataset["valid_accuracy"].values[:, 0, 0]
        scores = values[:, -1] if select == "last" else best(values, axis=1)
        chosen = result.best()
        assert chosen.score == pytest.approx(best(scores))
        assert scores[chosen.config] == best(scores)
        ranked = sorted(scores, reverse=mode == "max")
        assert result.table()["valid_accuracy"].tolist() == pytest.approx(ranked, rel=1e-6)


def test_the_kept_weights_are_those_of_the_look_that_is_asked_for():
    def overfit(params, batch):  # the smallest validation loss comes early
        return loss(params, batch)

    held_out = (
        RNG.normal(size=(30, 4)).astype(np.float32),
        RNG.integers(0, 2, 30).astype(np.int32),
    )
    noise = task(data=(X, RNG.integers(0, 2, 60)), loss=overfit, validation=held_out)
    last, best = (
        sweep(
            jf.adam,
            jf.grid(learning_rate=[0.1]),
            noise,
            steps=300,
            eval_every=10,
            keep=keep,
            select=select,
        )
        for keep, select in (("last", "last"), ("best", "best"))
    )
    curve = last.dataset["valid_loss"].values.ravel()
    assert curve.argmin() < len(curve) - 1
    assert float(loss(last.params(), held_out)) == pytest.approx(curve[-1], rel=1e-5)
    assert float(loss(best.params(), held_out)) == pytest.approx(curve.min(), rel=1e-5)
    nothing = sweep(keep=None)
    with pytest.raises(
        jf.JefficientError, match="weights must have been checkpointed, got config=0"
    ):
        nothing.params(0)


def test_weights_of_the_best_configurations_are_kept():
    space = jf.grid(learning_rate=np.geomspace(1e-4, 0.3, 9))
    with tiny.machine(widest=4):
        result = sweep(space=space, seeds=2, keep_configs=3)
    assert {config for config, _, _ in result.weights} == set(result.table().index[:3])
    assert len(result.weights) == 6


def test_a_score_that_is_not_finite_is_never_the_best():
    """The loss is fine, the metric that ranks is not: for one seed, for all, for everything."""

    def metric(params, batch, kind):
        some = jnp.where(params["w1"][0, 0] > 0, jnp.nan, 1.0)
        return jnp.stack([jnp.array(0.1), some, jnp.array(jnp.nan)])[kind]

    def ranked(kinds):
        space = jf.grid(kind=kinds)
        return sweep(
            jf.sgd(0.1), space, task(metrics={"m": metric}), seeds=8, metric="valid_m", mode="max"
        )

    result = ranked([2, 1, 0])
    assert result.table().index.tolist() == [2, 1, 0]
    assert result.best().config == 2
    with pytest.raises(jf.JefficientError, match="got none such of 1"):
        ranked([2]).best()


def test_the_last_look_counts_even_where_it_has_no_score():
    """A metric that turns NaN late must not leave the number of an earlier evaluation behind."""

    def metric(params, batch):
        return jnp.where(loss(params, batch) < 0.6, jnp.nan, 1.0)

    the_task = task(metrics={"m": metric})
    space = jf.grid(learning_rate=[0.1, 1e-4])
    result = sweep(jf.adam, space, the_task, steps=60, eval_every=10, metric="valid_m", mode="max")
    curve = result.dataset["valid_m"].values[0, 0, 0]
    assert np.isfinite(curve[0])
    assert np.isnan(curve[-1])
    assert result.best().config == 1


def test_any_other_name_may_be_a_hyperparameter():
    def tempered(params, batch, t, state):
        return t * loss(params, batch) + 0 * state

    result = sweep(jf.sgd(0.1), jf.grid(t=[0.5, 1.0], state=[1.0]), task(loss=tempered))
    assert result.dataset["t"].values.tolist() == [0.5, 1.0]


def test_epochs_are_counted_without_rounding():
    for epochs, rows, batch_size in ((49, 9, 7), (7, 29, 7), (49, 18, 7)):
        lengths = _groups.TrialLength(steps=None, epochs=epochs, eval_every=None)
        [evaluations] = lengths.evaluations(np.array([rows / batch_size]))
        assert evaluations[-1] == -(-epochs * rows // batch_size)
        assert all(
            evaluation == -(-(k + 1) * rows // batch_size)
            for k, evaluation in enumerate(evaluations)
        )


def test_without_validation_ruined_weights_are_a_divergence():
    nothing = task(
        loss=lambda params, batch: 1e4 * loss(params, batch), validation=None, metrics={}
    )
    result = sweep(
        jf.sgd, jf.grid(learning_rate=[3e38, 1e-5]), nothing, steps=1, metric="train_loss"
    )
    assert result.dataset["status"].values.ravel().tolist() == ["diverged", "finished"]


def test_a_partial_of_a_penalised_loss_is_evaluated_without_it():
    plain, wrapped = (
        sweep(jf.sgd(0.01), jf.grid(batch_size=[16]), task(loss=penalised), batch_size=None)
        for penalised in (
            jf.regularized(loss, l2=9.0),
            functools.partial(jf.regularized(loss), l2=9.0),
        )
    )
    np.testing.assert_allclose(
        wrapped.dataset["valid_loss"], plain.dataset["valid_loss"], rtol=1e-6
    )


def test_many_strengths_are_checked_without_a_trace_each():
    traces = []

    def counted(params, batch):
        traces.append(1)
        return loss(params, batch)

    sweep(
        jf.sgd(0.1),
        jf.grid(l2=np.geomspace(1e-6, 1, 200)),
        task(loss=jf.regularized(counted)),
        steps=1,
    )
    assert len(traces) < 10


def test_best_tells_mean_and_standard_error():
    result = sweep(seeds=4)
    best = result.best()
    scores = result.dataset["valid_loss"].values[best.config, :, 0, -1].astype(float)
    assert best.score == pytest.approx(scores.mean(), rel=1e-6)
    assert best.standard_error == pytest.approx(scores.std(ddof=1) / 2, rel=1e-5)
    assert best.hyperparameters == {"learning_rate": RATES[best.config]}
    assert f"learning_rate={RATES[best.config]:.4g}: valid_loss" in str(best)
    assert "4 trials" in str(best)


def test_names_go_where_they_are_asked_for():
    def wide_init(key, width):
        return {"w1": 0.5 * jax.random.normal(key, (4, width)), "w2": jnp.zeros((width, 2))}

    def smoothed(params, batch, smoothing, batch_size):
        assert batch_size == 16
        return (1 - smoothing) * loss(params, batch) + smoothing * jnp.sum(params["w1"] ** 2)

    def above(params, batch, threshold):
        return jnp.mean(logits(params, batch[0])[:, 0] > threshold)

    def optimizer(learning_rate, nesterov, steps, steps_per_epoch, **ignored):
        assert not ignored
        assert steps_per_epoch == 4
        assert steps.dtype == np.int32
        return jf.sgd(learning_rate, 0.9, nesterov)

    space = jf.grid(
        learning_rate=[0.01, 0.1],
        smoothing=[0.0, 0.1],
        threshold=[0.0, 1.0],
        nesterov=[True, False],
        width=["8"],
    )
    the_task = task(
        init=lambda key, width: wide_init(key, int(width)), loss=smoothed, metrics={"above": above}
    )
    result = sweep(optimizer, space, the_task, keep_configs=99)
    assert result.dataset.sizes["config"] == 16
    assert result.params(0)["w1"].shape == (4, 8)
    data = result.dataset["valid_loss"].isel(seed=0, fold=0, evaluation=-1)
    values = {tuple(space[i].values()): float(data[i]) for i in range(16)}
    assert values[0.01, 0.0, 0.0, True, "8"] != values[0.01, 0.0, 0.0, False, "8"]
    assert values[0.01, 0.0, 0.0, True, "8"] != values[0.01, 0.1, 0.0, True, "8"]
    assert values[0.01, 0.0, 0.0, True, "8"] == values[0.01, 0.0, 1.0, True, "8"]
    above_zero = result.dataset["valid_above"].isel(seed=0, fold=0, evaluation=-1)
    assert float(above_zero[0]) >= float(above_zero[2])


def test_optax_factories_and_built_transforms_work_as_they_stand():
    with jax.numpy_dtype_promotion("standard"):
        result = sweep(optax.adamw, jf.grid(learning_rate=[0.01, 0.1], weight_decay=[0.0, 0.1]))
    assert result.dataset.sizes["config"] == 4
    ours = sweep(jf.adamw, jf.grid(learning_rate=[0.01, 0.1], weight_decay=[0.0, 0.1]))
    np.testing.assert_allclose(ours.dataset["valid_loss"], result.dataset["valid_loss"], rtol=1e-3)
    assert (
        sweep(jf.sgd(0.1), jf.grid(batch_size=[16]), batch_size=None).dataset.sizes["config"] == 1
    )


def test_batch_size_and_other_static_axes_have_a_program_each():
    space = jf.grid(batch_size=[10, 60], momentum=[None, 0.9], learning_rate=[0.1])
    result = sweep(jf.sgd, space, steps=None, batch_size=None, epochs=2)
    data = result.dataset
    assert data["steps_taken"].values.ravel().tolist() == [12, 12, 2, 2]
    assert data["step"].values.tolist() == [[6, 12], [6, 12], [1, 2], [1, 2]]
    assert data["epoch"].values.tolist() == [[1, 2]] * 4
    assert data["momentum"].values.tolist() == ["None", "0.9"] * 2
    assert data["batch_size"].values.tolist() == [10, 10, 60, 60]
    assert len(set(data["valid_loss"].values[..., -1].ravel())) == 4


def test_penalties_are_axes_and_evaluation_does_not_see_them():
    result = sweep(
        jf.sgd(0.0),
        jf.grid(l2=[0.0, 1.0], l1=[0.0, 0.5]),
        task(loss=jf.regularized(loss)),
        eval_every=1,
    )
    data = result.dataset.isel(seed=0, fold=0)
    params = result.params(0)
    square = sum(float((p**2).sum()) for p in params.values())
    absolute = sum(float(abs(p).sum()) for p in params.values())
    np.testing.assert_allclose(data["valid_loss"], float(data["valid_loss"][0, 0]), rtol=1e-6)
    for config, penalty in enumerate(
        (0, 0.5 * absolute, 0.5 * square, 0.5 * absolute + 0.5 * square)
    ):
        np.testing.assert_allclose(
            data["train_loss"][config] - data["train_loss"][0], penalty, rtol=1e-4, atol=1e-5
        )


def test_a_key_is_fresh_in_training_and_none_in_evaluation():
    def noisy(params, batch, key):
        noise = 0.0 if key is None else 1.0 + jax.random.uniform(key)
        return loss(params, batch) + noise

    result = sweep(
        jf.sgd(0.0), jf.grid(batch_size=[60]), task(loss=noisy), batch_size=None, eval_every=1
    )
    noise = (
        result.dataset["train_loss"].values.ravel() - result.dataset["valid_loss"].values.ravel()
    )
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 0), 2)
    expected = [1.0 + float(jax.random.uniform(jax.random.fold_in(key, t))) for t in range(20)]
    np.testing.assert_allclose(noise, expected, rtol=1e-5)


def test_a_fraction_is_held_out_once_and_not_trained_on():
    rows = np.arange(50, dtype=np.float32)
    spy = jf.Task(
        init=lambda key: jnp.zeros(50),
        loss=lambda seen, batch: -jnp.sum(seen[batch.astype(jnp.int32)]) / 10,
        data=rows,
        metrics={"row": lambda seen, batch: batch},
        validation=0.3,
    )
    result = jf.sweep(spy, jf.sgd(1.0), jf.grid(batch_size=[7]), epochs=2, seeds=2, progress=False)
    assert result.dataset["training_examples"].item() == 35
    counts = [np.round(result.params(0, seed) * 10).astype(int) for seed in (0, 1)]
    assert sorted(set(counts[0])) == [0, 2]
    assert (counts[0] == 0).sum() == 15
    np.testing.assert_array_equal(counts[0], counts[1])
    held_out = np.flatnonzero(counts[0] == 0)
    np.testing.assert_allclose(result.dataset["valid_row"], held_out.mean(), rtol=1e-6)


def test_without_validation_training_numbers_must_be_asked_for():
    nothing = task(validation=None, metrics={})
    with pytest.raises(
        jf.JefficientError, match=r"only training numbers exist: ask for metric='train_loss'"
    ):
        sweep(the_task=nothing)
    result = sweep(the_task=nothing, metric="train_loss", eval_every=5)
    assert list(result.dataset.data_vars) == [
        "train_loss",
        "zeros",
        "seconds",
        "status",
        "started_at",
        "steps_taken",
        "diverged_at",
    ]
    whole = sweep(the_task=nothing, metric="train_loss", eval_every=1)
    means = whole.dataset["train_loss"].values.reshape(5, 4, 5).mean(-1)
    np.testing.assert_allclose(result.dataset["train_loss"].values.reshape(5, 4), means, rtol=1e-5)


def test_looks_default_to_epochs_fifty_at_most():
    def evaluations(**lengths):
        lengths = _groups.TrialLength(
            **{"steps": None, "epochs": None, "eval_every": None, **lengths}
        )
        [steps] = lengths.evaluations(np.array([3.75]))
        return steps.tolist()

    assert sweep(steps=None, epochs=3).dataset["step"].values[0].tolist() == [
        4,
        8,
        12,
    ]  # of 3.75 updates each
    assert evaluations(epochs=3) == [4, 8, 12]
    assert evaluations(steps=3) == [3]
    assert len(evaluations(epochs=120)) == 40
    assert evaluations(epochs=120)[-1] == 450
    assert evaluations(steps=7, eval_every=3) == [3, 6, 7]


def test_dataset_is_labelled_and_survives_a_file(tmp_path):
    def relu(x):
        return jax.nn.relu(x)

    def with_activation(params, batch, activation):
        return loss(params, batch) + 0 * activation(jnp.ones(()))

    space = jf.grid(activation=[relu, jnp.tanh], learning_rate=[0.1, 0.01])
    result = sweep(space=space, the_task=task(loss=with_activation), seeds=2)
    data = result.dataset
    assert dict(data.sizes) == {
        "config": 4,
        "seed": 2,
        "fold": 1,
        "evaluation": len(data["evaluation"]),
    }
    assert data["activation"].values.tolist() == ["relu", "relu", "tanh", "tanh"]
    assert data["train_loss"].dims == ("config", "seed", "fold", "evaluation")
    assert data["status"].dims == ("config", "seed", "fold")
    assert data["step"].dims == data["epoch"].dims == ("config", "evaluation")
    assert result.best().hyperparameters["activation"] in (relu, jnp.tanh)
    data.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "sweep.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(read.load(), data)


def test_progress_goes_to_a_function_or_to_standard_error(capsys, monkeypatch):
    seen = []
    tiny.series_of(monkeypatch, 0)
    with tiny.machine(cores=1):
        sweep(seeds=2, eval_every=5, progress=seen.append, diverged_above=1e6)
    assert [p.steps_done for p in seen] == list(range(0, 201, 25))
    assert {p.steps for p in seen} == {200}
    assert {p.trials for p in seen} == {10}
    assert seen[-1].trials_done == 10
    assert seen[0].best is None
    assert seen[-1].best == pytest.approx(sweep(seeds=2).best().score, rel=1e-5)

    fewer = []
    tiny.series_of(monkeypatch, math.inf)
    with tiny.machine(cores=1):
        sweep(seeds=2, eval_every=5, progress=fewer.append, diverged_above=1e6)
    assert [p.steps_done for p in fewer] == [0, 100, 200]  # when a trial is over

    sweep(progress=True)
    assert "5/5 trials" in capsys.readouterr().err
    sweep(progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["loss_std", "loss_se", "a/b"])
def test_metrics_leave_the_names_of_tables_and_what_files_cannot_have(name):
    """`valid_loss_std` is the spread of `valid_loss` in the table, so no metric's name."""
    task = tiny.task(metrics={name: lambda params, batch: batch[1]}, validation=0.5)
    with pytest.raises(jf.ArgumentError, match=f"jf.sweep: a metric must .* got 'valid_{name}'"):
        tiny.sweep(task, jf.grid(learning_rate=[0.1]), steps=2)


@pytest.mark.parametrize("name", ["train_loss_se", "difference", "standard_error", "p_value"])
def test_hyperparameters_leave_the_names_of_tables(name):
    with pytest.raises(jf.ArgumentError, match=f"jf.sweep: the space must not name '{name}'"):
        tiny.sweep(tiny.task(), jf.grid(**{name: [0.1]}), steps=2, metric="train_loss")


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_keys_whose_numbers_depend_on_the_neighbours_are_refused(impl):
    """Under vmap jax draws for all lanes from the first key, unlike for a trial alone."""
    with pytest.raises(
        jf.ArgumentError, match=f"jf.sweep: key must draw the same .* got one of {impl}"
    ):
        tiny.sweep(
            tiny.task(),
            jf.grid(learning_rate=[0.1]),
            steps=2,
            metric="train_loss",
            key=jax.random.key(0, impl=impl),
        )
