"""A sweep and a sweep are a sweep; a product has a dimension for each hyperparameter."""

import dataclasses

import chex
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from results.made import made
from sweeps import tiny

import jefficient as jf


def test_a_product_is_unstacked():
    scores = np.arange(12.0).reshape(6, 2, 1)
    columns = {"name": ["b", "b", "b", "a", "a", "a"], "l2": [1e-2, 0.0, 1e-4] * 2}
    grid = made(scores, columns).grid()
    assert dict(grid.sizes) == {"name": 2, "l2": 3, "seed": 2, "fold": 1, "evaluation": 10}
    assert grid["name"].values.tolist() == ["b", "a"]
    assert grid["l2"].values.tolist() == [1e-2, 0.0, 1e-4]
    np.testing.assert_allclose(
        grid["valid_loss"].isel(evaluation=-1)[..., 0], scores.reshape(2, 3, 2)
    )
    assert grid["valid_loss"].sel(name="a", l2=0.0, seed=1).isel(evaluation=-1).item() == 9.0
    assert grid["step"].dims == ("name", "l2", "evaluation")
    assert grid["config"].values.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert grid.attrs["metric"] == "valid_loss"
    assert grid["valid_loss"].attrs["role"] == "measured"


def test_in_whatever_order_the_configurations_stand():
    order = [3, 0, 2, 1]
    columns = {"a": [0, 0, 1, 1], "b": [5, 6, 5, 6]}
    result = made(
        np.arange(4.0)[order].reshape(4, 1, 1),
        {name: np.take(x, order).tolist() for name, x in columns.items()},
    )
    grid = result.grid()["valid_loss"].isel(evaluation=-1, seed=0, fold=0)
    for i, (a, b) in enumerate(zip(*columns.values(), strict=True)):
        assert grid.sel(a=a, b=b) == i


@pytest.mark.parametrize(
    "columns", [{"a": [0, 0, 1], "b": [5, 6, 5]}, {"a": [0, 0, 0, 1], "b": [5, 6, 5, 6]}]
)
def test_what_is_no_product_is_refused(columns):
    count = len(columns["a"])
    with pytest.raises(
        jf.ArgumentError, match=f"all combinations of their values, got {count} of 2 a × 2 b"
    ):
        made(np.zeros((count, 1, 1)), columns).grid()


@pytest.fixture(scope="module")
def parts():
    def run(rates, **changes):
        settings = {"steps": 20, "seeds": 2, "keep_configs": 3, **changes}
        return tiny.sweep(tiny.task(validation=0.2), jf.grid(learning_rate=rates), **settings)

    return run([0.01, 0.1]), run([0.1, 0.3], eval_every=2), run


def test_two_sweeps_are_one(parts):
    first, second, _ = parts
    with pytest.warns(
        jf.JefficientWarning, match="1 of 2 configurations of the second are in the first already"
    ):
        both = first + second
    assert both.space == {"learning_rate": (0.01, 0.1, 0.3)}
    assert both.dataset["learning_rate"].values.tolist() == [0.01, 0.1, 0.3]
    assert both.dataset["config"].values.tolist() == [0, 1, 2]
    assert both.dataset.sizes["evaluation"] == 10
    first_evaluations = first.dataset.sizes["evaluation"]
    xr.testing.assert_equal(
        both.dataset.isel(config=[0, 1], evaluation=slice(first_evaluations)).drop_vars(
            "evaluation"
        ),
        first.dataset.drop_vars("evaluation"),
    )
    assert (both.dataset["step"][:2, first_evaluations:] == -1).all()
    np.testing.assert_array_equal(both.dataset["valid_loss"][2], second.dataset["valid_loss"][1])
    assert both.dataset["status"].values.tolist() == [[["finished"]] * 2] * 3
    assert both.dataset["step"].dtype == first.dataset["step"].dtype
    scores = np.concatenate(
        [
            first.dataset["valid_loss"][..., -1].mean(("seed", "fold")).values,
            second.dataset["valid_loss"][1, ..., -1].mean(("seed", "fold")).values[None],
        ]
    )
    assert both.best().config == scores.argmin()
    assert both.table().index.tolist() == np.argsort(scores).tolist()
    chex.assert_trees_all_equal(both.params(2, seed=1), second.params(1, seed=1))
    again = both.replay(2, seed=1)
    chex.assert_trees_all_equal(again.params, second.params(1, seed=1))
    assert again.dataset["config"].item() == 2
    assert both.refit(0).params.shape == (3,)
    assert (
        both.dataset.attrs["seconds"]
        == first.dataset.attrs["seconds"] + second.dataset.attrs["seconds"]
    )


