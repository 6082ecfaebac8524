"""Tasks without data: the loss draws its own batches, as that of a physics-informed network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweeps import tiny

import jefficient as jf

POINTS = jnp.linspace(0, 1, 50)
RATES = [0.03, 0.01]
STEPS = 10
SPACE = jf.grid(learning_rate=RATES)


def init(key):
    w, o = 0.5 * jax.random.normal(key, (2, 8))
    return {"w": w, "b": jnp.zeros(8), "o": o}


def solution(params, x):
    return jnp.tanh(x * params["w"] + params["b"]) @ params["o"]


def on_points(params, x):
    """The residual of u' = u, and its value u(0) = 1."""
    slope = jax.vmap(jax.grad(solution, 1), (None, 0))(params, x)
    u = jax.vmap(solution, (None, 0))(params, x)
    return jnp.mean((slope - u) ** 2) + (solution(params, 0.0) - 1) ** 2


def drawn(key):
    return jax.random.uniform(key, (16,))


def loss(params, batch, key):
    assert (batch is None) == (key is not None)
    return on_points(params, batch if key is None else drawn(key))


def with_grid(params, batch, key):
    assert batch is None
    return on_points(params, POINTS if key is None else drawn(key))


def without_batch(params, key):
    return on_points(params, drawn(key))


def end(params, batch):
    assert batch is not None
    return abs(solution(params, 1.0) - jnp.e)


def sweep(the_loss=loss, space=SPACE, optimizer=jf.adam, task=None, **changes):
    settings = {"steps": STEPS, "eval_every": 5, "progress": False, **changes}
    the_task = jf.Task(init=init, loss=the_loss, data=None, **(task or {}))
    return jf.sweep(the_task, optimizer, space, **settings)


@jax.jit
def step_by_hand(params, state, key, rate):
    value, gradient = jax.value_and_grad(lambda p: on_points(p, drawn(key)))(params)
    updates, state = optax.adam(rate).update(gradient, state, params)
    return optax.apply_updates(params, updates), state, value


valid_loss = jax.jit(on_points)


@functools.cache
def by_hand(rate, seed=0):
    """The same with optax: validation losses, losses of each step, and weights."""
    trial = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), 0)
    params, noise = init(jax.random.fold_in(trial, 0)), jax.random.fold_in(trial, 2)
    state, valid, train = optax.adam(rate).init(params), [], []
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an int
        for step in range(STEPS):
            key = jax.random.fold_in(noise, step)
            params, state, value = step_by_hand(params, state, key, rate)
            train.append(float(value))
            if step % 5 == 4:
                valid.append(float(valid_loss(params, POINTS)))
    return valid, np.mean(np.reshape(train, (2, 5)), axis=1), params


def test_it_is_the_loop_by_hand(tmp_path):
    task = {"validation": POINTS, "test": POINTS, "metrics": {"end": end}}
    result = sweep(task=task, seeds=2)
    for config, rate in enumerate(RATES):
        for seed in range(2):
            valid, train, params = by_hand(rate, seed)
            trial = result.dataset.isel(config=config, seed=seed, fold=0)
            np.testing.assert_allclose(trial["valid_loss"], valid, rtol=1e-3)
            np.testing.assert_allclose(trial["train_loss"], train, rtol=1e-3)
            np.testing.assert_allclose(trial["valid_end"][-1], end(params, POINTS), rtol=1e-3)
            for name, x in result.params(config, seed).items():
                np.testing.assert_allclose(x, params[name], rtol=1e-3, atol=1e-5)
    assert result.best().hyperparameters == {"learning_rate": 0.03}
    np.testing.assert_allclose(result.test["test_loss"].mean(), result.best().score, rtol=1e-6)

    path = result.save(tmp_path / "result.nc")
    the_task = jf.Task(init=init, loss=loss, data=None, **task)
    loaded = jf.load(path, task=the_task, optimizer=jf.adam, space=SPACE)
    again = loaded.replay(1, seed=1).dataset
    expected = result.dataset.isel(config=[1], seed=[1])
    np.testing.assert_array_equal(again["valid_loss"], expected["valid_loss"])
    refitted = loaded.refit(0).params  # without evaluations the program is another one
    for name, x in result.params(0).items():
        np.testing.assert_allclose(refitted[name], x, rtol=1e-3, atol=1e-5)


