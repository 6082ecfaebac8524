"""Training loops of one's own against the same loops by hand, and what goes to which function."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweeps import tiny
from sweeps.tiny import lanes

import jefficient as jf


class Players(NamedTuple):
    """A generator that shifts noise, a critic that is a line, the optimizer of each, and a key.

    `closest` starts at inf: what is not finite in a state is nobody's failure.
    """

    shift: jax.Array
    critic: jax.Array
    shift_state: optax.OptState
    critic_state: optax.OptState
    key: jax.Array
    closest: jax.Array


TARGET = np.random.default_rng(0).normal(2.0, 0.5, size=(64,)).astype(np.float32)


def begin(key, rate):
    shift = 0.1 * jax.random.normal(jax.random.fold_in(key, 0))
    critic = jnp.zeros(())
    states = (jf.adam(rate, b1=0.5).init(shift), jf.sgd(rate).init(critic))
    return Players(shift, critic, *states, jax.random.fold_in(key, 1), jnp.float32(jnp.inf))


def play(players, data, t, key, rate, steps, decay=0.1):
    """One step of each player; the rate falls to zero over the trial's own length."""
    rate = rate * (1 - t.astype(jnp.float32) / steps.astype(jnp.float32))
    noise_key, rows_key = jax.random.split(jax.random.fold_in(players.key, t))
    real = data[jax.random.randint(rows_key, (8,), 0, 64)]
    made = jax.random.normal(noise_key, (8,)) + players.shift

    def critic_loss(critic):
        return jnp.mean(critic * made) - jnp.mean(critic * real) + decay * critic**2

    value, gradient = jax.value_and_grad(critic_loss)(players.critic)
    update, critic_state = jf.sgd(rate).update(gradient, players.critic_state, players.critic)
    critic = players.critic + update
    gradient = jax.grad(lambda shift: -jnp.mean(critic * (shift + made - players.shift)))(
        players.shift
    )
    update, shift_state = jf.adam(rate, b1=0.5).update(gradient, players.shift_state, players.shift)
    shift = players.shift + update
    closest = jnp.minimum(players.closest, jnp.abs(shift - data.mean()))
    metrics = {"critic_loss": value, "distance": jnp.abs(shift - data.mean())}
    return Players(shift, critic, shift_state, critic_state, players.key, closest), metrics


def evaluation(players, data):
    return {"bias": players.shift - data.mean(), "closest": players.closest}


