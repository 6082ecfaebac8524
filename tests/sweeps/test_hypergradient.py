"""Derivatives of training against central differences in float64, and against closed forms."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references as r
from sweeps import tiny

import jefficient as jf
from jefficient.results._sensitivity import _advice
from jefficient.sweeps.derivatives._differentiator import segment_length

STEPS = 12
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 3)), RNG.normal(size=9)
VALID = X[::-1] * 0.9, Y
BEGIN = np.array([0.5, -0.4, 0.3])


def at(rate):
    return lambda t: rate


ADAM = {"learning_rate": 0.02, "b1": 0.5, "b2": 0.75, "eps": 1e-3, "eps_root": 1e-3}

OPTIMIZERS = {
    "sgd": (jf.sgd, {"learning_rate": 0.2}, lambda g, learning_rate: r.sgd(g, at(learning_rate))),
    "momentum": (
        jf.sgd,
        {"learning_rate": 0.1, "momentum": 0.8},
        lambda g, learning_rate, momentum: r.sgd(g, at(learning_rate), momentum),
    ),
    "nesterov": (
        lambda **numbers: jf.sgd(**numbers, nesterov=True),
        {"learning_rate": 0.1, "momentum": 0.8},
        lambda g, learning_rate, momentum: r.sgd(g, at(learning_rate), momentum, nesterov=True),
    ),
    "adam": (
        jf.adam,
        ADAM,
        lambda g, learning_rate, **others: r.adam(g, at(learning_rate), **others),
    ),
    "nadam": (
        jf.nadam,
        ADAM,
        lambda g, learning_rate, **others: r.adam(g, at(learning_rate), **others, nesterov=True),
    ),
    "adamw": (
        jf.adamw,
        {**ADAM, "weight_decay": 0.3},
        lambda g, learning_rate, **others: r.adamw(g, at(learning_rate), BEGIN, **others),
    ),
    "nadamw": (
        jf.nadamw,
        {**ADAM, "weight_decay": 0.3},
        lambda g, learning_rate, **others: r.adamw(
            g, at(learning_rate), BEGIN, **others, nesterov=True
        ),
    ),
    "proximal_adam": (
        jf.proximal_adam,
        {"learning_rate": 0.02, "b1": 0.5, "b2": 0.75, "eps": 1e-3, "l1": 0.1, "l2": 0.2},
        lambda g, learning_rate, **others: r.proximal_adam(g, at(learning_rate), BEGIN, **others),
    ),
    "clipped": (
        lambda learning_rate, max_norm: jf.chain(
            jf.clip_by_global_norm(max_norm), jf.sgd(learning_rate)
        ),
        {"learning_rate": 0.2, "max_norm": 0.3},
        lambda g, learning_rate, max_norm: r.clipped_sgd(g, at(learning_rate), max_norm),
    ),
    "decayed": (
        lambda learning_rate, l1, l2: jf.chain(
            jf.l1_decay(l1), jf.l2_decay(l2), jf.sgd(learning_rate)
        ),
        {"learning_rate": 0.1, "l1": 0.02, "l2": 0.3},
        lambda g, learning_rate, l1, l2: r.decayed_sgd(g, at(learning_rate), BEGIN, l1, l2),
    ),
    "proximal": (
        lambda learning_rate, l1, l2: jf.chain(
            jf.sgd(learning_rate),
            jf.proximal_elastic_net(learning_rate * l1, learning_rate * l2),
        ),
        {"learning_rate": 0.1, "l1": 0.02, "l2": 0.3},
        lambda g, learning_rate, l1, l2: r.proximal_sgd(g, at(learning_rate), BEGIN, l1, l2),
    ),
}
"""Name to (factory, numbers, the reference, which takes gradients and yields updates)."""

SCHEDULES = {
    "constant": (jf.constant_schedule, {"value": 0.2}, lambda t, value: value),
    "exponential": (
        lambda a, b: jf.exponential_decay(a, 5, b, 3),
        {"a": 0.3, "b": 0.7},
        lambda t, a, b: r.exponential_decay(t, a, 5, b, 3),
    ),
    "staircase": (
        lambda a, b, c: jf.exponential_decay(a, 4, b, staircase=True, end_value=c),
        {"a": 0.3, "b": 0.5, "c": 0.1},
        lambda t, a, b, c: r.exponential_decay(t, a, 4, b, staircase=True, end=c),
    ),
    "inverse_time": (
        lambda a, b: jf.inverse_time_decay(a, 5, b),
        {"a": 0.3, "b": 0.7},
        lambda t, a, b: r.inverse_time_decay(t, a, 5, b),
    ),
    "cosine": (
        lambda a, b, c: jf.cosine_decay_schedule(a, 9, b, c),
        {"a": 0.3, "b": 0.1, "c": 1.5},
        lambda t, a, b, c: r.cosine_decay(t, a, 9, b, c),
    ),
    "warmup_cosine": (
        lambda a, b, c, d: jf.warmup_cosine_decay_schedule(a, b, 3, 10, c, d),
        {"a": 0.01, "b": 0.3, "c": 0.02, "d": 1.5},
        lambda t, a, b, c, d: r.warmup_cosine_decay(t, a, b, 3, 10, c, d),
    ),
    "polynomial": (
        lambda a, b, c: jf.polynomial_schedule(a, b, c, 9, 2),
        {"a": 0.3, "b": 0.05, "c": 2.5},
        lambda t, a, b, c: r.polynomial(t, a, b, c, 9, 2),
    ),
    "linear": (
        lambda a, b: jf.linear_schedule(a, b, 9, 2),
        {"a": 0.3, "b": 0.05},
        lambda t, a, b: r.polynomial(t, a, b, 1, 9, 2),
    ),
    "piecewise": (
        lambda a, b: jf.piecewise_constant_schedule(a, ([4, 8], [b, 0.5])),
        {"a": 0.3, "b": 0.6},
        lambda t, a, b: r.piecewise_constant(t, a, (4, 8), (b, 0.5)),
    ),
    "joined": (
        lambda a, b: jf.join_schedules(
            [jf.linear_schedule(0.0, a, 5), jf.constant_schedule(b)], [5]
        ),
        {"a": 0.3, "b": 0.1},
        lambda t, a, b: r.polynomial(t, 0.0, a, 1, 5) if t < 5 else b,
    ),
    "warmup_constant": (
        lambda a, b: jf.warmup_constant_schedule(a, b, 5),
        {"a": 0.01, "b": 0.3},
        lambda t, a, b: r.warmup_constant(t, a, b, 5),
    ),
    "warmup_stable": (
        lambda a, b, c, d: jf.warmup_stable_decay_schedule(a, b, 3, 3, 4, c, d),
        {"a": 0.01, "b": 0.3, "c": 0.02, "d": 0.5},
        lambda t, a, b, c, d: r.warmup_stable_decay(t, a, b, 3, 3, 4, c, d),
    ),
    "onecycle": (
        lambda a, b, c: jf.cosine_onecycle_schedule(11, a, 0.3, b, c),
        {"a": 0.3, "b": 10.0, "c": 50.0},
        lambda t, a, b, c: r.cosine_onecycle(t, 11, a, 0.3, b, c),
    ),
    "sgdr": (
        lambda a: jf.sgdr_schedule(
            [
                {"init_value": 0.05, "peak_value": a, "warmup_steps": 2, "decay_steps": 6},
                {"init_value": 0.0, "peak_value": 0.2, "warmup_steps": 2, "decay_steps": 5},
            ]
        ),
        {"a": 0.3},
        lambda t, a: r.sgdr(t, [(0.05, a, 2, 6), (0.0, 0.2, 2, 5)]),
    ),
    "rsqrt": (
        lambda a, b: jf.rsqrt_schedule(a, b),
        {"a": 0.3, "b": 4.0},
        lambda t, a, b: r.rsqrt(t, a, b),
    ),
}
"""The same of schedules of the learning rate of SGD; references take the step."""


def scheduled(name):
    make, numbers, reference = SCHEDULES[name]
    return (
        lambda **own: jf.sgd(make(**own)),
        numbers,
        lambda g, **own: r.sgd(g, lambda t: reference(t, **own)),
    )


ROWS = OPTIMIZERS | {name: scheduled(name) for name in SCHEDULES}
POINT = {  # programs train with float32 numbers: differences are taken around those
    f"{row}_{name}": float(np.float32(x))
    for row, (_, numbers, _) in ROWS.items()
    for name, x in numbers.items()
}


def own_numbers(row, numbers):
    return {name: numbers[f"{row}_{name}"] for name in ROWS[row][1]}


def every_row(**numbers):
    """One optimizer for each row, each for the parameters of its name."""
    rows = {row: make(**own_numbers(row, numbers)) for row, (make, _, _) in ROWS.items()}
    return jf.partition(rows, {row: row for row in ROWS})


every_row.__signature__ = inspect.Signature(
    [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in POINT]
)


def all_losses(params, batch):
    x, y = batch
    return sum(jnp.mean((jnp.tanh(x @ w) - y) ** 2) for w in params.values())


class Gradients:
    """The gradients along the path of a row, in NumPy."""

    def __init__(self):
        self.w = BEGIN

    def __getitem__(self, _):
        return self.w

    def __iter__(self):
        while True:
            h = np.tanh(X @ self.w)
            yield X.T @ (2 * (h - Y) * (1 - h**2)) / len(Y)


def reference_score(row, **own):
    gradients = Gradients()
    updates = ROWS[row][2](gradients, **own)
    for _ in range(STEPS):
        gradients.w = gradients.w + next(updates)
    x, y = VALID
    return np.mean((np.tanh(x @ gradients.w) - y) ** 2)


def difference(score, point, name):
    """A central difference of fourth order."""
    h = 1e-3 * abs(point[name])
    f = [score(**{**point, name: point[name] + k * h}) for k in (-2, -1, 1, 2)]
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)


@pytest.mark.usefixtures("x64")
def test_all_optimizers_and_schedules_against_differences_in_float64():
    task = jf.Task(
        init=lambda key: {row: jnp.asarray(BEGIN) for row in ROWS},
        loss=all_losses,
        data=(X, Y),
        validation=VALID,
        order="sequential",
    )
    found = jf.hypergradient(task, every_row, POINT, steps=STEPS, batch_size=9, mode="reverse")
    for row in ROWS:
        own = own_numbers(row, POINT)
        for name in own:
            expected = difference(lambda row=row, **x: reference_score(row, **x), own, name)
            # A program's numbers are float32, so 1e-9 of the score may be left where terms cancel.
            np.testing.assert_allclose(
                found.gradient[f"{row}_{name}"],
                expected,
                rtol=1e-6,
                atol=1e-9 * found.score,
                err_msg=f"{row} {name}",
            )


@pytest.fixture(scope="module")
def swept():
    """A sweep with seeds and folds of unequal length: the last configuration is `POINT_OF`."""
    space = jf.grid(learning_rate=[0.003, 0.01], momentum=[0.8], points=[3])
    return jf.sweep(tiny.task(), momentum, space, **OF_SWEPT, progress=False)


def momentum(learning_rate, momentum, points):
    return jf.sgd(learning_rate, momentum)


OF_SWEPT = {"epochs": 2.5, "batch_size": 4, "seeds": 2, "folds": 4, "eval_every": 9}
POINT_OF = {"learning_rate": 0.01, "momentum": 0.8, "points": 3}


@pytest.mark.parametrize("metric", ["valid_loss", "train_loss"])
def test_the_score_is_that_of_the_sweep_and_both_modes_agree(swept, metric):
    given = {**OF_SWEPT, "metric": metric, "wrt": ["learning_rate", "momentum"]}
    forward, reverse = (
        jf.hypergradient(tiny.task(), momentum, POINT_OF, **given, mode=mode)
        for mode in ("forward", "reverse")
    )
    scores = swept.dataset[metric].values[1, ..., -1]
    np.testing.assert_allclose(reverse.score, scores.mean(), rtol=1e-6)
    np.testing.assert_allclose(forward.score, scores.mean(), rtol=1e-6)
    assert list(forward.gradient) == ["learning_rate", "momentum"]
    for name, x in forward.gradient_by_trial.items():
        assert x.shape == (2, 4)
        np.testing.assert_allclose(x, reverse.gradient_by_trial[name], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(forward.gradient[name], x.mean(), rtol=1e-6)
        by_fold = x.mean(axis=0)
        error = np.sqrt((1 / 4 + 7.5 / 22.5) * by_fold.var(ddof=1))  # Nadeau and Bengio
        np.testing.assert_allclose(forward.standard_error[name], error, rtol=1e-4)


def test_a_noisy_quadratic_against_its_closed_form():
    """θ ← θ - η(aθ + σξ): E[θ²/2] after T steps has a formula, and so has its derivative."""
    a, sigma, steps, begin = 1.0, 0.5, 20, 2.0

    def step(theta, data, t, key, rate, sigma):
        noise = jax.random.normal(jax.random.fold_in(key, t))
        return theta - rate * (a * theta + sigma * noise), {"loss": theta**2}

    trial = jf.Trial(
        init=lambda key: jnp.asarray(begin),
        step=step,
        evaluate=lambda theta, data: {"risk": a * theta**2 / 2},
    )
    point = {"rate": 0.1, "sigma": sigma}
    found = jf.hypergradient(trial, point=point, steps=steps, seeds=400, metric="risk")

    def risk(rate, sigma):
        q = (1 - rate * a) ** 2
        return a / 2 * (q**steps * begin**2 + rate**2 * sigma**2 * (1 - q**steps) / (1 - q))

    for name in point:
        error = found.standard_error[name]
        assert abs(found.gradient[name] - difference(risk, point, name)) < 2 * error
        assert error < 0.2 * abs(found.gradient[name])
    assert found.exploding == ()


def logistic(r=3.9):
    """The logistic map, whose Lyapunov exponent at 3.9 is about 0.5."""
    return jf.Trial(
        init=lambda key: 0.3 + 0.01 * jax.random.uniform(key),
        step=lambda x, data, t, key, r: (r * x * (1 - x), {}),
        evaluate=lambda x, data: {"x": x},
    )


def test_chaos_is_named():
    with pytest.warns(jf.JefficientWarning, match=r"explodes in r: .*Metz et al\. 2021"):
        found = jf.hypergradient(logistic(), point={"r": 3.9}, steps=60, metric="x", seeds=2)
    assert found.exploding == ("r",)
    calm = jf.hypergradient(logistic(), point={"r": 2.8}, steps=60, metric="x", seeds=2)
    assert calm.exploding == ()
    np.testing.assert_allclose(calm.gradient["r"], 1 / 2.8**2, rtol=1e-3)  # x = 1 - 1/r


def far(params, batch):
    return abs(batch[0] @ params - batch[1]) > 1


HOSTED = {
    "far": far,
    "host": jf.host_metric(lambda params, batch: batch[0] @ params, lambda predicted, batch: 0.0),
}


@pytest.mark.parametrize(
    ("point", "changes", "message"),
    [
        (
            {"learning_rate": 1},
            {},
            r"got the whole number learning_rate=1\. .* write it as a float",
        ),
        (
            {"learning_rate": 0.1, "momentum": None},
            {},
            r"got the static value momentum='None'\. .* wrt=\['learning_rate'\]",
        ),
        ({"learning_rate": jf.static([0.1])}, {}, r"got the static value learning_rate=0\.1"),
        ({"learning_rate": 50.0}, {"steps": 60}, r"diverged at update \d+: seed 0, fold 0 of"),
        ({"learning_rate": 0.1}, {"metric": "valid_far"}, "its derivative is zero everywhere"),
        ({"learning_rate": 0.1}, {"metric": "valid_host"}, "is scored on the host"),
        ({"learning_rate": 0.1}, {"mode": "backward"}, "mode must be one of"),
        ({"learning_rate": 0.1}, {"wrt": ["rate"]}, r"\['learning_rate'\], got 'rate'"),
        ({"learning_rate": 0.1}, {"wrt": []}, "wrt must have at least one name"),
        ({"learning_rate": 0.1}, {"metric": "valid_near"}, "metric must be one of"),
        ({"learning_rate": jf.static([0.1, 0.2])}, {}, "must have one value of each"),
    ],
)
def test_what_has_no_derivative_is_refused_by_name(point, changes, message):
    task = tiny.task(validation=0.3, metrics=HOSTED)
    settings = {"steps": 5, "batch_size": 8, **changes}
    with pytest.raises(jf.ArgumentError, match=message):
        jf.hypergradient(task, jf.sgd, point, **settings)


@pytest.mark.parametrize("point", [None, {}, 0.1])
def test_a_point_is_a_dict(point):
    with pytest.raises(jf.ArgumentTypeError, match="point must be a dict"):
        jf.hypergradient(tiny.task(validation=0.3), jf.sgd, point, steps=5)


def test_a_derivative_that_is_not_finite_is_refused_and_named():
    """One parameter has no gradient: √v̂ at zero has no derivative in optax, and one in ours."""
    mask = np.array([0.0, 1.0, 1.0], np.float32)
    task = tiny.task(loss=lambda w, batch: tiny.loss(w * mask, batch), validation=0.3)
    settings = {"steps": 3, "batch_size": 8, "mode": "reverse"}
    point = {"learning_rate": 0.125}
    message = r"∂valid_loss/∂learning_rate=nan for learning_rate=0\.125 in seed 0, fold 0.*adamw"
    with jax.numpy_dtype_promotion("standard"), pytest.raises(jf.ArgumentError, match=message):
        jf.hypergradient(task, optax.adamw, point, **settings)
    found = jf.hypergradient(task, jf.adamw, point, **settings)
    assert np.isfinite(found.gradient["learning_rate"])


def test_the_plan_says_time_and_memory_of_both_modes():
    task = tiny.task(validation=0.3)
    plan = jf.plan_hypergradient(task, jf.sgd, {"learning_rate": 0.1}, steps=100, batch_size=8)
    assert plan.mode == "forward"
    assert (plan.trials, plan.directions, plan.steps) == (1, 1, 100)
    for taken in (plan.trial, plan.forward, plan.reverse):
        assert taken.seconds > 0
        assert taken.bytes > 0
    assert "reverse: about" in str(plan)
    with pytest.raises(jf.ArgumentTypeError, match="settings must be among"):
        jf.plan_hypergradient(task, jf.sgd, {"learning_rate": 0.1}, step=100)


@pytest.mark.parametrize(
    ("steps", "carry", "kept", "expected"),
    [(100, 1, 1, 10), (100, 4, 1, 20), (1, 1, 100, 1), (7, 1, 10**6, 1), (10, 10**9, 1, 10)],
)
def test_segments_hold_least(steps, carry, kept, expected):
    assert segment_length(steps, carry, kept) == expected


def test_segments_of_a_prime_number_of_steps_hold_little():
    length = segment_length(997, 1, 1)
    assert 997 / length + length <= 2.1 * np.sqrt(997)


def test_sensitivity_is_the_derivative_in_the_logarithm(swept):
    table = swept.sensitivity(1)
    wrt = ["learning_rate", "momentum"]
    found = jf.hypergradient(tiny.task(), momentum, POINT_OF, **OF_SWEPT, wrt=wrt)
    assert list(table.index) == ["learning_rate", "momentum", "points"]
    for name in wrt:
        row = table.loc[name]
        np.testing.assert_allclose(row["derivative"], POINT_OF[name] * found.gradient[name], 1e-5)
        error = POINT_OF[name] * found.standard_error[name]
        np.testing.assert_allclose(row["standard_error"], error, 1e-4)
    assert table.loc["points", "advice"] == "a whole number has none"
    assert np.isnan(table.loc["points", "derivative"])


def test_sensitivity_of_a_loaded_and_of_a_joined_result(swept, tmp_path):
    table = swept.sensitivity(1)
    space = jf.grid(learning_rate=[0.003, 0.01], momentum=[0.8], points=[3])
    path = swept.save(tmp_path / "swept.nc")
    loaded = jf.load(path, task=tiny.task(), optimizer=momentum, space=space)
    np.testing.assert_array_equal(loaded.sensitivity(1)["derivative"], table["derivative"])
    with pytest.raises(jf.JefficientError, match="the task must be at hand"):
        jf.load(path).sensitivity(1)

    other = jf.grid(learning_rate=[0.02], momentum=[0.8], points=[3])
    joined = jf.sweep(tiny.task(), momentum, other, **OF_SWEPT, progress=False) + swept
    again = joined.sensitivity(2)
    np.testing.assert_array_equal(again["derivative"], table["derivative"])
    assert again.attrs["config"] == 2


def test_sensitivity_is_drawn_and_reported(swept, tmp_path):
    table = swept.sensitivity(1)
    text = swept.plot.describe("values", "learning_rate", sensitivity=table)
    assert f"derivative in its logarithm {table.loc['learning_rate', 'derivative']:.3g}" in text
    ax = swept.plot.values("learning_rate", sensitivity=table)
    (arrow,) = (x for x in ax.texts if x.arrow_patch is not None)
    (x, y), (to_x, to_y) = arrow.xyann, arrow.xy
    slope = (to_y - y) / np.log(to_x / x)
    np.testing.assert_allclose(slope, table.loc["learning_rate", "derivative"], rtol=1e-6)
    assert to_y < y
    page = swept.report(tmp_path / "report.html", sensitivity=table).read_text()
    assert "Which way to go" in page
    assert "a whole number has none" in page
    assert "Which way to go" not in swept.report(tmp_path / "report.html").read_text()

    with pytest.raises(jf.ArgumentError, match=r"a derivative in points, got those in \['learn"):
        swept.plot.values("points", sensitivity=table)
    with pytest.raises(jf.ArgumentError, match="must be that of train_loss, got that of valid"):
        swept.plot.values("learning_rate", "train_loss", sensitivity=table)
    with pytest.raises(jf.ArgumentTypeError, match=r"must be a table from Result\.sens"):
        swept.report(tmp_path / "report.html", sensitivity=swept.table())


def test_sensitivity_at_the_best_evaluation():
    """Each trial is differentiated up to the evaluation that counts for it."""
    task = tiny.task(validation=0.5)
    settings = {"batch_size": 4, "seeds": 6, "eval_every": 2}
    rates = jf.grid(learning_rate=[0.3])
    result = jf.sweep(task, jf.sgd, rates, steps=8, select="best", progress=False, **settings)
    steps = (result.dataset["valid_loss"].values[0, :, 0].argmin(axis=1) + 1) * 2
    assert len(set(steps)) > 1
    each = np.zeros(6)
    for n in set(steps.tolist()):
        point = {"learning_rate": 0.3}
        found = jf.hypergradient(task, jf.sgd, point, steps=n, mode="reverse", **settings)
        own = steps == n
        each[own] = found.gradient_by_trial["learning_rate"][own, 0]
    row = result.sensitivity().loc["learning_rate"]
    np.testing.assert_allclose(row["derivative"], 0.3 * each.mean(), rtol=1e-4)


@pytest.mark.parametrize(
    ("derivative", "error", "noise", "sign", "advice"),
    [
        (1.0, 0.1, 0.5, 1, "lower"),
        (1.0, 0.1, 0.5, -1, "raise"),
        (-1.0, np.nan, np.nan, 1, "raise"),
        (1.0, 0.6, 0.5, 1, "unclear"),
        (0.1, 0.1, 0.5, 1, "does not matter"),
        (0.0, np.nan, np.nan, 1, "does not matter"),
    ],
)
def test_advice(derivative, error, noise, sign, advice):
    assert _advice(derivative, error, noise, sign) == advice


def test_sensitivity_refuses_what_did_not_finish_and_says_what_has_none():
    space = jf.grid(learning_rate=[0.05, 60.0], nesterov=[False])
    build = lambda learning_rate, nesterov: jf.sgd(learning_rate, nesterov=nesterov)  # noqa: E731
    result = tiny.sweep(tiny.task(validation=0.3), space, build, steps=60)
    with pytest.raises(jf.ArgumentError, match=r"seed 0, fold 0 of configuration 1, .*diverged"):
        result.sensitivity(1)
    table = result.sensitivity(0)
    assert table.loc["nesterov", "advice"] == "a static value has none"
    assert np.isnan(table.loc["learning_rate", "standard_error"])
    whole = tiny.sweep(tiny.task(validation=0.3), jf.grid(learning_rate=[1]), steps=3)
    with pytest.raises(jf.ArgumentError, match="must be a float to have a derivative"):
        whole.sensitivity(0)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_an_array_has_a_derivative_in_each_element(mode):
    """A rate for each of the first two updates: the elements are as two numbers are."""

    def of_array(rates):
        return jf.sgd(lambda count: rates[jnp.minimum(count, 1)])

    def of_numbers(first, second):
        return jf.sgd(lambda count: jnp.where(count == 0, first, second))

    task = tiny.task(validation=0.3)
    settings = {"steps": 3, "batch_size": 8, "mode": mode}
    array = {"rates": np.array([0.1, 0.05], np.float32)}
    found = jf.hypergradient(task, of_array, array, **settings)
    apart = jf.hypergradient(task, of_numbers, {"first": 0.1, "second": 0.05}, **settings)
    assert found.gradient_by_trial["rates"].shape == (1, 1, 2)
    np.testing.assert_allclose(found.gradient["rates"], list(apart.gradient.values()), rtol=1e-5)
    as_list = jf.hypergradient(task, of_array, {"rates": [0.1, 0.05]}, **settings)
    np.testing.assert_array_equal(as_list.gradient["rates"], found.gradient["rates"])


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_schedule_without_a_derivative_at_its_end_is_never_called_there(mode):
    """101 updates have no segments of one length; a padded update would be at the root of 0."""

    def optimizer(learning_rate, steps):
        def schedule(count):
            share = count.astype(jnp.float32) / steps.astype(jnp.float32)
            return jnp.sqrt(learning_rate * (1 - share)) * 0.1

        return jf.sgd(schedule)

    task = tiny.task(validation=0.3, test=(tiny.X[:5], tiny.Y[:5]))
    found = jf.hypergradient(
        task, optimizer, {"learning_rate": 0.1}, steps=101, batch_size=8, mode=mode
    )
    assert np.isfinite(found.gradient["learning_rate"])
