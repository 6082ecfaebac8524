"""Bad input: each its own clear error, before anything is compiled."""

import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import roc_auc_score
from sweeps import tiny
from sweeps.test_sweep import X, Y, init, loss, sweep, task
from sweeps.tiny import Box, machine

import jefficient as jf


def refused(message, kind=jf.JefficientError):
    return pytest.raises(kind, match=message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": (X, Y[:50])},
            r"all arrays of data must have the same leading axis, got {'\[0\]': 60, '\[1\]': 50}",
        ),
        ({"data": (X[:0], Y[:0])}, "data must have at least one example, got none"),
        ({"data": ()}, r"data must hold at least one array, got \(\)"),
        ({"data": (X, np.float32(1))}, r"data\[1\] must have a leading axis of examples, got a"),
        (
            {"data": (X, np.array([f"{i}" for i in range(60)]))},
            r"data\[1\] must hold numbers, or texts that name classes, got 60 different texts",
        ),
        (
            {"data": (X, Y.astype(np.int64) + 2**40)},
            r"data\[1\] must fit int32, got values from 1099511627776",
        ),
        ({"validation": (X,)}, "examples of validation must be like those of data"),
        ({"validation": (X[:, :2], Y)}, "examples of validation must be like those of data"),
        ({"validation": 1.5}, "0 < validation < 1.* got validation=1.5 of 60 examples"),
        ({"validation": float("nan")}, "0 < validation < 1.* got validation=nan of 60 examples"),
        ({"validation": np.float32("nan")}, "0 < validation < 1.* got validation=nan of 60"),
        ({"validation": float("inf")}, "0 < validation < 1.* got validation=inf of 60 examples"),
        ({"validation": -0.5}, "0 < validation < 1.* got validation=-0.5 of 60 examples"),
        ({"validation": 1}, "0 < validation < 1.* got validation=1 of 60 examples"),
        ({"validation": True}, "0 < validation < 1.* got validation=True of 60 examples"),
        ({"validation": 0.001}, "must leave examples for training and for validation"),
        ({"metrics": {"loss": loss}}, "a metric must not be named 'loss'"),
        ({"metrics": [loss]}, "metrics must map a name to a function"),
        ({"init": 3}, "jf.Task: init: a function must be given, got 3"),
    ],
)
def test_tasks(changes, message):
    with refused(message):
        task(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"seeds": 2**33},
            r"at most 20,000,000 trials, got 25,769,803,776 \(3 configurations × 8,589,934,592 "
            r"seeds × 1 folds\)",
        ),
        ({"seeds": 2 * 10**6, "folds": 10}, r"got 60,000,000 \(3 .* × 2,000,000 seeds × 10 folds"),
        ({"steps": 2**31 - 1, "eval_every": 1}, "got eval_every=1 of 2,147,483,647 updates"),
        (
            {"steps": 10**7, "eval_every": 1, "seeds": 10**6},
            r"fit into the memory of the host, .* for 3,000,000 trials of 10,000,000 evaluations",
        ),
    ],
)
def test_no_sweep_of_absurd_size_is_begun(changes, message):
    with refused(f"jf.sweep: .*{message}"):
        whole = task(validation=None)
        rates = jf.grid(learning_rate=[0.1, 0.2, 0.3])
        sweep(space=rates, the_task=whole, metric="train_loss", **changes)


def test_a_result_that_does_not_fit_into_the_memory_is_refused_and_planned_neither():
    rates = jf.grid(learning_rate=[0.1, 0.2])
    settings = {"steps": 100, "eval_every": 1, "metric": "train_loss", "batch_size": 16}
    # 2 trials × 100 evaluations × (a float32 and a float64) and some bytes for each trial
    with machine(host_memory=2 * 100 * (4 + 8)):
        for call in (jf.sweep, jf.plan):
            with refused("the memory of the host, 2,400 bytes, got .* for 2 trials of 100 evalua"):
                call(task(), jf.sgd, rates, **settings)