def by_hand(init, step, evaluate, data, evaluations, seed=0, **hyperparameters):
    """A plain loop over a jitted step: the curves, and the state it ends with."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), 0)
    state, curves, sums = init(key), [], []
    for t in range(evaluations[-1]):
        state, metrics = step(state, data, jnp.int32(t), key, **hyperparameters)
        sums.append(metrics)
        if t + 1 in evaluations:
            means = {f"train_{name}": np.mean([float(m[name]) for m in sums]) for name in metrics}
            curves.append(
                {**means, **{name: float(x) for name, x in evaluate(state, data).items()}}
            )
            sums = []
    return state, curves


@pytest.fixture(scope="module")
def played():
    """Trials of three lengths, whose lanes are refilled while others go on."""
    trial = jf.Trial(init=begin, step=play, evaluate=evaluation, data=jnp.asarray(TARGET))
    space = jf.grid(rate=[0.03, 0.1, 0.3], steps=[7, 20, 13])
    with lanes(4):
        return jf.sweep(
            trial,
            space=space,
            seeds=2,
            eval_every=5,
            metric="closest",
            mode="min",
            keep_configs=99,
            progress=False,
        )


def test_a_loop_of_two_players_is_the_loop_by_hand(played):
    data = played.dataset
    assert data.attrs["utilization"] < 1
    assert data["block_width"].values.tolist() == [4] * 9
    assert (data["status"] == "finished").all()
    assert data["steps_taken"].values[:, 0, 0].tolist() == [7, 20, 13] * 3
    assert data["step"].values[:3].tolist() == [[5, 7, -1, -1], [5, 10, 15, 20], [5, 10, 13, -1]]
    step = jax.jit(play)
    for config in range(9):
        rate, steps = (
            np.float32(played.space["rate"][config]),
            np.int32(played.space["steps"][config]),
        )
        evaluations = [x for x in data["step"].values[config] if x > 0]
        for seed in (0, 1):
            state, curves = by_hand(
                functools.partial(begin, rate=rate),
                step,
                evaluation,
                jnp.asarray(TARGET),
                evaluations,
                seed,
                rate=rate,
                steps=steps,
            )
            for name in curves[0]:
                values = data[name].values[config, seed, 0]
                expected = [curve[name] for curve in curves]
                np.testing.assert_allclose(
                    values[: len(evaluations)], expected, rtol=2e-4, atol=1e-5
                )
                assert np.isnan(values[len(evaluations) :]).all()
            kept = played.params(config, seed)
            assert (jax.random.key_data(kept.key) == jax.random.key_data(state.key)).all()
            np.testing.assert_allclose(kept.shift, state.shift, rtol=1e-4)
            np.testing.assert_allclose(kept.closest, state.closest, rtol=1e-3, atol=1e-5)


def test_there_is_a_best_one_though_nobody_has_a_loss(played):
    scores = [np.nanmin(x) for x in played.dataset["closest"].values.mean(axis=1)[:, 0]]
    assert played.best().config == int(np.argmin(scores))
    assert "train_loss" not in played.dataset
    assert played.dataset["train_distance"].dims == ("config", "seed", "fold", "evaluation")


def test_a_bandit_counts_in_whole_numbers():
    """Keys are folded with t; data and hyperparameters come as given; `weights` are kept."""
    arms = np.array([0.1, 0.5, 0.9], np.float32)

    def init(key, optimism):
        return {"pulls": jnp.zeros(3, jnp.int32), "value": jnp.full(3, optimism, jnp.float32)}

    def step(state, data, t, key, epsilon):
        explore, arm_key, reward_key = jax.random.split(jax.random.fold_in(key, t), 3)
        greedy = jnp.argmax(state["value"])
        explores = jax.random.uniform(explore) < epsilon
        arm = jnp.where(explores, jax.random.randint(arm_key, (), 0, 3), greedy.astype(jnp.int32))
        reward = (jax.random.uniform(reward_key) < data[arm]).astype(jnp.float32)
        pulls = state["pulls"].at[arm].add(1)
        value = (
            state["value"]
            .at[arm]
            .add((reward - state["value"][arm]) / pulls[arm].astype(jnp.float32))
        )
        return {"pulls": pulls, "value": value}, {
            "regret": data.max() - data[arm],
            "explored": explores,
            "one": 1,
        }

    def evaluate(state, data):
        return {"best_arm": state["pulls"][2] / state["pulls"].sum(), "pulls": state["pulls"].sum()}

    trial = jf.Trial(init, step, evaluate, jnp.asarray(arms), weights=lambda state: state["pulls"])
    space = jf.grid(optimism=[0.0, 1.0], epsilon=[0.0, 0.3, 1.0])
    with lanes(2):
        result = jf.sweep(
            trial,
            space=space,
            steps=40,
            eval_every=20,
            metric="best_arm",
            mode="max",
            keep_configs=9,
            progress=False,
        )
    jitted = jax.jit(step)
    for config, hp in enumerate(space):
        begin = functools.partial(init, optimism=hp["optimism"])
        state, curves = by_hand(
            begin, jitted, evaluate, jnp.asarray(arms), (20, 40), epsilon=np.float32(hp["epsilon"])
        )
        np.testing.assert_array_equal(result.params(config), state["pulls"])
        for name in curves[0]:
            np.testing.assert_allclose(
                result.dataset[name].values[config, 0, 0], [c[name] for c in curves], rtol=1e-6
            )
    assert (result.dataset["pulls"].values[:, 0, 0] == [20, 40]).all()


def shrink(**changes):
    """A number that is to become small."""
    functions = {
        "init": lambda key: jnp.ones(()),
        "step": lambda x, data, t, key, rate: (x - rate * x, {"loss": x**2}),
        "evaluate": lambda x, data: {"distance": jnp.abs(x)},
    }
    return jf.Trial(**{**functions, **changes})


def sweep(trial, space=None, **changes):
    space = jf.grid(rate=[0.1, 0.2]) if space is None else space
    return jf.sweep(
        trial,
        space=space,
        **{"steps": 4, "metric": "distance", "mode": "min", "progress": False, **changes},
    )


def test_hyperparameters_go_to_the_functions_that_request_them():
    """By name, or all with ``**hyperparameters``; static ones as given, the engine's as numbers."""
    seen = {}

    def init(key, **hyperparameters):
        seen["init"] = hyperparameters
        return jnp.ones(())

    def step(x, data, t, key, rate, steps, fold, name, absent="default"):
        seen["step"] = {
            "name": name,
            "absent": absent,
            "steps": steps.dtype,
            "fold": jnp.shape(fold),
        }
        return x - rate * x, {"loss": x**2}

    def evaluate(x, data, *, scale, **rest):
        seen["evaluate"] = rest
        return {"distance": scale * jnp.abs(x)}

    space = jf.grid(rate=[0.1, 0.2], scale=[1.0, 10.0], name=["a"], steps=[2, 3], flag=[True])
    result = sweep(jf.Trial(init, step, evaluate), space, steps=None)
    assert seen["init"].keys() == {"rate", "scale", "name", "flag"}
    assert seen["init"]["flag"] is True
    assert seen["step"] == {"name": "a", "absent": "default", "steps": jnp.int32, "fold": ()}
    assert seen["evaluate"].keys() == {"rate", "name", "flag"}
    ends = [float(x[np.isfinite(x)][-1]) for x in result.dataset["distance"].values[:, 0, 0]]
    expected = [hp["scale"] * (1 - hp["rate"]) ** hp["steps"] for hp in space]
    np.testing.assert_allclose(ends, expected, rtol=1e-6)


