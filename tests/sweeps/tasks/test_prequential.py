"""Streams: every batch is tested before it is trained on."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf
from jefficient._core.devices import Machine
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.planning._widths import group_width
from jefficient.sweeps.tasks._evaluation import RunningSums, Sums

N = 43
WIDTH = 8
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = (X @ np.array([1, -2, 0.5]) + 0.3 * X[:, 0] ** 2).astype(np.float32)


def init(key):
    return jnp.full(3, 0.5)


def squared(w, batch):
    x, y = batch
    return jnp.mean((x @ w - y) ** 2)


def absolute(w, batch, step):
    x, y = batch
    return jnp.abs(x @ w - y) + jnp.asarray(step, jnp.float32)


def doubled(key, batch):
    return jax.tree.map(lambda x: 2 * x, batch)


PENALISED = jf.regularized(squared)


def stream(**changes):
    given = {"data": (X, Y), "order": "sequential", "evaluate": "prequential", **changes}
    return jf.Task(**{"init": init, "loss": squared, **given})


def hard_stream(**changes):
    """Trained on a loss that is not what is tested: penalised, and of augmented batches."""
    given = {"metrics": {"absolute": absolute}, "augment": doubled}
    return stream(**given, **{"loss": PENALISED, **changes})


def sweep(the_task, **changes):
    l2 = {"l2": [0.5]} if the_task.loss is PENALISED else {}
    space = jf.grid(learning_rate=[0.01, 0.03, 1e30], **l2)
    given = {"epochs": 1, "batch_size": WIDTH, "progress": False, "eval_every": 2, **changes}
    return jf.sweep(the_task, jf.sgd, space, **given)


def errors_before_training(rate, l2):
    """Return squared and absolute errors of each example, before it is trained on."""
    w = np.full(3, 0.5)
    errors = []
    for step, begin in enumerate(range(0, N, WIDTH)):
        rows = np.arange(begin, begin + WIDTH) % N
        x, y = X[rows].astype(float), Y[rows].astype(float)
        own = rows >= begin  # the last batch goes on with the first examples, which are no test
        residual = x @ w - y
        errors.append(np.stack([residual**2, np.abs(residual) + step])[:, own])
        w -= rate * (2 * 4 * x.T @ residual / WIDTH + l2 * w)
    return errors


def test_every_batch_is_tested_before_it_is_trained_on(tmp_path):
    """Against the loop by hand: unpenalised, unaugmented, a short last batch by its examples."""
    arrays = []
    for name, x in (("x", X), ("y", Y)):
        stored = np.memmap(tmp_path / name, x.dtype, "w+", shape=x.shape)
        stored[:] = x
        arrays.append(stored)
    for data in ((X, Y), tuple(arrays)):
        result = sweep(hard_stream(data=data))
        curves = result.dataset.isel(seed=0, fold=0)
        assert curves["step"].values[0].tolist() == [2, 4, 6]
        assert curves["status"].values.tolist() == ["finished", "finished", "diverged"]
        assert curves["diverged_at"].values[2] < 3
        for config, rate in enumerate([0.01, 0.03]):
            errors = errors_before_training(rate, 0.5)
            for i, name in enumerate(["loss", "absolute"]):
                for evaluation, end in enumerate([2, 4, 6]):
                    whole, window = (
                        np.concatenate([x[i] for x in errors[a:end]]).mean() for a in (0, end - 2)
                    )
                    at = curves.isel(config=config, evaluation=evaluation)
                    np.testing.assert_allclose(at[f"valid_{name}"], whole, rtol=1e-6)
                    np.testing.assert_allclose(at[f"window_{name}"], window, rtol=1e-6)
    assert result.best().config == np.nanargmin(curves["valid_loss"].values[:, -1])
    assert "the stream so far" in result.dataset["valid_absolute"].attrs["long_name"]


def test_a_trial_that_goes_on_has_the_mean_over_the_whole_stream():
    the_task = hard_stream()
    whole = sweep(the_task, keep_states=[0])
    rest = sweep(the_task, start=whole.state(0, evaluation=0))
    np.testing.assert_array_equal(
        rest.dataset["valid_loss"].values[0, 0, 0], whole.dataset["valid_loss"].values[0, 0, 0, 1:]
    )
    again = whole.replay(1)
    np.testing.assert_array_equal(
        again.dataset["window_absolute"], whole.dataset["window_absolute"][[1]]
    )
    np.testing.assert_array_equal(whole.refit(1).params, whole.params(1))


def test_the_trials_of_a_stream_share_wide_blocks():
    """32 small trials, too few for them elsewhere: what takes time is the number of operations."""
    space = jf.grid(learning_rate=np.linspace(0.01, 0.1, 32))
    held_out = jf.Task(init, squared, (X, Y))
    here = dataclasses.replace(Machine.here(), platform="cpu", widest=8, widest_small=256)
    settings = Settings(epochs=1, batch_size=N, metric="train_loss")
    for the_task, width in ((stream(), 32), (held_out, 8)):
        assert group_width(prepare(the_task, jf.sgd, space, settings), 0, here, slots=1) == width


def test_half_of_a_stream_and_the_default_windows():
    """Without eval_every there are 50 windows, or as many as there are updates."""
    result = sweep(stream(), epochs=None, steps=3, batch_size=1, eval_every=None)
    assert result.dataset["step"].values[0].tolist() == [1, 2, 3]
    last = result.dataset.isel(config=0, seed=0, fold=0, evaluation=-1)
    assert last["valid_loss"] != last["window_loss"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stream(evaluate="always"), "evaluate must be 'held_out' or 'prequential', got"),
        (lambda: stream(order="shuffled"), "must come with order='sequential', got order='shuf"),
        (lambda: stream(validation=0.2), "must come without validation, since the stream itself"),
        (lambda: stream(prepare=(len, max)), "must come without prepare, since its fit would see"),
        (
            lambda: stream(metrics={"auc": jf.host_metric(squared, squared)}),
            r"must come without jf.Metric, since it sees all .* got \['auc'\]",
        ),
        (lambda: stream(data=None, order="shuffled"), "must be no evaluate='prequential', which"),
        (lambda: sweep(stream(), folds=3), r"folds must not be given with Task\(evaluate='prequ"),
        (lambda: sweep(stream(), epochs=2), r"once at most \(6 updates of 8 of 43 examples\), got"),
        (lambda: sweep(stream(), select="best"), "must come without select, got select='best'"),
        (lambda: sweep(stream(), keep="best"), "must come without keep, got keep='best'"),
        (
            lambda: sweep(stream(loss=lambda w, batch: squared(w, batch) ** 0.5)),
            "loss must be a mean over examples",
        ),
        (
            lambda: jf.hypergradient(stream(), jf.sgd, {"learning_rate": 0.1}, epochs=1),
            "jf.hypergradient: the score must be that of a validation set",
        ),
    ],
)
def test_what_is_no_test_is_refused(make, message):
    with pytest.raises(jf.ArgumentError, match=message):
        make()


def test_a_long_stream_is_summed_without_loss():
    """A plain sum of as many float32 numbers is off by 1e-3."""
    values = np.random.default_rng(0).uniform(size=2**18).astype(np.float32)

    @jax.jit
    def mean(values):
        one = jnp.ones((), jnp.float32)
        begin = RunningSums.zeros().plus(Sums(jnp.float32(0), jnp.float32(2**24)))
        return jax.lax.scan(lambda sums, x: (sums.plus(Sums(x, one)), None), begin, values)[0].mean

    expected = values.astype(float).sum() / (2**24 + len(values))
    np.testing.assert_allclose(mean(values), expected, rtol=1e-7)


LENGTH = 500
FEATURES = 10
RATES = [2.0**-8, 2.0**-6]
INTERCEPT_RATE = 2.0**-7
L2 = 2.0**-10


def zeros(key):
    return {"w": jnp.zeros(FEATURES), "b": jnp.zeros(())}


def predicted(p, batch):
    return batch["x"] @ p["w"] + p["b"]


def squared_error(p, batch):
    return jnp.mean((predicted(p, batch) - batch["y"]) ** 2)


def absolute_error(p, batch):
    return jnp.abs(predicted(p, batch) - batch["y"])


def log_loss(p, batch):
    return jnp.mean(jax.nn.softplus((1 - 2 * batch["y"]) * predicted(p, batch)))


def accuracy(p, batch):
    return jnp.asarray((predicted(p, batch) > 0) == (batch["y"] == 1), jnp.float32)


def sgd_as_in_river(learning_rate):
    """The weights decay, the intercept has a rate of its own."""
    weights = jf.chain(jf.l2_decay(L2), jf.sgd(learning_rate))
    return jf.partition({"w": weights, "b": jf.sgd(INTERCEPT_RATE)}, {"w": "w", "b": "b"})


def examples(dataset):
    """Return the first examples, standardised, absent features being zeros; all of one shape."""
    pairs = list(itertools.islice(iter(dataset), LENGTH))
    names = sorted(pairs[0][0])
    x = np.zeros((LENGTH, FEATURES), np.float32)
    x[:, : len(names)] = [[float(row[name]) for name in names] for row, _ in pairs]
    x -= x.mean(axis=0)
    x /= np.maximum(x.std(axis=0), 1e-6)
    return x, np.array([float(y) for _, y in pairs], np.float32), len(names)


@pytest.mark.parametrize("is_binary", [True, False])
def test_scores_are_those_of_river(is_binary):
    """Against `evaluate.progressive_val_score` of its own linear models, whose numbers are float64.

    All streams are of one shape, so each kind of model compiles one program.
    """
    from river import datasets, evaluate, linear_model, metrics, optim  # takes seconds

    synthetic = datasets.synth
    if is_binary:
        model, loss, metric = linear_model.LogisticRegression, log_loss, accuracy
        measures = {"loss": metrics.LogLoss, "metric": metrics.Accuracy}
        before, after = (synthetic.SEA(variant=2 * i, seed=i) for i in range(2))
        streams = [
            datasets.Phishing(),
            datasets.Bananas(),
            synthetic.SEA(variant=0, noise=0.1, seed=1),
            synthetic.Hyperplane(seed=1, n_features=5, mag_change=0.01),
            synthetic.STAGGER(seed=1),
            synthetic.ConceptDriftStream(before, after, seed=1, position=LENGTH // 2, width=50),
        ]
    else:
        model, loss, metric = linear_model.LinearRegression, squared_error, absolute_error
        measures = {"loss": metrics.MSE, "metric": metrics.MAE}
        streams = [datasets.TrumpApproval(), synthetic.Friedman(seed=1)]

    for dataset in streams:
        x, y, features = examples(dataset)
        if not is_binary:
            y = (y - y.mean()) / y.std()
        the_task = stream(init=zeros, loss=loss, metrics={"metric": metric}, data={"x": x, "y": y})
        space = jf.grid(learning_rate=RATES)
        result = jf.sweep(the_task, sgd_as_in_river, space, epochs=1, batch_size=1, progress=False)
        rows = [dict(enumerate(row)) for row in x[:, :features].tolist()]
        labels = (y == 1).tolist() if is_binary else y.tolist()
        for config, rate in enumerate(RATES):
            for name, measure in measures.items():
                theirs = model(optimizer=optim.SGD(rate), l2=L2, intercept_lr=INTERCEPT_RATE)
                pairs = zip(rows, labels, strict=True)
                expected = evaluate.progressive_val_score(pairs, theirs, measure()).get()
                shown = result.dataset[f"valid_{name}"].values[config, 0, 0, -1]
                np.testing.assert_allclose(shown, expected, rtol=1e-6)