def turned(params, batch):
    value = loss(params, batch)
    return jax.lax.complex(value, value)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"loss": turned}, "loss"),
        ({"loss": lambda params, batch: (turned(params, batch), 3.0)}, "loss"),
        ({"metrics": {"x": turned}}, r"metrics\['x'\]"),
        (
            {
                "metrics": {
                    "x": lambda params, batch: jax.lax.complex(batch[0][:, 0], batch[0][:, 1])
                }
            },
            r"metrics\['x'\]",
        ),
        ({"metrics": {"x": lambda params, batch: (1.0, turned(params, batch))}}, "metrics"),
        (
            {
                "metrics": {
                    "x": jf.Metric(
                        lambda params, batch: batch[0][:, 0],
                        lambda p, b, w: jax.lax.complex(p[0], w[0]),
                    )
                }
            },
            r"metrics\['x'\].score",
        ),
    ],
)
def test_no_imaginary_part_is_dropped(changes, name):
    with refused(f"jf.sweep: {name}.* must return a real number, got dtype complex64.*jnp.real"):
        sweep(the_task=task(validation=0.2, **changes))


def test_no_imaginary_part_of_a_trial_or_a_host_metric_is_dropped():
    unit = jnp.complex64(1j)
    for step, measured in ((unit, jnp.float32(1)), (jnp.float32(1), unit)):
        trial = jf.Trial(
            init=lambda key: jnp.float32(0),
            step=lambda x, data, t, key, rate, f=step: (x, {"loss": f}),
            evaluate=lambda x, data, f=measured: {"far": f},
        )
        with refused("metric '(loss|far)' of the trial must return a real number, got dtype comp"):
            jf.sweep(trial, space=jf.grid(rate=[1.0]), steps=3, metric="far", mode="min")
    on_host = jf.host_metric(lambda params, batch: batch[1], lambda p, b: 1j)
    with refused(r"metrics\['x'\].score must return a number, got array\(0.\+1.j\)"):
        sweep(the_task=task(validation=0.2, metrics={"x": on_host}))


def test_examples_may_be_of_a_class_of_the_user():
    """One without equality: examples are alike where structure, shapes and dtypes are."""
    boxed = task(data=Box((X, Y)), validation=Box((X[:3], Y[:3])))
    assert boxed.size == 60
    with refused("examples of validation must be like those of data"):
        task(data=Box((X, Y)), validation=Box((X[:3], X[:3])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 61},
            r"1 <= batch_size <= 60 \(the training examples\) must hold, got batch_size=61",
        ),
        ({"batch_size": 0}, "batch_size >= 1 must hold"),
        ({"steps": None}, "one of steps and epochs must be given, got steps=None, epochs=None"),
        ({"epochs": 3}, "one of steps and epochs must be given, got steps=20, epochs=3"),
        ({"steps": 0}, "steps >= 1 must hold, got steps=0"),
        (
            {"steps": 2**31},
            r"a trial must have at least one and fewer than 2\*\*31 updates, got 2147483648",
        ),
        ({"steps": 2.5}, "steps must be a whole number, got steps=2.5"),
        ({"steps": None, "epochs": -1}, "0 < epochs < inf must hold, got epochs=-1"),
        ({"seeds": 0}, "seeds >= 1 must hold, got seeds=0"),
        (
            {"metric": "accuracy"},
            r"metric must be one of \['train_loss', 'valid_loss', 'valid_accuracy'\], got",
        ),
        (
            {"metric": "valid_accuracy"},
            "mode must say whether the best valid_accuracy is the 'min' or the 'max'",
        ),
        ({"mode": "best"}, r"mode must be one of \['min', 'max'\], got mode='best'"),
        ({"select": "first"}, r"select must be one of \['last', 'best'\]"),
        ({"keep": "all"}, "keep must be 'last', 'best' or None, got keep='all'"),
        ({"diverged_above": float("nan")}, "diverged_above > 0 must hold"),
        ({"key": 0}, r"key must be a typed key such as jax.random.key\(0\), got key=0"),
        ({"progress": "yes"}, "progress must be True, False or a function"),
        (
            {"space": {"learning_rate": [0.1]}},
            "space must come from jf.grid, jf.sobol or jf.random, got {",
        ),
        ({"the_task": "digits"}, "task must be a jf.Task or jf.Trial, got 'digits'"),
        ({"space": jf.grid(learning_rate=[0.1], batch_size=[8])}, "batch_size must come once"),
        (
            {"space": jf.grid(learning_rate=[0.1], batch_size=[8, 99]), "batch_size": None},
            "1 <= batch_size <= 60 .* got batch_size=99",
        ),
        (
            {"space": jf.grid(learning_rate=[0.1], batch_size=[8.0]), "batch_size": None},
            "must be a whole number",
        ),
    ],
)
def test_arguments(changes, message):
    with refused(message):
        sweep(**changes)


