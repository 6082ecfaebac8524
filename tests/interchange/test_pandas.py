"""Tables of pandas, arrays of NumPy and of jax are the same data; tables come out as pandas'."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sweeps import tiny

import jefficient as jf

RATES = [0.01, 0.1]


def loss(params, batch):
    x = batch["x"]
    if isinstance(x, dict):  # a frame's columns
        x = jnp.stack([x["a"], x["b"], x["c"]], axis=-1)
    return jnp.mean((x @ params - batch["y"]) ** 2)


def run(x, y, rates, **validation_set):
    task = jf.Task(init=tiny.init, loss=loss, data={"x": x, "y": y}, **validation_set)
    return tiny.sweep(task, jf.grid(learning_rate=rates), steps=5)


FRAME = pd.DataFrame(tiny.X.astype(float), columns=["a", "b", "c"], index=pd.RangeIndex(100, 130))
SERIES = pd.Series(tiny.Y.astype(float), index=FRAME.index)


@pytest.mark.parametrize(
    "examples", [(FRAME, SERIES), (jnp.asarray(tiny.X), jnp.asarray(tiny.Y))], ids=["pandas", "jax"]
)
def test_examples_may_be_of_numpy_jax_and_pandas(examples):
    expected = run(tiny.X, tiny.Y, np.array(RATES), validation=0.2)
    result = run(*examples, pd.Series(RATES), validation=0.2)
    np.testing.assert_array_equal(result.dataset["valid_loss"], expected.dataset["valid_loss"])
    assert result.space == expected.space
    validation_set = {"x": examples[0][:10], "y": examples[1][:10]}
    by_table = run(*examples, jnp.array(RATES), validation=validation_set, test=validation_set)
    np.testing.assert_allclose(by_table.test["test_loss"].item(), by_table.best().score, rtol=1e-6)


def test_tables_come_out_as_pandas():
    result = run(tiny.X, tiny.Y, RATES, validation=0.2)
    assert isinstance(result.table(), pd.DataFrame)
    assert isinstance(result.ties(), pd.DataFrame)
    assert result.dataset["valid_loss"].to_dataframe().index.names == [
        "config",
        "seed",
        "fold",
        "evaluation",
    ]
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(result.params()))


def test_a_column_of_texts_is_named():
    texts = pd.DataFrame({"a": [f"text {i}" for i in range(30)]})
    with pytest.raises(
        jf.ArgumentTypeError, match=r"data\['x'\]\['a'\] must hold numbers, or texts that name"
    ):
        run(texts, SERIES, RATES)
