"""A share of the training examples: nested, with its share of every class, and all that is else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import KFold

import jefficient as jf
from jefficient.sweeps.tasks._subsets import share_of

SHARES = (0.01, 0.1, 1 / 3, 0.5, 0.9, 1.0)
N = 30
ROWS = np.arange(N, dtype=np.int32)
LABELS = (ROWS % 3 == 0).astype(np.int32)  # ten of one class, twenty of the other


@pytest.mark.parametrize("dtype", [np.int32, np.bool_, np.float32])
def test_shares_are_nested_and_have_their_share_of_every_class(dtype):
    rng = np.random.default_rng(0)
    for draw in range(30):
        n, classes = 200, rng.integers(1, 6)
        labels = rng.choice(classes, p=rng.dirichlet(np.ones(classes)), size=n).astype(dtype)
        indices = np.sort(rng.choice(n, size=rng.choice([1, 7, 64, 200]), replace=False))
        before: set = set()
        for share in SHARES:
            found = share_of(indices, share, labels, jax.random.key(draw))
            assert len(found) == int(np.ceil(share * len(indices) - 1e-9))
            assert before <= set(found.tolist()) <= set(indices.tolist())
            before = set(found.tolist())
            if dtype == np.float32:
                continue  # numbers are no classes
            for label in np.unique(labels):
                of_class = np.sum(labels[indices] == label)
                off = np.sum(labels[found] == label) - len(found) / len(indices) * of_class
                assert abs(off) <= 1.5


def spy(data, **changes):
    """A model that counts how often it has seen an example; gradient ascent adds 1 for each."""
    return jf.Task(
        init=lambda key: jnp.zeros(N),
        loss=lambda seen, batch: -len(batch["row"]) * jnp.mean(seen[batch["row"]]),
        data=data,
        **changes,
    )


def sweep(task, **changes):
    given = {"epochs": 1, "batch_size": 1, "progress": False, **changes}
    return jf.sweep(task, jf.sgd, jf.grid(learning_rate=[1.0]), **given)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_trials_train_on_the_share_and_are_validated_on_all(where, tmp_path):
    data = {"row": ROWS, "y": LABELS}
    if where == "disk":
        stored = np.memmap(tmp_path / "rows", ROWS.dtype, "w+", shape=ROWS.shape)
        stored[:] = ROWS
        data = {**data, "row": stored}
    whole = sweep(spy(data, validation=0.2))
    third = sweep(spy(data, validation=0.2, examples=1 / 3))
    seen, seen_of_all = third.params(), whole.params()
    assert (third.dataset["training_examples"], third.dataset["validation_examples"]) == (8, 6)
    assert (third.dataset["steps_taken"] == 8).all()
    assert (seen.max(), seen.sum()) == (1, 8)
    assert (seen <= seen_of_all).all()  # those that are validated on are the same
    assert abs(seen @ LABELS - 8 / 24 * (seen_of_all @ LABELS)) <= 1

    folds = sweep(spy(data, examples=0.5), folds=KFold(3))
    for fold, (train, _) in enumerate(KFold(3).split(ROWS)):
        assert set(np.flatnonzero(folds.params(0, fold=fold))) < set(train)
        assert folds.params(0, fold=fold).sum() == 10


def test_refit_trains_on_all_and_a_directory_holds_one_share(tmp_path):
    task = spy({"row": ROWS, "y": LABELS}, validation=0.2)
    result = sweep(task.with_examples(0.5), directory=tmp_path)
    assert result.refit().params.sum() == N
    with pytest.raises(jf.JefficientError, match=r"the data \(or folds\) are others"):
        sweep(task, directory=tmp_path)


def test_what_is_no_share_is_refused():
    data = {"row": ROWS}
    with pytest.raises(jf.ArgumentTypeError, match=r"must be a share, got examples=True"):
        spy(data, examples=True)
    for share in (0, -0.1, 1.1, np.nan):
        with pytest.raises(jf.ArgumentError, match=r"0 < examples <= 1 must hold, got examples="):
            spy(data).with_examples(share)
    with pytest.raises(jf.ArgumentError, match=r"examples must be 1 with order='sequential', got"):
        spy(data, order="sequential", examples=0.5)
    with pytest.raises(jf.ArgumentError, match=r"with data=None there must be no examples=0.5"):
        jf.Task(init=jnp.zeros, loss=lambda params, key: params, data=None, examples=0.5)