def test_validation_may_be_a_function_or_absent(tmp_path):
    """Of the same numbers: points of the loss itself, and points that a function draws."""
    expected = by_hand(RATES[1])
    space = jf.grid(learning_rate=RATES[1:])
    points = []

    def draw(key):
        points.append(drawn(key))
        return points[-1]

    of_loss = sweep(with_grid, space, task={"validation": lambda key: None}).dataset
    np.testing.assert_allclose(of_loss["valid_loss"].values.ravel(), expected[0], rtol=1e-3)
    assert of_loss["validation_examples"].item() == 1
    result = sweep(space=space, task={"validation": draw}, directory=tmp_path)
    np.testing.assert_allclose(
        result.best().score, on_points(expected[2], points[0]), rtol=1e-3, atol=1e-5
    )
    resumed = sweep(space=space, task={"validation": draw}, directory=tmp_path)
    np.testing.assert_array_equal(resumed.dataset["valid_loss"], result.dataset["valid_loss"])

    alone = sweep(without_batch, space, metric="train_loss").dataset
    np.testing.assert_array_equal(alone["train_loss"], of_loss["train_loss"])
    penalised = jf.regularized(without_batch, l2=0.0)
    same = sweep(penalised, space * jf.grid(l2=[0.0]), metric="train_loss").dataset
    np.testing.assert_allclose(same["train_loss"], alone["train_loss"], rtol=1e-5)


def test_points_may_differ_in_length_and_metrics_may_see_them_all():
    points = {"inside": POINTS, "start": jnp.zeros(1)}

    def of_both(params, batch, key):
        inside = drawn(key) if batch is None else batch["inside"]
        return on_points(params, inside)

    def worst(predictions, batch):
        assert batch["inside"].shape == (50,)
        return float(np.abs(predictions - np.exp(batch["inside"])).max())

    predict = jax.vmap(solution, (None, 0))
    metrics = {"worst": jf.host_metric(lambda p, batch: predict(p, batch["inside"]), worst)}
    result = sweep(
        of_both, jf.grid(learning_rate=RATES[1:]), task={"validation": points, "metrics": metrics}
    )
    valid, _, params = by_hand(RATES[1])
    np.testing.assert_allclose(result.best().score, valid[-1], rtol=1e-3)
    found = float(result.dataset["valid_worst"][0, 0, 0, -1])
    np.testing.assert_allclose(
        found, np.abs(predict(params, POINTS) - np.exp(POINTS)).max(), rtol=1e-3
    )


def none(key):
    return None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": {"validation": 0.5}}, r"with data=None there must be no validation=0.5"),
        ({"task": {"prepare": (len, max)}}, "with data=None there must be no prepare="),
        (
            {"task": {"augment": lambda key, batch: batch}},
            "with data=None there must be no augment=",
        ),
        ({"task": {"order": "sequential"}}, "there must be no order=.sequential., which needs"),
        (
            {"the_loss": without_batch, "task": {"validation": POINTS}},
            "must take them as its batch",
        ),
        ({"batch_size": 4}, "batch_size must come with data, got batch_size=4"),
        ({"space": SPACE * jf.grid(batch_size=[4])}, "batch_size must come with data"),
        ({"folds": 3}, "a jf.Task with data=None must come without folds, got folds=3"),
        ({"steps": None, "epochs": 2}, "must come without epochs, got epochs=2"),
        ({"eval_batch_size": 2}, "must come without eval_batch_size, got eval_batch_size=2"),
        (
            {"stop": jf.successive_halving(min_epochs=1)},
            "with data=None must come without a rule that counts in epochs",
        ),
        ({"task": {}}, r"metric must be one of \['train_loss'\].*give the Task validation"),
    ],
)
def test_what_needs_examples_is_refused(changes, message):
    changes = {"the_loss": with_grid, "task": {"validation": none}, **changes}
    with pytest.raises(jf.ArgumentError, match=message):
        sweep(**changes)


def test_a_loss_that_cannot_be_evaluated_says_so():
    with pytest.raises(TypeError) as caught:
        sweep(without_batch, task={"validation": none})
    notes = "".join(caught.value.__notes__)
    assert "raised by the loss in evaluation" in notes
    assert "`x = batch if key is None else …`" in notes
    with pytest.raises(jf.ArgumentError, match="A loss that draws its own batches has data=None"):
        tiny.task(data={})


@pytest.mark.parametrize("given", [{"validation": 0.25}, {"test": np.ones((4, 3))}, {"folds": 2}])
def test_a_loss_that_needs_its_key_says_what_it_has_in_evaluation(given):
    def dropped(w, batch, key):
        return jnp.mean(batch @ w * jax.random.normal(key, (len(batch),)))

    own = {name: x for name, x in given.items() if name != "folds"}
    task = jf.Task(lambda key: jnp.zeros(3), dropped, np.ones((12, 3)), **own)
    call = {"epochs": 1, "batch_size": 4, "folds": given.get("folds"), "metric": "train_loss"}
    with pytest.raises(TypeError, match="key") as caught:
        jf.plan(task, jf.sgd, SPACE, **call)
    assert "its key is None: draw only where there is one" in "".join(caught.value.__notes__)
