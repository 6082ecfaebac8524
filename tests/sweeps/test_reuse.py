"""What a second call traces, lowers and compiles: nothing, or no more than what is new to it."""

import enum
import functools
import gc
import threading
import time
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optuna
import pytest
from sweeps import sources, tiny

import jefficient as jf
from jefficient._core import reuse

EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "traced",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowered",
    "/jax/core/compile/backend_compile_duration": "compiled",
}
counts = dict.fromkeys(EVENTS.values(), 0)


def count(name, seconds, **about):
    if name in EVENTS:
        counts[EVENTS[name]] += 1


jax.monitoring.register_event_duration_secs_listener(count)


def counted(call):
    """What a call traces, lowers and compiles, and what it returns."""
    before = dict(counts)
    result = call()
    return {name: counts[name] - before[name] for name in counts}, result


NOTHING = {"traced": 0, "lowered": 0, "compiled": 0}
WIDE = jf.grid(learning_rate=[0.001, 0.01, 0.1, 1.0])
CLOSE = jf.grid(learning_rate=[0.02, 0.03, 0.05, 0.07])
SETTINGS = {"steps": 6, "eval_every": 3}
DATA = np.random.default_rng(8).normal(size=(30, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _alone():
    jf.clear_programs()
    yield
    jf.clear_programs()


def sweep(task, space=WIDE, optimizer=jf.sgd, **changes):
    return tiny.sweep(task, space, optimizer, **{**SETTINGS, **changes})


def error(params, batch):
    x, y = batch
    return jnp.abs(x @ params - y).mean()


def host_error(params, batch):
    return batch[0] @ params


HOST = jf.host_metric(host_error, lambda predicted, batch: np.abs(predicted - batch[1]).max())
DEVICE = jf.Metric(host_error, lambda predicted, batch, weights: jnp.sum(weights * predicted))

ORDINARY = {
    "plain": ({"validation": 0.2}, {}),
    "metrics": ({"validation": 0.2, "metrics": {"error": error, "most": HOST, "sum": DEVICE}}, {}),
    "folds": ({"metrics": {"error": error}}, {"folds": 4, "eval_batch_size": 3}),
    "test": ({"validation": 0.2, "test": (tiny.X[:5], tiny.Y[:5])}, {}),
    "penalty": ({"validation": 0.2, "loss": jf.regularized(tiny.loss, l2=0.1)}, {}),
    "partial": ({"validation": 0.2, "loss": functools.partial(tiny.loss)}, {}),
    "stop": ({"validation": 0.2}, {"stop": jf.median_stop(min_steps=3)}),
    "layers": ({"validation": 0.2}, {"layers": True}),
    "best": ({"validation": 0.2}, {"keep": "best", "select": "best"}),
    "no weights": ({"validation": 0.2}, {"keep": None}),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_the_second_call_traces_and_compiles_nothing(name):
    """Other numbers, other data and another key; what comes out is what a first call gives."""
    of_task, settings = ORDINARY[name]
    first = functools.partial(tiny.task, **of_task)
    sweep(first(), **settings)
    other = {"data": (DATA[:, :3], DATA[:, 3])}
    if "test" in of_task:
        other["test"] = (DATA[:5, :3], DATA[:5, 3])
    again = functools.partial(sweep, space=CLOSE, key=jax.random.key(7), **settings)
    made, result = counted(lambda: again(first(**other)))
    assert made == NOTHING
    jf.clear_programs()
    expected = again(first(**other))
    for variable in set(expected.dataset.variables) - {"seconds"}:
        np.testing.assert_array_equal(result.dataset[variable], expected.dataset[variable])


def test_a_plan_a_replay_and_a_refit_share_the_sweep_s_programs():
    task = tiny.task(validation=0.2)
    space = WIDE
    jf.plan(task, jf.sgd, space, batch_size=8, **SETTINGS)
    assert counted(lambda: jf.plan(task, jf.sgd, space, batch_size=8, **SETTINGS))[0] == NOTHING
    made, result = counted(lambda: sweep(task))
    assert made["compiled"] <= 1  # what takes the weights of a lane
    assert counted(lambda: result.replay(1))[0]["compiled"] <= 1  # one block, not two
    assert counted(lambda: result.replay(2))[0] == NOTHING
    result.refit(0)
    assert counted(lambda: result.refit(3))[0] == NOTHING


def test_examples_that_are_read_reuse_programs_too(tmp_path):
    task = sources.task(tmp_path, validation=0.2, metrics={"sum": DEVICE})
    sweep(task)
    assert counted(lambda: sweep(task, CLOSE))[0] == NOTHING


def test_a_directory_s_sweep_reuses_programs(tmp_path):
    task = tiny.task(validation=0.2)
    sweep(task, directory=tmp_path / "one")
    assert counted(lambda: sweep(task, CLOSE, directory=tmp_path / "two"))[0] == NOTHING


def trial_step(x, data, t, key, rate):
    return x - rate * 2 * x, {"loss": x**2}


def test_a_trial_of_the_user_s_own_reuses_programs():
    def trial():
        return jf.Trial(jax.random.normal, trial_step, distance, data=None)

    def run(rates):
        given = {"space": jf.grid(rate=rates), "metric": "distance", "mode": "min"}
        return jf.sweep(trial(), **given, steps=5, progress=False)

    run([0.01, 0.1])
    assert counted(lambda: run([0.02, 0.05]))[0] == NOTHING


def distance(x, data):
    return {"distance": abs(x)}


def test_a_search_compiles_its_programs_once():
    def search(n):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        return jf.optuna(study, n, batch=2, learning_rate=jf.LogUniform(1e-3, 1.0))

    task = tiny.task(validation=0.2)
    sweep(task, search(2))
    assert counted(lambda: sweep(task, search(6)))[0] == NOTHING


def test_functions_that_are_new_objects_are_lowered_and_not_compiled():
    def task():
        return tiny.task(
            init=lambda key: tiny.init(key),
            loss=lambda params, batch: tiny.loss(params, batch),
            metrics={"error": lambda params, batch: error(params, batch)},
        )

    settings = {"folds": 4, "optimizer": lambda learning_rate: jf.adam(learning_rate)}
    sweep(task(), **settings)
    settings["optimizer"] = lambda learning_rate: jf.adam(learning_rate)
    made, _ = counted(lambda: sweep(task(), CLOSE, **settings))
    assert made["compiled"] == 0
    assert made["lowered"] == 3  # segment, weights of a lane, the try of the metrics


def test_what_a_new_function_closes_over_is_noticed():
    def run(scale):
        def loss(params, batch):
            return scale * tiny.loss(params, batch)

        rate = jf.grid(learning_rate=[0.0])
        return sweep(tiny.task(loss=loss, validation=0.2), rate).best().score

    assert run(2.0) == 2 * run(1.0) == 4 * run(0.5)


def test_what_python_does_inside_is_that_of_the_new_function(capfd):
    """The text of a program does not say which Python function it calls."""
    for word in ("one", "two"):

        def loss(params, batch, word=word):
            jax.debug.print(word)
            return tiny.loss(params, batch)

        sweep(tiny.task(loss=loss, validation=0.2), jf.grid(learning_rate=[0.1]))
        jax.effects_barrier()
        said = capfd.readouterr().out
        assert set(said.split()) == {word}


def double(x):
    return 2 * x


def test_static_functions_are_told_apart():
    def init(key):
        return jnp.ones(3)

    def loss(params, batch, activation):
        return activation(tiny.loss(params, batch))

    task = tiny.task(init=init, loss=loss, validation=0.2)
    rate = jf.grid(learning_rate=[0.1])
    numbers = [
        sweep(task, jf.grid(activation=jf.static([f])) * rate).best().score
        for f in (jnp.sin, jnp.tanh, double, jnp.sin)
    ]
    assert len(set(numbers)) == 3
    assert numbers[0] == numbers[3]


def test_settings_of_jax_are_told_apart():
    task = tiny.task(validation=0.2)
    sweep(task)
    for context in (jax.default_matmul_precision("float32"), jax.numpy_dtype_promotion("standard")):
        with context:
            assert counted(lambda: sweep(task))[0]["compiled"] > 0
    assert counted(lambda: sweep(task))[0] == NOTHING


def columns(n=40):
    rng = np.random.default_rng(5)
    return {name: rng.normal(size=n).astype(np.float32) for name in ("x", "a", "b")}


@pytest.mark.parametrize("where", ["loss", "metrics", "test", "prepare"])
def test_which_of_two_like_arrays_a_new_function_reads_is_noticed(where):
    """What a program does not read is no part of its text unless it is kept there."""

    def score(column, is_reused):
        def read(params, batch, here="a"):
            return jnp.mean((batch["x"] * params - batch[here]) ** 2)

        other = functools.partial(read, here=column)
        of_task = {"loss": read, "validation": columns(10)}
        if where == "loss":
            of_task["loss"] = lambda params, batch: other(params, batch)
        elif where == "metrics":
            of_task["metrics"] = {"other": lambda params, batch: other(params, batch)}
        elif where == "test":
            of_task |= {"test": columns(7), "metrics": {"other": lambda p, batch: other(p, batch)}}
        else:
            apply = lambda fitted, batch: {**batch, "a": batch[column]}  # noqa: E731
            of_task["prepare"] = (lambda data: data["x"].mean(), apply)
        if not is_reused:
            jf.clear_programs()
        task = jf.Task(init=lambda key: jnp.ones(()), data=columns(), **of_task)
        result = jf.sweep(task, jf.sgd, CLOSE, batch_size=8, progress=False, **SETTINGS)
        values = dict(result.dataset.data_vars)
        tests = {} if result.test is None else dict(result.test.data_vars)
        return {name: x.values for name, x in {**values, **tests}.items() if name != "seconds"}

    score("a", False)
    reused, fresh = score("b", True), score("b", False)
    for name, x in fresh.items():
        np.testing.assert_array_equal(reused[name], x, err_msg=name)


@pytest.mark.parametrize("where", ["step", "evaluate", "weights"])
def test_which_of_two_like_arrays_a_trial_reads_is_noticed(where):
    def run(name, is_reused):
        at = {"step": "a", "evaluate": "a", "weights": "a", where: name}

        def step(state, data, t, key, rate):
            return {**state, "a": state["a"] + rate * data[at["step"]]}, {"loss": state["a"]}

        trial = jf.Trial(
            init=lambda key: {"a": jnp.zeros(()), "b": jnp.ones(())},
            step=step,
            evaluate=lambda state, data: {"score": state["a"] + data[at["evaluate"]]},
            data={"a": jnp.float32(2), "b": jnp.float32(3)},
            weights=lambda state: state[at["weights"]],
        )
        if not is_reused:
            jf.clear_programs()
        settings = {"metric": "score", "mode": "min", "steps": 3, "progress": False}
        result = jf.sweep(trial, space=jf.grid(rate=[0.5, 1.0]), **settings)
        return result.best().score, float(result.params())

    run("a", False)
    assert run("b", True) == run("b", False)


def test_a_directory_s_functions_are_told_apart_by_what_they_read(tmp_path):
    def task(column):
        return jf.Task(
            init=lambda key: jnp.ones(()),
            loss=lambda params, batch: jnp.mean((batch["x"] * params - batch[column]) ** 2),
            data=columns(),
            validation=0.2,
        )

    sweep(task("a"), directory=tmp_path)
    with pytest.raises(jf.JefficientError, match="functions of the task or optimizer are others"):
        sweep(task("b"), directory=tmp_path)


def test_a_function_that_is_patched_in_place_is_another_one():
    """As tools that reload modules do."""

    def loss(params, batch, *, scale=1.0):
        return scale * tiny.loss(params, batch)

    rate = jf.grid(learning_rate=[0.0])
    run = lambda: sweep(tiny.task(loss=loss, validation=0.2), rate).best().score  # noqa: E731
    first = run()
    loss.__kwdefaults__["scale"] = 2.0
    assert run() == 2 * first
    loss.__code__ = (lambda params, batch, *, scale=1.0: 3 * jnp.sum(params * 0) + scale).__code__
    assert run() == 2.0


def test_a_wrapped_loss_without_data_is_another_one():
    def loss(params, key):
        return jnp.mean((params - jax.random.normal(key, (3,))) ** 2)

    first = jf.Task(init=tiny.init, loss=loss, data=None)
    scaled = functools.wraps(first.loss)(lambda *args, **given: 5 * first.loss(*args, **given))
    second = jf.Task(init=tiny.init, loss=scaled, data=None)
    settings = {"steps": 2, "metric": "train_loss", "progress": False}
    space = jf.grid(learning_rate=[0.0])
    one, five = (jf.sweep(task, jf.sgd, space, **settings).best().score for task in (first, second))
    np.testing.assert_allclose(five, 5 * one, rtol=1e-6)


def test_dtypes_that_give_way_are_told_apart():
    def run(data):
        trial = jf.Trial(
            init=lambda key: jnp.zeros((), jnp.bfloat16),
            step=lambda x, data, t, key, rate: (x + jnp.bfloat16(rate), {}),
            evaluate=evaluate_kind,
            data=data,
        )
        settings = {"metric": "is_wide", "mode": "min", "steps": 2, "progress": False}
        return jf.sweep(trial, space=jf.grid(rate=[1.0]), **settings).best().score

    with jax.numpy_dtype_promotion("standard"):
        assert run(jnp.full((4,), 2.0)) == 0
        assert run(jnp.full((4,), 2.0, jnp.float32)) == 1


def evaluate_kind(x, data):
    return {"is_wide": jnp.float32((x * data).dtype == jnp.float32)}


def test_settings_that_only_tracing_reads_are_told_apart():
    task = tiny.task(validation=0.2)
    sweep(task)
    with jax.numpy_rank_promotion("raise"):
        assert counted(lambda: sweep(task))[0]["traced"] > 0


def test_one_sweep_that_ends_does_not_cancel_another_s_programs():
    """Programs are shared once they are compiled, not while somebody compiles them."""
    task = tiny.task(validation=0.2)
    with pytest.warns(jf.JefficientWarning, match="interrupted"):
        sweep(task, time_limit=1e-9)
    assert (sweep(task).dataset["status"] == "finished").all()


def test_a_wider_look_checks_its_numbers():
    """Programs are reused, checks of numbers are not left out."""

    def loss(params, batch, strength):
        if not isinstance(strength, jax.core.Tracer):
            assert strength < 5, "too strong"
        return tiny.loss(params, batch) + strength * 0

    task = tiny.task(loss=loss, validation=0.2)
    rate = jf.grid(learning_rate=[0.1])
    sweep(task, jf.grid(strength=[0.0, 1.0]) * rate)
    with pytest.raises(AssertionError, match="too strong"):
        sweep(task, jf.grid(strength=[0.5, 9.0]) * rate)
    with pytest.raises(jf.JefficientError, match="learning_rate=-1"):
        sweep(tiny.task(validation=0.2), jf.grid(learning_rate=[-1.0]))


def test_nothing_holds_functions_or_data():
    class Owner:
        def loss(self, params, batch):
            return tiny.loss(params, batch)

    owner = Owner()
    data = jnp.asarray(DATA[:, :3]), jnp.asarray(DATA[:, 3])
    task = tiny.task(loss=owner.loss, data=data, validation=0.2)
    held = [weakref.ref(x) for x in (owner, task, *data, *jax.tree.leaves(task.data))]
    result = sweep(task)
    del owner, task, data, result
    gc.collect()
    assert [x() for x in held] == [None] * len(held)


def test_the_programs_used_last_are_kept_and_cleared_when_asked(monkeypatch):
    task = tiny.task(validation=0.2)
    sweep(task)
    jf.clear_programs()
    assert counted(lambda: sweep(task))[0]["compiled"] == 2
    recent = reuse._Recent(2)
    for name in "abac":
        recent.put(name, name.upper())
    assert [recent.get(name) for name in "abc"] == ["A", None, "C"]


def test_one_program_in_two_threads_at_a_time():
    task = tiny.task(validation=0.2)
    results = {}

    def run(name):
        results[name] = sweep(task).dataset["valid_loss"].values

    threads = [threading.Thread(target=run, args=(name,)) for name in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results[0], results[1])


def test_of_two_threads_with_one_program_one_compiles_it():
    """Both at once would take twice the time, and one could read half of what jax's cache keeps."""
    program = reuse.lowered(jnp.sin, 1.0)
    compiles, results = [], []

    class Slow:
        as_text, in_tree, out_tree = program.as_text, program.in_tree, program.out_tree

        def compile(self, **options):
            compiles.append(options)
            time.sleep(0.2)
            return program.compile(**options)

    threads = [
        threading.Thread(target=lambda: results.append(reuse.compiled(Slow(), jax.devices()[0])))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiles) == 1
    assert results[0] is results[1]


def test_a_transform_that_is_built_already_is_the_same_while_it_is_the_same_object():
    task = tiny.task(validation=0.2)
    space = jf.grid(steps=[6])
    built = optax.sgd(0.1)
    first = sweep(task, space, built, steps=None).best().score
    assert counted(lambda: sweep(task, space, built, steps=None))[0] == NOTHING
    assert sweep(task, space, optax.sgd(0.2), steps=None).best().score != first


class Kind(enum.IntEnum):
    ONE, TWO = 1, 2


class Named(dict):
    """A dict with attributes, which its items do not tell."""


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (0.0, -0.0, False),
        (float("nan"), float("nan"), True),
        (True, 1, False),
        ("a", "a", True),
        ((1, 2), [1, 2], False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        (np.float32(1), np.float64(1), False),
        (double, double, True),
        (double, distance, False),
        (functools.partial(double, 1), functools.partial(double, 1), True),
        (functools.partial(double, 1), functools.partial(double, 2), False),
        (jf.regularized(error, l2=1), jf.regularized(error, l2=1), True),
        (range(3), range(3), True),
        (Kind.ONE, Kind.ONE, True),
        (Kind.ONE, Kind.TWO, False),
        (Named({"a": 1}), {"a": 1}, False),
        (jf.regularized(error, l2=1), jf.regularized(error, l2=2), False),
        (np.zeros(2), np.zeros(2), False),
        (object(), object(), False),
    ],
)
def test_what_counts_as_the_same(one, other, is_same):
    assert (reuse.same(one) == reuse.same(other)) == is_same
    assert not is_same or hash(reuse.same(one)) == hash(reuse.same(other))


def test_a_dead_object_is_like_no_other():
    def key():
        def function():
            pass

        return reuse.same(function)

    dead = key()
    gc.collect()
    assert dead != key()
    assert {dead: 1}.get(key()) is None


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_second_derivative_traces_and_compiles_nothing(mode):
    task = tiny.task(validation=0.3)

    def derivative(rate, steps):
        point = {"learning_rate": rate}
        settings = {"steps": steps, "batch_size": 8, "mode": mode}
        return lambda: jf.hypergradient(task, jf.sgd, point, **settings)

    derivative(0.1, 6)()
    assert counted(derivative(0.2, 6))[0] == NOTHING
