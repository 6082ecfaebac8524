"""Static axes: values that are compiled in, and their labels."""

import enum
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf


def test_marked_numbers_stay_python_objects_and_are_not_traced():
    space = jf.grid(width=jf.static([32, 64]), rate=[0.1, 0.2])
    assert space.columns["width"] == (32, 32, 64, 64)
    assert space.labels("width") == (32, 32, 64, 64)
    assert {type(x) for x in space.columns["width"]} == {int}
    assert not space.is_number("width")
    assert space.is_number("rate")
    assert jf.grid(width=jf.static(np.array([32, 64]))).columns["width"] == (32, 64)


def test_labels_are_given_or_made_from_the_values():
    def double(x):
        return 2 * x

    class Kind(enum.Enum):
        A = 1

    labelled = {
        "None": None,
        "True": True,
        "0.5": 0.5,
        "adam": "adam",
        "double": double,
        "relu": jax.nn.relu,
        "tanh": jnp.tanh,
        "(64, 64)": (64, 64),
        "<Kind.A: 1>": Kind.A,
        "float32": jnp.float32,
        "": "",
    }
    assert jf.grid(x=list(labelled.values())).labels("x") == tuple(labelled)
    assert jf.static(list(labelled.values())).labels == tuple(labelled)
    given = jf.grid(x=jf.static({"one": lambda x: x, "two": lambda x: 2 * x, "three": 3}))
    assert given.labels("x") == ("one", "two", "three")
    assert given.columns["x"][2] == 3


@pytest.mark.parametrize(
    "value",
    [
        lambda x: x,
        functools.partial(jax.nn.gelu, approximate=True),
        object(),
        {1, 2},
        jf.sgd(0.1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_without_a_stable_text_need_a_label(value):
    for make, where in (
        (lambda: jf.grid(x=[value, "other"]), "jf.grid: x"),
        (lambda: jf.Choice([value]), "jf.Choice: values"),
        (lambda: jf.static([value]), "jf.static: values"),
        (lambda: jf.Space({"x": (value,)}), "jf.Space: x"),
    ):
        with pytest.raises(jf.ArgumentError) as caught:
            make()
        message = str(caught.value)
        assert message.startswith(f"{where} must have a label for each value, got {value!r}.")
        assert message.endswith("Give labels: jf.static({'label': value, …}).")
    assert jf.grid(x=jf.static({"it": value})).columns["x"][0] is value


def test_two_functions_of_one_name_need_labels():
    def made(factor):
        def scaled(x):
            return factor * x

        return scaled

    with pytest.raises(
        jf.ArgumentError, match=r"x must have one value for each label, got 'scaled' for <func"
    ):
        jf.grid(x=[made(1), made(2)])
    assert len(jf.grid(x=jf.static({"once": made(1), "twice": made(2)}))) == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"values must have at least one value, got values=\[\]"),
        ({}, "values must have at least one value"),
        (3, r"must be a list .* got values=3. For a single value write values=\[3\]"),
        ([1, 1], "values must not have a value twice, got 1 twice"),
        ({"a": 1, "b": 1}, "values must not have a value twice, got 1 twice"),
        (
            {"a": jax.nn.relu, "b": jax.nn.relu},
            r"values must have one label for each value, got 'a' and 'b' for",
        ),
        ({1: jax.nn.relu}, "labels must be strings that are not empty, got 1"),
        ({"": jax.nn.relu}, "labels must be strings that are not empty, got ''"),
        (jf.static([1]), "values must not be static already, got Axis"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(jf.JefficientError, match=message) as caught:
        jf.static(values)
    assert str(caught.value).startswith("jf.static: ")


def wide(key, width):
    return {"w": jax.random.normal(key, (1, width)), "v": jnp.zeros(width)}


def task():
    x = np.linspace(-1, 1, 32, dtype=np.float32)

    def loss(params, batch, activation):
        hidden = activation(batch["x"][:, None] @ params["w"])
        return jnp.mean((hidden @ params["v"] - batch["y"]) ** 2)

    return jf.Task(init=wide, loss=loss, data={"x": x, "y": np.abs(x)}, validation=0.25)


def test_a_sweep_has_a_program_for_each_static_value_and_shows_labels():
    def leaky(slope):
        return lambda x: jax.nn.leaky_relu(x, slope)

    space = jf.sobol(4, learning_rate=jf.LogUniform(1e-2, 1e-1)) * (
        jf.grid(width=jf.static([4]), activation=jf.static({"relu": leaky(0.0)}))
        + jf.grid(activation=jf.static({"leaky": leaky(0.5)}), width=jf.static([8]))
    )
    result = jf.sweep(task(), jf.sgd, space, steps=10, keep_configs=99, progress=False)
    data = result.dataset
    assert data["activation"].values.tolist() == ["relu", "leaky"] * 4
    assert data["width"].values.tolist() == [4, 8] * 4
    assert set(result.table()["activation"]) == {"relu", "leaky"}
    assert [result.params(config)["w"].shape[1] for config in range(4)] == [4, 8] * 2
    final = data["valid_loss"].values[..., -1].ravel()
    assert len(set(final)) == 8
    best = result.best()
    assert callable(best.hyperparameters["activation"])
    assert f"activation={data['activation'].values[best.config]}" in str(best)
    assert best.labels == {name: data[name].values[best.config] for name in space.names}
    plan = jf.plan(task(), jf.sgd, space, steps=10)
    assert ['"leaky"' in program.static for program in plan.programs] == [False, True]
    assert f"width={data['width'].values[best.config]}," in str(best)


def test_functions_are_told_apart_by_label_and_not_by_position():
    """The same program for equal labels that come from two spaces; another for another label."""
    activations = jf.static({"relu": jax.nn.relu, "tanh": jnp.tanh})
    one = jf.grid(activation=activations, learning_rate=[0.05], width=jf.static([4]))
    other = jf.grid(
        activation=jf.static({"tanh": jnp.tanh}), learning_rate=[0.1], width=jf.static([4])
    )
    result = jf.sweep(task(), jf.sgd, one + other, steps=5, progress=False)
    assert result.dataset["activation"].values.tolist() == ["relu", "tanh", "tanh"]
    assert len(set(result.dataset["valid_loss"].values[..., -1].ravel())) == 3
