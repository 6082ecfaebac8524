"""Cross-validation: every kind of folds, and no validation example reaches training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit
from sklearn.preprocessing import StandardScaler
from sweeps.tiny import Box, X, Y, init, loss, sweep, task

import jefficient as jf
from jefficient.sweeps.tasks._folds import folds_of

ROWS = len(X)
CLASSES = np.greater(Y, np.quantile(Y, 0.7)).astype(np.int32)
GROUPS = np.arange(ROWS) % 7
DATA = {"x": X, "y": CLASSES, "groups": GROUPS, "target": Y, "row": np.arange(ROWS)}

PAIRS = [
    (np.arange(5, 26), np.arange(5)),
    (np.arange(12)[::-1], np.array([29, 14])),
    (np.arange(18), np.arange(18, 30)),
]
KINDS = {
    "number": 3,
    "KFold": KFold(3, shuffle=True, random_state=0),
    "StratifiedKFold": StratifiedKFold(3),
    "GroupKFold": GroupKFold(3),
    "TimeSeriesSplit": TimeSeriesSplit(3),
    "pairs": PAIRS,
}
SPLIT_KEY = jax.random.fold_in(jax.random.key(0), 2**32 - 1)
every_kind = pytest.mark.parametrize("kind", KINDS)


def pairs_of(kind):
    """The pairs of indices; those of a number are drawn from the sweep's key."""
    folds = KINDS[kind]
    if kind == "number":
        order = np.asarray(jax.random.permutation(SPLIT_KEY, ROWS))
        parts = np.array_split(order, folds)
        return [(np.concatenate(parts[:i] + parts[i + 1 :]), x) for i, x in enumerate(parts)]
    return (
        folds
        if kind == "pairs"
        else list(folds.split(X, CLASSES, GROUPS if kind == "GroupKFold" else None))
    )


@every_kind
def test_folds_are_those_of_the_splitter(kind):
    folds = folds_of(KINDS[kind], DATA, ROWS, jax.random.key(0))
    assert len(folds) == 3
    for i, (train, valid) in enumerate(pairs_of(kind)):
        np.testing.assert_array_equal(folds.train[i], np.sort(train))
        np.testing.assert_array_equal(folds.valid[i], np.sort(valid))
    if kind not in ("TimeSeriesSplit", "pairs"):
        np.testing.assert_array_equal(np.sort(np.concatenate(folds.valid)), np.arange(ROWS))
        for train, valid in zip(folds.train, folds.valid, strict=True):
            np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(ROWS))


@pytest.mark.parametrize("count", [2, 4, 7, 30])
def test_a_number_splits_evenly_and_by_its_key(count):
    folds = folds_of(count, DATA, ROWS, jax.random.key(0))
    sizes = folds.valid_sizes
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_array_equal(np.sort(np.concatenate(folds.valid)), np.arange(ROWS))
    again, other = (folds_of(count, DATA, ROWS, jax.random.key(seed)) for seed in (0, 1))
    assert all(map(np.array_equal, folds.valid, again.valid))
    assert not all(map(np.array_equal, folds.valid, other.valid))


def test_shorter_folds_are_padded_with_examples_of_their_own():
    folds = folds_of(PAIRS, DATA, ROWS, jax.random.key(0))
    arrays = folds.arrays()
    assert arrays.train.shape == (3, 21)
    assert arrays.valid.shape == (3, 12)
    assert arrays.train_size.tolist() == [21, 12, 18]
    assert arrays.valid_size.tolist() == [5, 2, 12]
    for i in range(3):
        assert set(arrays.train[i].tolist()) == set(PAIRS[i][0].tolist())
        assert set(arrays.valid[i].tolist()) == set(PAIRS[i][1].tolist())


@pytest.mark.parametrize("data", [(X, CLASSES), [X, CLASSES], {"a": X, "y": CLASSES}])
def test_where_a_splitter_finds_its_classes(data):
    folds = folds_of(StratifiedKFold(3), data, ROWS, jax.random.key(0))
    for valid in folds.valid:
        assert CLASSES[valid].sum() == 3