def test_trials_of_any_length_share_a_program():
    """As many traces for twelve lengths as for one; nobody need ask for `steps`."""
    traces = []

    def step(x, data, t, key, rate):
        traces.append(1)
        return x - rate * x, {"loss": x**2}

    sweep(shrink(step=step), jf.grid(rate=[0.5], steps=[3]), steps=None, eval_every=1)
    few = len(traces)
    with lanes(2):
        result = sweep(
            shrink(step=step), jf.grid(rate=[0.5], steps=range(1, 13)), steps=None, eval_every=1
        )
    assert len(traces) == 2 * few
    np.testing.assert_array_equal(
        result.dataset["distance"].values[:, 0, 0],
        np.where(np.arange(12) <= np.arange(12)[:, None], 0.5 ** np.arange(1, 13), np.nan),
    )


def test_a_loss_that_fails_ends_a_trial_and_nothing_else_does():
    """An infinite state does not, nor a metric that is NaN: never the best, it is stopped."""

    def init(key, kind):
        return jnp.ones(()), jnp.array([0.0, jnp.inf, 0.0, 0.0, 0.0])[kind]

    def step(state, data, t, key, kind):
        x = 0.5 * state[0]
        loss = jnp.where(t < 3, x, jnp.array([0.0, 0.0, jnp.nan, 9.0, 0.0])[kind])
        return (x, state[1]), {"loss": loss}

    def evaluate(state, data, kind):
        return {
            "distance": jnp.where(kind == 4, jnp.nan, jnp.where(kind == 1, 2.0, 1.0) * state[0])
        }

    arguments = {"steps": 6, "eval_every": 2, "diverged_above": 8.0}
    trial, space = jf.Trial(init, step, evaluate), jf.grid(kind=[1, 4, 2, 3, 0])
    result = sweep(trial, space, **arguments)
    assert result.dataset["status"].values.ravel().tolist() == [
        *2 * ["finished"],
        *2 * ["diverged"],
        "finished",
    ]
    assert result.dataset["diverged_at"].values.ravel().tolist() == [-1, -1, 3, 3, -1]
    assert result.best().config == 4
    np.testing.assert_array_equal(
        result.dataset["distance"].values[2, 0, 0], [0.25, np.nan, np.nan]
    )
    with lanes(1):
        stopped = sweep(trial, space, stop=jf.successive_halving(2, min_steps=2), **arguments)
    status = stopped.dataset["status"].values.ravel().tolist()
    assert status == ["finished", "stopped", "diverged", "diverged", "finished"]