def test_a_name_that_no_function_requests_tells_what_they_request():
    with refused(
        r"no function requests the hyperparameter 'momentum'; init requests nothing; loss requests "
        r"nothing; optimizer requests \['learning_rate'.*\]; metrics\['accuracy'\] requests nothing"
    ):
        sweep(space=jf.grid(learning_rate=[0.1], momentum=[0.9]))
    with refused("hyperparameter 'learning_rate'; .* optimizer requests nothing"):
        sweep(lambda **kwargs: jf.adam(**kwargs))


def test_a_missing_hyperparameter_is_named():
    with refused(
        r"optimizer requires \['learning_rate'\], which the space must name, got \['b1'\]"
    ):
        sweep(space=jf.grid(b1=[0.9]))
    with refused(r"loss requires \['scale'\]"):
        sweep(the_task=task(loss=lambda params, batch, scale: loss(params, batch)))


@pytest.mark.parametrize(
    "name", ["params", "key", "fold", "seed", "evaluation", "status", "valid_loss", "valid_x"]
)
def test_taken_names_cannot_be_axes(name):
    with refused(f"the space must not name '{name}'"):
        sweep(space=jf.grid(learning_rate=[0.1], **{name: [1]}))


def test_numbers_are_checked_for_every_configuration_and_named():
    for space, message in (
        (
            jf.grid(learning_rate=[0.1, -0.1]),
            "jf.adam: 0 <= learning_rate < inf must hold, got learning_rate=-0.1",
        ),
        (jf.grid(learning_rate=[0.1, np.nan]), "got learning_rate=nan"),
        (jf.grid(learning_rate=[0.1], b1=[0.9, 1.0]), "jf.adam: 0 <= b1 < 1 must hold, got b1=1.0"),
    ):
        with refused(message) as caught:
            sweep(space=space)
        assert "raised for the hyperparameters {'batch_size': 16" in caught.value.__notes__[0]
    with refused("jf.regularized: 0 <= l2 < inf must hold, got l2=-1.0"):
        sweep(jf.sgd(0.1), jf.grid(l2=[0.0, -1.0]), task(loss=jf.regularized(loss)))


def test_a_penalty_is_not_applied_twice():
    with refused(r"\['l2'\] would be penalised twice, by jf.regularized and by the optimizer"):
        sweep(
            lambda l2: jf.chain(jf.l2_decay(l2), jf.sgd(0.1)),
            jf.grid(l2=[0.1]),
            task(loss=jf.regularized(loss)),
        )