@every_kind
def test_each_fold_trains_on_its_examples_in_epochs(kind):
    """A model that counts how often it has seen an example, and a metric of their indices."""
    spy = jf.Task(
        init=lambda key: jnp.zeros(ROWS),
        loss=lambda seen, batch: -6 * jnp.mean(seen[batch["row"]]),
        data=DATA,
        metrics={
            "row": lambda seen, batch: batch["row"],
            "square": lambda seen, batch: jnp.mean(batch["row"] ** 2),
        },
    )
    result = sweep(
        spy, jf.grid(batch_size=[6]), jf.sgd(1.0), batch_size=None, folds=KINDS[kind], epochs=3
    )
    pairs = pairs_of(kind)
    assert result.dataset["training_examples"].values.tolist() == [len(train) for train, _ in pairs]
    assert result.dataset["validation_examples"].values.tolist() == [
        len(valid) for _, valid in pairs
    ]
    for fold, (train, valid) in enumerate(pairs):
        steps = -(-3 * len(train) // 6)
        assert result.dataset["steps_taken"].values[0, 0, fold] == steps
        counts = np.round(result.params(0, fold=fold)).astype(int)
        assert (counts[np.setdiff1d(np.arange(ROWS), train)] == 0).all()
        assert counts.sum() == steps * 6
        assert np.ptp(counts[train]) <= 1
        trial = result.dataset.isel(config=0, seed=0, fold=fold, evaluation=-1)
        np.testing.assert_allclose(trial["valid_row"], valid.mean(), rtol=1e-6)
        np.testing.assert_allclose(trial["valid_square"], (valid**2.0).mean(), rtol=1e-6)


def standardise(rows):
    """scikit-learn's, fitted on some rows."""
    scaler = StandardScaler().fit(np.asarray(rows["x"]))
    return {"mean": scaler.mean_, "scale": scaler.scale_}


def standardised(fitted, batch):
    return {**batch, "x": (batch["x"] - fitted["mean"]) / fitted["scale"]}


def squares(params, batch, key):
    """The loss; in evaluation, where there is no key, it skips examples that are NaN."""
    errors = (batch["x"] @ params - batch["target"]) ** 2
    return jnp.mean(errors if key is not None else jnp.nan_to_num(errors, nan=1.0))


def cross_validated(folds, data=DATA, prepare=None, **changes):
    the_task = jf.Task(
        init=init, loss=squares, data=data, prepare=prepare, check_finite=data is DATA
    )
    arguments = {"folds": folds, "batch_size": 6, "steps": 10, "eval_every": 4, "seeds": 2}
    return sweep(the_task, jf.grid(learning_rate=[0.02, 0.1]), jf.adam, **{**arguments, **changes})


@functools.cache
def step_by_hand():
    def step(params, state, x, y, rate):
        value, gradient = jax.value_and_grad(loss)(params, (x, y))
        updates, state = jf.adam(rate).update(gradient, state, params)
        return jf.apply_updates(params, updates), state, value

    return jax.jit(step)


def by_hand(x, y, train, valid, fold, seed, rate):
    """One trial by a plain loop on the rows of its fold: what is kept, and the curves."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), fold)
    params, order = init(jax.random.fold_in(key, 0)), jax.random.fold_in(key, 1)
    state, train_losses, curves = jf.adam(rate).init(params), [], []
    for t in range(10):
        rows = np.sort(train)[jf.shuffled_batch(order, t, len(train), 6)]
        params, state, value = step_by_hand()(params, state, x[rows], y[rows], np.float32(rate))
        train_losses.append(float(value))
        if t + 1 in (4, 8, 10):
            curves.append(
                (np.mean(train_losses), np.mean((x[valid].astype(float) @ params - y[valid]) ** 2))
            )
            train_losses = []
    return params, np.array(curves).T


@pytest.mark.parametrize(
    ("kind", "is_prepared"), [("number", False), ("TimeSeriesSplit", True), ("pairs", True)]
)
def test_a_fold_is_the_loop_by_hand_on_its_examples(kind, is_prepared):
    """Prepared: standardised by scikit-learn, fitted on the training examples of the fold."""
    result = cross_validated(
        KINDS[kind], prepare=(standardise, standardised) if is_prepared else None
    )
    for fold, (train, valid) in enumerate(pairs_of(kind)):
        x = StandardScaler().fit(X[train]).transform(X).astype(np.float32) if is_prepared else X
        for seed, config in ((0, 1), (1, 0)):
            params, curves = by_hand(
                x, Y, train, valid, fold, seed, result.space["learning_rate"][config]
            )
            trial = result.dataset.isel(config=config, seed=seed, fold=fold)
            np.testing.assert_allclose(
                result.params(config, seed, fold), params, rtol=1e-4, atol=1e-5
            )
            np.testing.assert_allclose(trial["train_loss"], curves[0], rtol=1e-4)
            np.testing.assert_allclose(trial["valid_loss"], curves[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "is_prepared"), [("number", False), *((kind, True) for kind in KINDS)]
)
def test_poisoned_validation_examples_change_no_bit_of_training(kind, is_prepared):
    """They are NaN; other folds, which train on them, diverge beside it."""
    prepare = (standardise, standardised) if is_prepared else None
    pairs, folds = pairs_of(kind), KINDS[kind]
    poisoned = {name: np.array(x) for name, x in DATA.items()}
    for name in ("x", "target"):
        poisoned[name][pairs[1][1]] = np.nan
    clean, ill = (cross_validated(folds, data, prepare) for data in (DATA, poisoned))
    assert (clean.dataset["status"] == "finished").all()
    for fold, (train, _) in enumerate(pairs):
        is_poisoned = bool(np.intersect1d(train, pairs[1][1]).size)
        assert set(ill.dataset["status"].values[:, :, fold].ravel()) == {
            "diverged" if is_poisoned else "finished"
        }
    one, other = (x.dataset["train_loss"].isel(fold=1).values for x in (clean, ill))
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(other).all()
    for config in (0, 1):
        for seed in (0, 1):
            np.testing.assert_array_equal(
                clean.params(config, seed, 1), ill.params(config, seed, 1)
            )


def test_poison_that_evaluation_sees_comes_too_late_for_the_weights():
    """The validation loss is NaN, so the trial has diverged; by then it has its weights."""
    poisoned = {**DATA, "x": np.array(X)}
    poisoned["x"][PAIRS[1][1]] = np.nan

    def plain(params, batch):
        return loss(params, (batch["x"], batch["target"]))

    clean, ill = (
        sweep(
            jf.Task(init=init, loss=plain, data=data, check_finite=False),
            jf.grid(learning_rate=[0.1]),
            folds=PAIRS,
            batch_size=6,
            steps=10,
            eval_every=10,
        )
        for data in (DATA, poisoned)
    )
    assert ill.dataset["status"].values[0, 0, 1] == "diverged"
    assert ill.dataset["steps_taken"].values[0, 0, 1] == 10
    np.testing.assert_array_equal(clean.params(0, fold=1), ill.params(0, fold=1))


def test_configurations_are_ranked_by_the_mean_over_folds():
    result = cross_validated(PAIRS, prepare=(standardise, standardised))
    scores = result.dataset["valid_loss"].values[..., -1].reshape(2, 6).astype(float)
    best = result.best()
    assert best.config == scores.mean(axis=1).argmin()
    assert best.score == pytest.approx(scores.mean(axis=1).min(), rel=1e-6)
    assert best.trials == 6


class Stubborn:
    """A splitter that cannot."""

    def split(self, x, y=None, groups=None):
        raise ValueError("never")


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (0, "folds >= 1 must hold, got folds=0"),
        (1, r"2 <= folds <= 30 \(the examples of data\) must hold, got folds=1"),
        (31, "2 <= folds <= 30 .* got folds=31"),
        (2.5, r"folds must be a whole number, got folds=2\.5"),
        (True, "folds must be a number, a splitter or pairs of indices, got folds=True"),
        ("3", "folds must be a number, a splitter or pairs of indices, got folds='3'"),
        ({0: PAIRS[0]}, "folds must be a number, a splitter or pairs of indices, got folds={0"),
        (object(), "folds must be a number, a splitter or pairs of indices, got folds=<object"),
        ([], "folds must hold at least one pair of indices, got none"),
        (
            [[1, 2, 3]],
            r"each fold must be a pair of indices \(training, validation\), got \[1, 2, 3\]",
        ),
        ([3], r"each fold must be a pair of indices \(training, validation\), got 3"),
        (
            [([0.0, 1.0], [2])],
            r"the training examples of fold 0 must be indices, .* got dtype float64, shape \(2,\)",
        ),
        ([([0, 1], [])], "the validation examples of fold 0 must be indices, .* got dtype float64"),
        (
            [PAIRS[0], (np.zeros(30, bool), [2])],
            "the training examples of fold 1 .* got dtype bool.* A mask goes through",
        ),
        ([([[0, 1]], [2])], r"got dtype int64, shape \(1, 2\)"),
        ([([-1, 0], [2])], "the training examples of fold 0 must be among 0 … 29, got -1 … 0"),
        ([([0, 1], [30])], "the validation examples of fold 0 must be among 0 … 29, got 30 … 30"),
        ([([0, 1, 0], [2])], "the training examples of fold 0 must differ, got some twice"),
        (
            [([0, 1, 5], [2, 1, 5])],
            "fold 0 must not train on its validation examples, got 2 on both sides, 1 for",
        ),
        (
            Stubborn(),
            r"folds must be able to split the data, got .*Stubborn.* which raised: never",
        ),
        (StratifiedKFold(3), "folds must be able to .* There is no data.'y'., only"),
        (
            GroupKFold(3),
            "able to split the data, got GroupKFold.* data.'groups'. or the second|got",
        ),
        (KFold(31), "folds must be able to split the data, got KFold"),
        (
            [(np.arange(5), np.arange(5, 30))],
            r"1 <= batch_size <= 5 \(the training examples\) must hold, got batch_size=8",
        ),
    ],
)
def test_folds_that_break_a_rule(folds, message):
    with pytest.raises(jf.JefficientError, match=message):
        sweep(task(data={"a": X, "b": Y}), jf.grid(learning_rate=[0.1]), folds=folds, steps=1)


def test_folds_and_validation_exclude_each_other():
    with pytest.raises(
        jf.JefficientError, match=r"folds and Task\(validation=…\) must not both be given"
    ):
        sweep(task(validation=0.2), jf.grid(learning_rate=[0.1]), folds=3, steps=1)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            lambda rows: jnp.unique(rows["row"]),
            "prepare's fit must return alike in every fold, got",
        ),
        (
            lambda rows: {"a": 1} if len(rows["row"]) > 12 else {"b": 1},
            "prepare's fit must return alike in every fold, got",
        ),
    ],
)
def test_what_is_fitted_has_one_shape(fit, message):
    with pytest.raises(jf.JefficientError, match=message):
        cross_validated(PAIRS, prepare=(fit, standardised))


def test_what_is_fitted_may_be_of_a_class_of_one_s_own():
    def apply(fitted, batch):
        return {**batch, "x": batch["x"] - fitted.content}

    fit = lambda rows: Box(rows["x"].mean(axis=0))  # noqa: E731
    prepared = cross_validated(PAIRS, prepare=(fit, apply), seeds=1, steps=1)
    for fold, (train, _) in enumerate(PAIRS):
        data = {**DATA, "x": X - X[train].mean(axis=0)}
        by_hand = cross_validated(
            PAIRS, data, prepare=(lambda rows: Box(jnp.zeros(3)), apply), seeds=1, steps=1
        )
        one, other = (x.dataset["valid_loss"].values[:, :, fold] for x in (prepared, by_hand))
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("prepare", [standardise, (standardise,), (standardise, 3), 3])
def test_preparation_is_a_pair_of_functions(prepare):
    with pytest.raises(
        jf.JefficientError,
        match=r"jf.Task: prepare must be a pair of functions \(fit, apply\), got",
    ):
        task(prepare=prepare)
