"""Another ranking metric without training, and sweeps of different optimizers as one."""

import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32)
LEVELS = [5.0, 1.0, 3.0, 2.0]
"""Of the metric `level` at each evaluation: the second is its least, the first its greatest."""


def level(params, batch, step):
    return jnp.full(len(batch["y"]), jnp.asarray(LEVELS)[step // 3 - 1])


def task():
    return jf.Task(
        init=lambda key: jnp.zeros(3),
        loss=lambda params, batch: jnp.mean((batch["x"] @ params - batch["y"]) ** 2),
        data={"x": X, "y": Y},
        validation={"x": X, "y": Y},
        test={"x": X, "y": Y},
        metrics={"level": level, "size": lambda params, batch: jnp.sum(params**2)},
    )


def sweep(optimizer=jf.sgd, space=None, **changes):
    space = jf.grid(learning_rate=[0.1, 0.01]) if space is None else space
    given = {"steps": 12, "eval_every": 3, "batch_size": 8, "progress": False, **changes}
    return jf.sweep(task(), optimizer, space, **given)


@pytest.fixture(scope="module")
def result():
    return sweep(keep_configs=2)


def test_another_metric_ranks_without_training(result):
    again = result.ranked_by("valid_size", mode="min")
    asked = sweep(metric="valid_size", mode="min", keep_configs=2)
    assert (result.best().config, again.best().config) == (0, 1)
    assert again.best().score == asked.best().score
    assert again.table().equals(asked.table())
    assert again.weights.keys() == result.weights.keys()
    assert (result.test is not None, again.test) == (True, None)
    assert again.ranked_by("valid_loss").table().equals(result.table())


def test_weights_of_another_evaluation_are_left_out():
    best = {"select": "best", "keep": "best", "metric": "valid_level", "mode": "min"}
    result = sweep(**best)
    with pytest.warns(jf.JefficientWarning, match="weights of 2 trials are left out: they were"):
        again = result.ranked_by("valid_level", mode="max")
    assert again.best().score == 5.0
    assert not again.weights
    assert again.test is None
    assert result.ranked_by("valid_level", mode="min").weights.keys() == result.weights.keys()


def test_what_it_refuses(result):
    with pytest.raises(
        jf.ArgumentError, match=r"Result.ranked_by: metric must be one of .* Did you"
    ):
        result.ranked_by("size", mode="min")
    with pytest.raises(jf.ArgumentError, match="mode must say whether the best valid_size is the"):
        result.ranked_by("valid_size")


def momentum(learning_rate, momentum):
    return jf.sgd(learning_rate, momentum)


def test_optimizers_of_one_task_add_up(tmp_path):
    space = jf.grid(learning_rate=[0.1, 0.01], momentum=[0.0, 0.9])
    sgd, adam, nadam = sweep(momentum, space), sweep(jf.adam), sweep(jf.nadam)
    result = sgd + adam + nadam
    assert result.space["optimizer"] == ("momentum",) * 4 + ("adam",) * 2 + ("nadam",) * 2
    assert result.space["momentum"] == (0.0, 0.9, 0.0, 0.9, None, None, None, None)
    for first, part in ((0, sgd), (4, adam), (6, nadam)):
        for name in ("valid_loss", "status", "step"):
            count = part.dataset.sizes["config"]
            rows = result.dataset[name].isel(config=slice(first, first + count))
            np.testing.assert_array_equal(rows.values, part.dataset[name].values)
    assert len(set(result.dataset["hash"].values.tolist())) == 8
    best = min((sgd, adam, nadam), key=lambda part: part.best().score)
    assert result.best().score == best.best().score

    again = result.replay(5, seed=0, fold=0)
    recorded = adam.dataset["valid_loss"].isel(config=[1])
    np.testing.assert_array_equal(again.dataset["valid_loss"], recorded)
    loaded = jf.load(result.save(tmp_path / "joined.nc"))
    assert loaded.space == result.space
    assert loaded.table().equals(result.table())
    assert "optimizer" in result.plot.describe("values", "optimizer")
    with pytest.warns(jf.JefficientWarning, match="2 of 2 configurations of the second are in the"):
        assert (result + adam).dataset.sizes["config"] == 8