def test_numbers_of_python_are_scalars_too():
    """In a state and among what is measured, in a block of one lane as in others."""
    for width in (1, 2):
        with lanes(width):
            result = sweep(
                shrink(
                    init=lambda key: (jnp.ones(()), 0.0),
                    step=lambda x, data, t, key, rate: ((x[0] - rate, x[1]), {"loss": 0.5}),
                    evaluate=lambda x, data: {
                        "distance": 2.0,
                        "half": np.float64(0.5),
                        "whole": 3,
                        "flag": x[0] > 0,
                    },
                )
            )
        assert [
            float(result.dataset[name].values[0, 0, 0, -1])
            for name in ("distance", "half", "whole", "flag")
        ] == [
            2.0,
            0.5,
            3.0,
            1.0,
        ]


def test_a_state_may_be_a_class_of_one_s_own():
    """One that has no equality to compare it by."""
    trial = shrink(
        init=lambda key: tiny.Box(jnp.ones(())),
        step=lambda box, data, t, key, rate: (
            tiny.Box(box.content - rate * box.content),
            {"loss": box.content},
        ),
        evaluate=lambda box, data: {"distance": box.content},
    )
    result = sweep(trial, jf.grid(rate=[0.5]))
    assert isinstance(result.params(0), tiny.Box)
    assert result.params(0).content == 1 / 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": 3}, "jf.Trial: init must be a function, got 3"),
        ({"step": None}, "jf.Trial: step must be a function, got None"),
        ({"evaluate": {}}, "jf.Trial: evaluate must be a function, got {}"),
        ({"weights": "x"}, "jf.Trial: weights must be a function, got 'x'"),
    ],
)
def test_trials(changes, message):
    with pytest.raises(jf.JefficientError, match=message):
        shrink(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"step": lambda x, data, t, key, rate: x},
            r"step must return a pair \(state, metrics\), got an array",
        ),
        (
            {"step": lambda x, data, t, key, rate: (x, x)},
            "step must return its metrics as a dict of scalars, got an array",
        ),
        (
            {"evaluate": lambda x, data: [x]},
            "evaluate must return its metrics as a dict of scalars, got list",
        ),
        (
            {"step": lambda x, data, t, key, rate: (x, {"loss": jnp.ones(2)})},
            r"loss must be a scalar, got shape \(2,\)",
        ),
        (
            {"evaluate": lambda x, data: {"distance": jnp.ones((1,))}},
            r"distance must be a scalar, got shape \(1,\)",
        ),
        (
            {"step": lambda x, data, t, key, rate: ((x, x), {})},
            "step must return a state like the one it is given, got",
        ),
        (
            {"step": lambda x, data, t, key, rate: (jnp.int32(1), {})},
            r"got int32\[\] for float32\[\]",
        ),
        (
            {"evaluate": lambda x, data: {"train_loss": x}},
            "must have names that do not begin with train_, got 'train_loss'",
        ),
        ({"evaluate": lambda x, data: {3: x}}, "names that do not begin with train_, got 3"),
        (
            {"evaluate": lambda x, data: {"distance": x, "status": x}},
            "name of the space or of the result, got 'status'",
        ),
        (
            {"evaluate": lambda x, data: {"distance": x, "evaluation": x}},
            "name of the space or of the result, got 'evaluation'",
        ),
        (
            {"evaluate": lambda x, data: {"distance": x, "rate": x}},
            "name of the space or of the result, got 'rate'",
        ),
        (
            {"evaluate": lambda x, data, other: {"distance": x}},
            r"evaluate requires \['other'\], which the space must",
        ),
        ({"init": lambda key, steps_per_epoch: key}, r"init requires \['steps_per_epoch'\]"),
        (
            {"step": lambda x, data, t, key: (x, {})},
            "hyperparameter 'rate'; init requests nothing; step requests nothing",
        ),
    ],
)
def test_functions_that_break_a_rule(changes, message):
    with pytest.raises(jf.JefficientError, match=message):
        sweep(shrink(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 3}, "a jf.Trial must come without folds, got folds=3"),
        ({"epochs": 3, "steps": None}, "a jf.Trial must come without epochs, got epochs=3"),
        (
            {"optimizer": jf.sgd},
            "a jf.Trial must come without optimizer, got optimizer=<function sgd",
        ),
        (
            {"eval_batch_size": 3},
            "a jf.Trial must come without eval_batch_size, got eval_batch_size=3",
        ),
        ({"batch_size": 3}, "batch_size belongs to a jf.Task, got batch_size=3"),
        ({"steps": None}, "exactly one of steps and epochs must be given"),
        (
            {"metric": "valid_loss", "mode": None},
            r"metric must be one of \['train_loss', 'distance'\], got metric=",
        ),
        ({"mode": None}, "mode must say whether the best distance is the 'min' or the 'max'"),
        (
            {"space": jf.grid(rate=[0.1], foo=[1])},
            "no function requests the hyperparameter 'foo'; init requests",
        ),
        ({"space": jf.grid(rate=[0.1], steps=[3])}, "got steps=4, epochs=None and an axis"),
        (
            {"space": jf.grid(rate=[0.1], steps=[3.5, 5]), "steps": None},
            "steps must be a whole number, got steps=3.5",
        ),
        (
            {"space": jf.grid(rate=[0.1], steps=["3"]), "steps": None},
            "steps must be a whole number, got steps='3'",
        ),
        (
            {"space": jf.grid(rate=[0.1], steps=[0]), "steps": None},
            "steps >= 1 must hold, got steps=0",
        ),
        *(
            ({"space": jf.grid(rate=[0.1], **{name: [1]})}, f"the space must not name '{name}'")
            for name in ("key", "data", "fold", "seed", "status", "train_loss")
        ),
    ],
)
def test_arguments(changes, message):
    with pytest.raises(jf.JefficientError, match=message):
        sweep(shrink(), **changes)


