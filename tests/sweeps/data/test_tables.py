"""Data as people keep them: what is right is taken, what is not is refused by its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from jax.experimental.sparse import BCOO
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from sklearn.model_selection import StratifiedGroupKFold
from sweeps import tiny

import jefficient as jf

SIZE = 24
RNG = np.random.default_rng(0)
CLASSES = np.array(["setosa", "virginica"])[RNG.integers(0, 2, SIZE)]
GROUPS = np.array([f"group {i // 3}" for i in range(SIZE)])
AGE = RNG.integers(20, 60, SIZE)
HEIGHT = RNG.normal(size=SIZE)
CITIES = pd.Categorical(["Rome", "Oslo"] * (SIZE // 2), categories=["Ulm", "Rome", "Oslo"])

FRAME = pd.DataFrame(
    {
        "age": pd.array(AGE, dtype="Int64"),
        "height": pd.array(HEIGHT, dtype="Float64"),
        "smokes": pd.array(AGE > 40, dtype="boolean"),
        "city": CITIES,
        "y": CLASSES,
        "groups": GROUPS.astype(object),
    },
    index=pd.RangeIndex(7, 7 + SIZE),
)


def loss(params, batch):
    return jnp.mean((params * batch["height"] - batch["age"].astype(jnp.float32)) ** 2)


def task(data, **changes):
    return jf.Task(**{"init": lambda key: jnp.zeros(()), "loss": loss, "data": data, **changes})


def test_a_frame_is_a_dict_of_its_columns():
    data = task(FRAME).data
    assert {name: str(x.dtype) for name, x in data.items()} == {
        "age": "int32",
        "height": "float32",
        "smokes": "bool",
        "city": "int32",
        "y": "int32",
        "groups": "int32",
    }
    np.testing.assert_array_equal(data["age"], AGE)
    np.testing.assert_array_equal(data["height"], HEIGHT.astype(np.float32))
    np.testing.assert_array_equal(data["smokes"], AGE > 40)
    nested = task({"x": FRAME[["age", "city"]], "y": FRAME["y"]})
    np.testing.assert_array_equal(nested.data["x"]["age"], AGE)
    assert set(nested.categories) == {"x.city", "y"}


def test_classes_are_codes_whose_names_are_kept(tmp_path):
    """A splitter of scikit-learn splits names and codes alike."""
    splitter = StratifiedGroupKFold(3)
    the_task = task(FRAME)
    names = {
        "city": ("Ulm", "Rome", "Oslo"),
        "groups": tuple(sorted(set(GROUPS))),
        "y": ("setosa", "virginica"),
    }
    assert the_task.categories == names
    for leaf, values in {"city": CITIES, "groups": GROUPS, "y": CLASSES}.items():
        np.testing.assert_array_equal(np.array(names[leaf])[the_task.data[leaf]], values)

    space = jf.grid(learning_rate=[1e-3])
    result = tiny.sweep(the_task, space, steps=2, folds=splitter, batch_size=4)
    folds = list(splitter.split(np.zeros((SIZE, 1)), CLASSES, GROUPS))
    assert result.dataset["training_examples"].values.tolist() == [len(x) for x, _ in folds]
    assert result.categories == names
    path = result.save(tmp_path / "result.nc")
    assert jf.load(path).categories == names
    again = jf.load(path, task=the_task, optimizer=jf.sgd, space=space, folds=splitter)
    assert again.refit().dataset.attrs["categories"] == result.dataset.attrs["categories"]

    renamed = task(FRAME.replace({"y": {"setosa": "a"}}))
    with pytest.raises(jf.ArgumentError, match=r"task's data .* must be those of the sweep"):
        jf.load(path, task=renamed, optimizer=jf.sgd, space=space, folds=splitter)


def test_validation_and_test_have_the_categories_of_data():
    few = pd.DataFrame(FRAME[-5:]).assign(city=pd.Categorical(["Oslo"] * 5), y="virginica")
    made = task(FRAME, validation=few, test=few)
    assert made.validation["city"].tolist() == [2] * 5
    assert made.test["y"].tolist() == [1] * 5
    with pytest.raises(jf.ArgumentError, match=r"classes of validation\['city'\].*got 'Bonn'"):
        task(FRAME, validation=few.assign(city="Bonn"))
    with pytest.raises(jf.ArgumentTypeError, match=r"test must name classes where data does.*'y'"):
        task(FRAME, test=few.assign(y=1))
    wider = {"y": ("setosa", "versicolor", "virginica")}
    assert task(FRAME, test=few, categories=wider).test["y"].tolist() == [2] * 5
    with pytest.raises(jf.ArgumentError, match=r"categories must name leaves of data.*'colour'"):
        task(FRAME, categories={"colour": ("red",)})
    with pytest.raises(jf.ArgumentError, match=r"codes of data\['age'\] must be among 0 … 1"):
        task(FRAME, categories={"age": ("young", "old")})


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.array([None, *AGE[1:]], dtype="Int64"), "must not lack values, since dtype Int64 .* 1"),
        (pd.array([None, *(AGE[1:] > 40)], dtype="boolean"), "since dtype boolean .* got 1 of 24"),
        (pd.Categorical([None, *CLASSES[1:]]), "must name a class for every example, got 1 of 24"),
        ([np.nan, *CLASSES[1:]], "must name a class for every example, got 1 of 24 missing"),
        ([f"a report, {i}" for i in range(SIZE)], "got 24 different texts for 24 examples"),
        (np.array([1.5, "a"] * 12, object), r"got dtype object with \['float'\]"),
        (pd.date_range("2026", periods=SIZE), "got dates or durations, dtype datetime64"),
        (pd.date_range("2026", periods=SIZE, tz="UTC"), r"got dates .*np.timedelta64\(1, 'D'\)"),
        (pd.to_timedelta(AGE, unit="h"), "got dates or durations, dtype timedelta64"),
        (pd.period_range("2026", periods=SIZE), "must hold numbers"),
    ],
)
def test_columns_that_are_refused(column, message):
    with pytest.raises(jf.JefficientError, match=rf"jf.Task: data\['new'\] .*{message}"):
        task(FRAME.assign(new=column))


def test_columns_without_a_name_of_their_own():
    with pytest.raises(jf.ArgumentError, match="names of their own, got 'age' twice"):
        task(pd.concat([FRAME, FRAME["age"]], axis=1))
    with pytest.raises(jf.ArgumentTypeError, match="must have names of one type"):
        task(FRAME.rename(columns={"age": 0}))


def test_masked_values_are_refused():
    x = np.ma.masked_greater(tiny.X, 1.0)
    found = rf"data\[0\] must not be a masked array.* {(tiny.X > 1).sum()} of 90 values"
    with pytest.raises(jf.ArgumentTypeError, match=found):
        tiny.task(data=(x, tiny.Y))
    items = [(a, b) for a, b in zip(x, tiny.Y, strict=True)]

    class Items:
        def __len__(self):
            return len(items)

        def __getitem__(self, index):
            return items[int(index)]

    with pytest.raises(jf.ArgumentTypeError, match="examples must have no masked values"):
        tiny.task(data=Items()).data.read(np.arange(30))


def test_rows_of_a_sparse_matrix_are_dense_in_a_batch():
    x = np.where(tiny.X > 0, tiny.X, 0)
    space = jf.grid(learning_rate=[0.01, 0.1])
    dense = tiny.sweep(tiny.task(data=(x, tiny.Y), validation=0.2), space, steps=8)
    kinds = scipy.sparse.coo_array, scipy.sparse.csr_matrix
    losses = [
        tiny.sweep(tiny.task(data=(kind(x), tiny.Y), validation=0.2), space, steps=8)
        .dataset["valid_loss"]
        .values
        for kind in kinds
    ]
    np.testing.assert_allclose(losses[0], dense.dataset["valid_loss"], rtol=1e-5)
    np.testing.assert_array_equal(*losses)
    with pytest.raises(jf.ArgumentTypeError, match=r"data\[0\] must be dense, got BCOO"):
        tiny.task(data=(BCOO.fromdense(x), tiny.Y))


def test_data_on_a_mesh_are_moved_off_it():
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, PartitionSpec("d"))
    sharded = [jax.device_put(x, sharding) for x in (tiny.X, tiny.Y)]
    space = jf.grid(learning_rate=[0.1])
    expected = tiny.sweep(tiny.task(validation=0.2), space, steps=4).dataset["valid_loss"]
    found = tiny.sweep(tiny.task(data=tuple(sharded), validation=0.2), space, steps=4)
    np.testing.assert_array_equal(found.dataset["valid_loss"], expected)
    with (
        jax.set_mesh(mesh),
        pytest.raises(jf.ArgumentError, match="no mesh must be set"),
    ):
        tiny.sweep(tiny.task(), space, steps=4)


def test_data_that_are_not_finite_are_named():
    x = tiny.X.copy()
    x[3, 1] = np.nan
    x[7, 0] = np.inf
    found = r"1 NaN and 1 inf in data\[0\], at \[3, 1\], \[7, 0\]"
    with pytest.warns(jf.JefficientWarning, match=found) as caught:
        the_task = tiny.task(data=(x, tiny.Y), validation=(x[:5], tiny.Y[:5]))
    assert len(caught) == 1
    assert caught[0].filename == tiny.__file__
    assert "; 1 NaN in validation[0], at [3, 1]." in str(caught[0].message)

    result = tiny.sweep(the_task, jf.grid(learning_rate=[0.01, 0.1]), steps=8)
    (check,) = result.checks()
    assert "1 NaN and 1 inf in data[0]" in check.next_step
    with pytest.raises(jf.JefficientError, match=found):
        result.best()
    result.refit(0)  # warns no more
    handled = tiny.task(data=(x, tiny.Y), check_finite=False)
    assert handled.nonfinite == ""