def test_a_joined_result_survives_a_file_and_another_join(parts, tmp_path):
    first, second, run = parts
    with pytest.warns(jf.JefficientWarning):
        both = first + second
    loaded = jf.load(both.save(tmp_path / "both.nc"))
    xr.testing.assert_identical(loaded.dataset, both.dataset)
    three = loaded + run([0.2])
    assert len(three.table()) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "got seeds 2 and 1"),
        ({"steps": 30}, "got steps 20 and 30"),
        ({"metric": "train_loss"}, "got metric valid_loss and train_loss"),
        ({"folds": 3}, "got folds 1 and 3"),
    ],
)
def test_sweeps_of_another_kind_are_refused(parts, changes, message):
    settings = {"steps": 4, "seeds": 2} | changes
    the_task = tiny.task(**({} if "folds" in changes else {"validation": 0.2}))
    other = tiny.sweep(the_task, jf.grid(learning_rate=[0.2]), **settings)
    with pytest.raises(jf.ArgumentError, match=message):
        parts[0] + other


def test_other_data_or_names_are_refused(parts):
    for other, message in (
        (
            tiny.sweep(
                tiny.task(data=(tiny.X, tiny.Y + 1), validation=0.2),
                jf.grid(learning_rate=[0.2]),
                steps=20,
                seeds=2,
            ),
            "data",
        ),
        (made(np.zeros((2, 2, 1)), {"momentum": [0.0, 0.9]}), "hyperparameters"),
    ):
        with pytest.raises(
            jf.ArgumentError,
            match=rf"jf.Result \+ jf.Result: both must be sweeps of one task, got {message}",
        ):
            parts[0] + other
    with pytest.raises(TypeError):
        parts[0] + 1


@pytest.mark.parametrize("first", ["numbers", "texts"])
def test_numbers_and_texts_of_one_name_are_texts_that_can_be_saved(tmp_path, first):
    """momentum=[0.5, None] has the labels "0.5" and "None", and two sweeps of its halves too."""
    numbers = made(np.zeros((2, 1, 1)), {"momentum": [0.5, 0.9]})
    texts = made(np.zeros((1, 1, 1)), {"momentum": ["None"]})
    texts = dataclasses.replace(
        texts, dataset=texts.dataset.assign_coords(hash=("config", np.array(["f"], object)))
    )
    both = numbers + texts if first == "numbers" else texts + numbers
    expected = ["0.5", "0.9", "None"] if first == "numbers" else ["None", "0.5", "0.9"]
    loaded = jf.load(both.save(tmp_path / "both.nc"))
    assert (
        both.dataset["momentum"].values.tolist()
        == loaded.dataset["momentum"].values.tolist()
        == expected
    )
    assert both.dataset["momentum"].attrs["role"] == "hyperparameter"


def test_other_functions_or_dtypes_are_refused_and_results_are_summed(parts):
    first, _, run = parts

    def absolute(params, batch):
        x, y = batch
        return jnp.mean(jnp.abs(x @ params - y))

    space = jf.grid(learning_rate=[0.2])
    other = tiny.sweep(tiny.task(loss=absolute, validation=0.2), space, steps=20, seeds=2)
    for one in (other, run([1])):  # 1 is a whole number: its program takes int32
        with pytest.raises(
            jf.ArgumentError, match=r"one task, got for \{.* programs [0-9a-f]{8} and [0-9a-f]{8}"
        ):
            first + one
    both = sum([first, run([0.2])])
    assert both.space["learning_rate"] == (0.01, 0.1, 0.2)
    with pytest.raises(
        jf.ArgumentError,
        match=r"jf.Result: space must have a value for every configuration, 1 in all",
    ):
        dataclasses.replace(both, dataset=both.dataset.isel(config=[1]))


def test_a_side_without_a_task_leaves_the_other_its_own(parts, tmp_path):
    first, _, run = parts
    loaded = jf.load(first.save(tmp_path / "first.nc"))
    both = loaded + run([0.2])
    assert both.refit(2).dataset["config"].item() == 2
    with pytest.raises(jf.JefficientError, match="the task must be at hand, got configuration 0"):
        both.replay(0)