def test_a_bound_without_a_loss_bounds_nothing():
    with pytest.raises(
        jf.JefficientError, match="diverged_above bounds the metric 'loss' of the trial's step, got"
    ):
        sweep(shrink(step=lambda x, data, t, key, rate: (x, {"other": x})), diverged_above=1.0)


def test_what_is_measured_is_the_same_for_every_program():
    trial = shrink(evaluate=lambda x, data, kind: {"distance": x, kind: x})
    with pytest.raises(
        jf.JefficientError,
        match=r"all configurations must have the same metrics, got .*'a'.*'b', 'd",
    ):
        sweep(trial, jf.grid(rate=[0.1], kind=["a", "b"]))


def test_an_error_while_tracing_names_its_hyperparameters():
    def init(key, rate):
        return jf.adam(rate).init(jnp.ones(()))

    with pytest.raises(jf.JefficientError, match="got learning_rate=-1") as caught:
        sweep(shrink(init=init), jf.grid(rate=[0.1, -1.0]))
    assert "raised for the hyperparameters {'rate': -1.0" in caught.value.__notes__[-1]


def test_a_number_of_python_s_may_be_among_the_data():
    trial = jf.Trial(
        init=lambda key: jnp.zeros(()),
        step=lambda x, data, t, key, rate: (x + rate * data["slope"], {"loss": x}),
        evaluate=lambda x, data: {"score": x},
        data={"slope": 2.0},
    )
    settings = {"metric": "score", "mode": "max", "steps": 3, "progress": False}
    result = jf.sweep(trial, space=jf.grid(rate=[1.0, 2.0]), **settings)
    assert result.best().score == 12