def test_a_loss_that_is_no_scalar_and_an_optimizer_that_is_no_transform():
    with refused(
        r"loss must return a scalar \(the mean over the batch\) .*, got shape \(16, 2\)", TypeError
    ):
        sweep(the_task=task(loss=lambda params, batch: batch[0] @ params["w1"] @ params["w2"]))
    with refused("loss must return a scalar .* got tuple", TypeError):
        sweep(the_task=task(loss=lambda params, batch: (loss(params, batch), {"aux": 1.0})))
    with refused("optimizer must return a gradient transformation, got <function adam", TypeError):
        sweep(lambda learning_rate: jf.adam)
    with refused(r"metrics\['matrix'\] must return shape \(\) or \(n,\), got shape \(60, 4\)"):
        sweep(the_task=task(metrics={"matrix": lambda params, batch: batch[0]}))


def test_an_error_while_tracing_names_its_hyperparameters():
    def broken(params, batch, scale):
        return loss(params, batch) + jnp.ones(3) @ jnp.ones(4)

    with pytest.raises(TypeError) as caught:
        sweep(jf.sgd(0.1), jf.grid(scale=[0.5]), task(loss=broken))
    assert "'scale': 0.5" in caught.value.__notes__[-1]


def test_a_number_that_python_decides_on_is_named():
    def optimizer(peak):
        return optax.adam(optax.warmup_cosine_decay_schedule(0.0, peak, 5, 20))

    with jax.numpy_dtype_promotion("standard"), pytest.raises(TypeError) as caught:
        sweep(optimizer, jf.grid(peak=[0.1, 0.2]))
    assert "peak is a shape, or Python decides on it" in notes(caught)
    assert "Schedules and transforms of jf take theirs traced" in notes(caught)


def test_numbers_that_do_not_fit_are_refused():
    for values, message in (
        ([2**40], "the values of n must fit int32, got n=1099511627776"),
        ([0.1, 1e300], r"must fit float32, got n=1e\+300"),
        ([1e-300], "must fit float32, got n=1e-300"),
    ):
        with refused(message):
            sweep(lambda n: jf.sgd(0.1 * n), jf.grid(n=values))
        with refused(message):
            jf.vectorize(lambda n: jf.train_step(loss, jf.sgd(n)), {"n": np.array(values)})


def test_a_key_that_init_ignores_is_fine_and_numbers_of_python_too():
    points = jf.Task(
        init=lambda key: jnp.zeros(2),
        loss=lambda p, b: jnp.mean((b["x"] @ p) ** 2),
        data={"x": np.array([[1, 2.0]])},
    )
    result = jf.sweep(
        points, jf.sgd, jf.grid(learning_rate=[0.1]), steps=2, metric="train_loss", progress=False
    )
    assert result.best().score == 0
    assert jax.tree.leaves(init(jax.random.key(0)))


def notes(caught):
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


def wide(key, width):
    return {"w": jax.random.normal(key, (4, width)), "o": jnp.zeros(width)}


def wide_loss(params, batch):
    x, _ = batch
    return jnp.mean((jnp.tanh(x @ params["w"]) @ params["o"]) ** 2)


class Wide(nn.Module):
    width: int = 4

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.relu(nn.Dense(self.width)(x)))[:, 0]


LINEN = jf.integrations.linen_task(
    Wide, loss=lambda out, b: (out**2).mean(), data={"x": X, "y": Y}, validation=0.2
)


@pytest.mark.parametrize(
    ("the_task", "optimizer", "axis"),
    [
        (LINEN, jf.adam, {"width": [4, 8]}),
        (LINEN, jf.adam, {"width": [4]}),
        (task(init=wide, loss=wide_loss, metrics={}), jf.adam, {"width": [4, 8]}),
        (task(init=wide, loss=wide_loss, metrics={}), jf.adam, {"width": [4]}),
        (task(), optax.adafactor, {"min_dim_size_to_factor": [1, 128]}),
    ],
    ids=["linen", "linen, one", "init", "init, one", "optax"],
)
def test_a_number_that_shapes_the_program_is_named(the_task, optimizer, axis):
    """It must be static; jax, flax and the optimizer each have an error of their own for it."""
    (name,) = axis
    with pytest.raises(Exception, match=r".") as caught:
        sweep(optimizer, jf.grid(learning_rate=[0.1], **axis), the_task)
    said = notes(caught)
    assert f"Mark it static: {name}=jf.static([…])" in said
    assert "learning_rate=jf.static" not in said
    assert "steps is" not in said


def test_of_several_numbers_those_that_must_be_known_are_named():
    def rate(learning_rate, a, b, c):
        return jf.sgd(learning_rate * c if a > b else learning_rate)

    with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
        sweep(rate, jf.grid(learning_rate=[0.1], a=[1], b=[2], c=[3]))
    assert "a is a shape, or Python decides on it" in notes(caught)
    assert "b is a shape, or Python decides on it" in notes(caught)
    assert "c is a shape" not in notes(caught)


def test_an_error_that_has_other_causes_is_not_blamed_on_tracing():
    def broken(learning_rate):
        return optax.chain(jf.sgd(learning_rate), optax.stateless(lambda updates, params: 1 / "x"))

    with pytest.raises(TypeError) as caught:
        sweep(broken, jf.grid(learning_rate=[0.1]))
    assert "raised while compiling for {'batch_size': 16}" in notes(caught)
    assert "traced" not in notes(caught)


def test_metrics_that_return_or_need_something_else_are_named():
    def scores(params, batch):
        return {"mae": loss(params, batch)}

    def auc(params, batch):
        return roc_auc_score(batch[1] > 0, batch[0] @ params["w1"][:, 0])

    with refused(r"metrics\['scores'\] must return one number .* got a dict with \['mae'\]. Give"):
        sweep(the_task=task(metrics={"scores": scores}))
    with pytest.raises(jax.errors.TracerArrayConversionError) as caught:
        sweep(the_task=task(metrics={"auc": auc}))
    assert "raised by metrics['auc']" in notes(caught)
    assert "or give jf.host_metric(predict, score)" in notes(caught)
    assert "jf.static" not in notes(caught)


def test_a_loss_that_returns_something_beside_is_told_where_it_goes():
    with refused(r"loss must return a scalar .* got tuple. Return the loss alone: .* metrics="):
        sweep(the_task=task(loss=lambda params, batch: (loss(params, batch), {"aux": 1.0})))


def test_names_lead_somewhere():
    """A metric without its prefix, a transform that is built, a name that is not passed."""
    with refused(r"got metric='accuracy'. Did you mean metric='valid_accuracy'\?"):
        sweep(metric="accuracy", mode="max")
    with refused(r"The optimizer is built already: pass the function that builds it, optax.adam"):
        sweep(optax.adam(1e-2), jf.grid(learning_rate=[0.1]))
    with refused(r"metrics\['m'\] requires \['epoch'\], which it is not given and the space must"):
        sweep(the_task=task(metrics={"m": lambda params, batch, epoch: loss(params, batch)}))


def test_a_replay_with_other_numbers_says_both():
    factor = [1.0]
    changing = tiny.task(
        validation=0.2, loss=lambda params, batch: factor[0] * tiny.loss(params, batch)
    )
    result = tiny.sweep(changing, jf.grid(learning_rate=[0.01, 0.02]), steps=6, eval_every=3)
    result.replay(1)  # warnings are errors
    factor[0] = 2.0
    jf.clear_programs()  # else the program is the sweep's, as under jax.jit
    recorded = result.dataset["train_loss"].values[1, 0, 0, 0]
    message = r"replay: .* got train_loss=[\d.]+ of config 1, seed 0, fold 0 at evaluation 0"
    with pytest.warns(jf.JefficientWarning, match=f"{message}, where .* recorded {recorded}"):
        result.replay(1)
    for name in ("versions", "arithmetic"):  # other last bits are no fault there
        elsewhere = result.dataset.assign_attrs({name: json.dumps({"device": "abacus"})})
        dataclasses.replace(result, dataset=elsewhere).replay(1)
