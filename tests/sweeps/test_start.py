"""States that are kept, and sweeps that start from them: bit for bit what an unbroken trial is."""

from concurrent.futures import Executor, Future

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from results.made import made
from sweeps import sources, tiny

import jefficient as jf
from jefficient.sweeps.planning._starting import _partners
from jefficient.sweeps.programs import LaneProgram

SPACE = jf.grid(learning_rate=[0.01, 0.03, 0.1])
SETTINGS = {"eval_every": 4, "seeds": 2, "keep_configs": 9}
CURVES = ("train_loss", "valid_loss", "zeros")


def sweep(the_task=None, space=SPACE, optimizer=jf.adam, **changes):
    """In blocks of two lanes, so that lanes are refilled and trials wait."""
    with tiny.lanes(2):
        task = tiny.task(validation=0.2) if the_task is None else the_task
        return tiny.sweep(task, space, optimizer, **{"steps": 16, **SETTINGS, **changes})


def noisy(params, batch, key):
    x, y = batch
    kept = True if key is None else jax.random.bernoulli(key, 0.9, x.shape)
    return jnp.mean((jnp.where(kept, x, 0.0) @ params - y) ** 2)


def assert_goes_on(branch, whole, first):
    """The branch is the whole from evaluation `first` on."""
    for name in CURVES:
        there = whole.dataset[name].values[..., first:]
        np.testing.assert_array_equal(branch.dataset[name].values, there, err_msg=name)
    for name in ("status", "steps_taken", "diverged_at"):
        np.testing.assert_array_equal(branch.dataset[name], whole.dataset[name], err_msg=name)
    assert branch.weights.keys() == whole.weights.keys()
    chex.assert_trees_all_equal(dict(branch.weights), dict(whole.weights))


@pytest.fixture(scope="module")
def whole():
    return sweep(keep_states=[0, 1, 3])


@pytest.fixture(scope="module")
def half():
    return sweep(steps=8, keep_states="last")


@pytest.mark.parametrize(
    ("about", "settings"),
    [
        ({"loss": noisy, "validation": 0.2}, {}),
        ({}, {"folds": 3, "keep": None}),
        ({"validation": 0.2}, {"optimizer": jf.sgd, "space": SPACE * jf.grid(batch_size=[4, 8])}),
    ],
)
def test_a_trial_that_goes_on_is_the_unbroken_one(about, settings):
    settings = {"batch_size": None if "space" in settings else 8, **settings}
    task = tiny.task(**about)
    half = sweep(task, steps=8, keep_states="last", **settings)
    branch = sweep(task, start=half, **settings)
    assert_goes_on(branch, sweep(task, **settings), first=2)
    assert (branch.dataset["started_at"] == 8).all()
    assert branch.dataset["step"].values[0].ravel().tolist() == [12, 16]


def test_a_streamed_trial_that_goes_on_is_the_unbroken_one(tmp_path):
    task = sources.task(tmp_path, validation=0.3)
    half = sweep(task, steps=8, keep_states="last")
    assert_goes_on(sweep(task, start=half), sweep(task), first=2)


def test_streamed_trials_that_start_at_different_steps_read_their_own_batches(tmp_path):
    task = sources.task(tmp_path, validation=0.3)
    whole = sweep(task, keep_states=[0, 1])
    branch = sweep(
        task, start=lambda config, seed, fold: whole.state(config, seed, fold, config % 2)
    )
    for config in range(3):
        now, before = (x.dataset["valid_loss"].values[config] for x in (branch, whole))
        np.testing.assert_array_equal(now[..., : 3 - config % 2], before[..., 1 + config % 2 :])


def test_the_best_weights_of_a_branch_are_its_own(whole):
    """`keep="best"` starts anew with the branch: what it keeps is the best that it evaluated."""
    branch = sweep(start=whole.state(2, evaluation=1), keep="best", select="best", seeds=1)
    counted = branch.dataset["valid_loss"].values[:, 0, 0].argmin(axis=-1)
    again = sweep(start=whole.state(2, evaluation=1), keep_states="best", select="best", seeds=1)
    for config, evaluation in enumerate(counted.tolist()):
        assert list(again.states[config, 0, 0]) == [evaluation]
        np.testing.assert_array_equal(again.state(config).state.params, branch.params(config))


def test_states_say_what_they_are(whole, half):
    assert sorted(whole.states[0, 1, 0]) == [0, 1, 3]
    assert whole.state(0, evaluation=1).step == 8
    assert whole.state(0).step == 16
    chex.assert_trees_all_equal(whole.state(1, 1, evaluation=1), half.state(1, 1))
    np.testing.assert_array_equal(whole.state(0, 1).state.params, whole.params(0, 1))
    assert half.state().state.opt_state is not None


def test_trials_start_where_a_function_says():
    """Cooldowns: a schedule that requests where it begins, branched off one stable run."""

    def optimizer(cooldown):
        constant = jf.constant_schedule(0.1)
        return jf.sgd(jf.join_schedules([constant, jf.linear_schedule(0.1, 0.0, 4)], [cooldown]))

    space = jf.grid(cooldown=[4, 8, 12])
    stable = sweep(space=jf.grid(cooldown=[99]), optimizer=optimizer, keep_states=[0, 1, 2])
    unbroken = sweep(space=space, optimizer=optimizer)
    branches = sweep(
        space=space,
        optimizer=optimizer,
        start=lambda config, seed, fold: stable.state(0, seed, fold, evaluation=config),
    )
    for config in range(3):
        there = unbroken.dataset["valid_loss"].values[config, ..., config + 1 :]
        here = branches.dataset["valid_loss"].values[config, ..., : 3 - config]
        np.testing.assert_array_equal(here, there)
    assert branches.dataset["step"].values.tolist() == [[8, 12, 16], [12, 16, -1], [16, -1, -1]]


def test_weights_from_elsewhere_begin_anew(half):
    """As a task whose `init` returns them; the optimizer's state is that of a beginning."""
    weights = half.params(0)
    branch = sweep(start=weights)
    other = sweep(tiny.task(validation=0.2, init=lambda key: jnp.asarray(weights)))
    np.testing.assert_allclose(
        branch.dataset["valid_loss"], other.dataset["valid_loss"], rtol=1e-5, atol=1e-6
    )
    assert (branch.dataset["started_at"] == 0).all()


def test_weights_of_a_model_with_state_come_in_a_pair():
    def loss(params, model_state, batch):
        x, y = batch
        return jnp.mean((x @ params - y) ** 2) + 0 * model_state, model_state + 1

    task = tiny.task(
        init=lambda key: (jax.random.normal(key, (3,)), jnp.zeros(())),
        loss=loss,
        model_state=True,
        validation=0.2,
    )
    first = sweep(task, steps=4)
    again = sweep(task, steps=4, start=first.params(0))
    assert again.params(0)[1] == 8


def test_a_trial_of_one_s_own_goes_on():
    trial = jf.Trial(
        init=lambda key: jax.random.normal(key),
        step=lambda x, data, t, key, rate: (x - rate * x + 0.01 * t.astype(float), {"loss": x**2}),
        evaluate=lambda x, data: {"distance": abs(x)},
    )
    settings = {"metric": "distance", "mode": "min", "eval_every": 5, "progress": False}
    space = jf.grid(rate=[0.1, 0.2])
    half = jf.sweep(trial, space=space, steps=10, keep_states="last", **settings)
    branch = jf.sweep(trial, space=space, steps=20, start=half, **settings)
    whole = jf.sweep(trial, space=space, steps=20, **settings)
    np.testing.assert_array_equal(branch.dataset["distance"], whole.dataset["distance"][..., 2:])
    with pytest.raises(jf.ArgumentTypeError, match=r"a jf.Trial must start from a jf.TrialState"):
        jf.sweep(trial, space=space, steps=20, start=np.float32(1.0), **settings)


def test_another_space_starts_from_what_it_has_in_common(half):
    branch = sweep(space=jf.grid(learning_rate=[0.1, 0.01]) * jf.grid(b1=[0.9, 0.8]), start=half)
    whole = sweep().dataset["valid_loss"].values[[2, 0], ..., 2:]  # by another program
    here = branch.dataset["valid_loss"].values
    np.testing.assert_allclose(here[[0, 2]], whole, rtol=1e-5)
    assert not np.allclose(here[[1, 3]], whole, rtol=1e-5)


def test_a_started_trial_is_replayed_from_its_start(half, tmp_path):
    branch = sweep(start=half, keep_configs=1)
    again = branch.replay(0, seed=1)
    np.testing.assert_array_equal(
        again.dataset["valid_loss"][0, 0], branch.dataset["valid_loss"][0, 1]
    )
    given = {"task": tiny.task(validation=0.2), "optimizer": jf.adam, "space": SPACE}
    path = branch.save(tmp_path / "branch.nc")
    with pytest.raises(jf.ArgumentError, match=r"start must be given as to jf.sweep, got None"):
        jf.load(path, **given)
    loaded = jf.load(path, start=half, **given)
    np.testing.assert_array_equal(
        loaded.replay(0, seed=1).dataset["valid_loss"], again.dataset["valid_loss"]
    )


def test_states_survive_a_file_and_a_sum(half, tmp_path):
    path = half.save(tmp_path / "half.nc")
    with pytest.warns(jf.JefficientWarning, match="the states are in trees of classes"):
        assert not jf.load(path).states
    task = tiny.task(validation=0.2)
    loaded = jf.load(path, task=task, optimizer=jf.adam, space=SPACE)
    chex.assert_trees_all_equal(dict(loaded.states), dict(half.states))
    others = sweep(space=jf.grid(learning_rate=[0.3]), steps=8, keep_states="last")
    both = loaded + others
    chex.assert_trees_all_equal(both.state(3, 1), others.state(0, 1))
    branch = sweep(space=jf.grid(learning_rate=[0.3, 0.01]), start=both)
    whole = sweep(space=jf.grid(learning_rate=[0.3, 0.01]))
    np.testing.assert_array_equal(
        branch.dataset["valid_loss"], whole.dataset["valid_loss"][..., 2:]
    )


def test_a_kept_state_is_dropped_with_its_configuration():
    result = sweep(keep_states=[0, 1], keep_configs=1)
    best = result.best().config
    assert {trial[0] for trial in result.states} == {best}
    with pytest.raises(jf.ArgumentError, match=rf"the configurations \[{best}\]. Ask jf.sweep"):
        result.state((best + 1) % 3)
    with pytest.raises(jf.ArgumentError, match=r"evaluation=3; .* evaluations \[0, 1\]"):
        result.state(evaluation=3)


def test_a_diverged_trial_has_no_state():
    result = sweep(space=jf.grid(learning_rate=[0.01, 1e9]), optimizer=jf.sgd, keep_states="last")
    assert str(result.dataset["status"].values[1, 0, 0]) == "diverged"
    assert {trial[0] for trial in result.states} == {0}


def reshaped(state):
    return state._replace(state=state.state._replace(params=np.zeros(4, np.float32)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": jf.sgd}, r"must have the leaves that task and optimizer give it.*\.mu is"),
        ({"change": reshaped}, r"\.params is float32\[4\], must be float32\[3\]"),
        ({"change": lambda x: x._replace(step=3)}, r"must be that of its state, got step=3 and 8"),
        ({"change": lambda x: x._replace(step="8")}, r"whole number from 0, got '8'"),
        ({"steps": 8}, r"more updates than the state .* got steps=8 .* has made 8"),
        ({"start": lambda c, s, f: "x"}, r"start must be a jf.TrialState, a jf.Result"),
        ({"start": np.zeros(4, np.float32)}, r"the root is float32\[4\], must be float32\[3\]"),
        (
            {"space": jf.grid(learning_rate=[0.2])},
            r"from one configuration of start, got \{'learning_rate': 0.2\}",
        ),
        ({"keep_states": "all"}, r"'last', 'best', None or numbers .*got keep_states='all'"),
        ({"keep_states": [-1]}, r"keep_states"),
        ({"keep_states": [4]}, r"among the 2 evaluations .* got keep_states=\[4\]"),
    ],
)
def test_what_is_no_start_is_refused_by_name(half, changes, message):
    changes = dict(changes)
    change = changes.pop("change", None)
    start = half if change is None else change(half.state(0))
    with pytest.raises((jf.ArgumentError, jf.ArgumentTypeError), match=message):
        sweep(**{"start": start, **changes})


def test_seeds_that_start_at_different_updates_are_refused(whole):
    with pytest.raises(jf.ArgumentError, match=r"got 4 \(seed 0\) and 8 \(seed 1\)"):
        sweep(start=lambda config, seed, fold: whole.state(config, seed, fold, evaluation=seed))


@pytest.mark.parametrize("segments", [1, 3, 5])
def test_a_branch_survives_its_process(half, tmp_path, monkeypatch, segments):
    tiny.series_of(monkeypatch, 0)
    settings = {"start": half, "directory": tmp_path / "s", "snapshot_every": 0}
    settings |= {"keep_states": "last"}
    with pytest.raises(tiny.CrashError):
        sweep(progress=tiny.crash_after(segments), **settings)
    again = sweep(**settings)
    assert_goes_on(again, sweep(), first=2)
    whole = sweep(keep_states="last")
    for trial in whole.states:
        chex.assert_trees_all_equal(again.state(*trial), whole.state(*trial))
    with pytest.raises(jf.JefficientError, match=r"what the trials start from \(start\) is other"):
        sweep(**{**settings, "start": half.state(0)})


class Generations(jf.Search):
    """Two proposals: rates, and the same in reverse order, each from the first's parents."""

    batch = 3

    def __init__(self, parents=(2, 1, 0)):
        self.parents = parents

    def example(self):
        return SPACE * jf.grid(steps=[8])

    def begin(self, goal):
        self.told = 0

    def ask(self):
        later = jf.grid(learning_rate=[0.1, 0.03, 0.01]) * jf.grid(steps=[16])
        return (self.example(), later, None)[self.told]

    def tell(self, dataset):
        self.told += 1

    def start(self, state):
        return lambda config, seed, fold: state(self.parents[config], seed, fold)


def test_a_search_goes_on_from_its_last_proposal():
    result = sweep(space=Generations(), steps=None, seeds=2, keep_configs=1)
    whole = sweep()
    assert result.dataset["started_at"].values[:, 0, 0].tolist() == [0, 0, 0, 8, 8, 8]
    np.testing.assert_array_equal(
        result.dataset["valid_loss"][3:, ..., :2], whole.dataset["valid_loss"][::-1, ..., 2:]
    )
    assert not result.states
    best = result.best().config
    assert best >= 3
    again = result.replay(best, seed=1).dataset["valid_loss"].values[0, 0]
    np.testing.assert_array_equal(again, result.dataset["valid_loss"].values[best, 1])
    with pytest.raises(jf.JefficientError, match=r"must be held, got configuration \d\. A search"):
        result.replay(3 if best != 3 else 4)


def test_a_search_whose_last_trial_diverged_begins_it_anew():
    class Wild(Generations):
        def example(self):
            return jf.grid(learning_rate=[0.01, 1e9]) * jf.grid(steps=[8])

        def ask(self):
            later = jf.grid(learning_rate=[0.01, 0.02]) * jf.grid(steps=[16])
            return (self.example(), later, None)[self.told]

    result = sweep(space=Wild((0, 1)), optimizer=jf.sgd, steps=None)
    assert result.dataset["started_at"].values[:, 0, 0].tolist() == [0, 0, 8, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 3, "epochs": 2}, r"steps or epochs must be given, not both"),
        ({"epochs": 0}, r"epochs"),
    ],
)
def test_a_length_to_refit_that_is_none_is_refused(whole, settings, message):
    with pytest.raises(jf.ArgumentError, match=message):
        whole.refit(**settings)


def test_the_best_configuration_is_refitted_for_longer(whole):
    again = whole.refit(0, steps=24)
    assert again.dataset["steps_taken"].item() == 24
    assert whole.refit(0, epochs=2).dataset["steps_taken"].item() == 8  # ⌈2 · 30 / 8⌉

    def linear(learning_rate, steps):
        return jf.sgd(jf.linear_schedule(learning_rate, 0.0, steps))

    decaying = sweep(optimizer=linear, steps=4)
    with pytest.raises(jf.ArgumentError, match=r"got optimizer: another length would be another"):
        decaying.refit(0, steps=8)


def test_a_refit_of_a_branch_begins_from_its_state(half):
    branch = sweep(start=half)
    assert branch.refit(0).dataset["started_at"].item() == 8
    task = tiny.task(data=(tiny.X, tiny.Y))
    folded = sweep(task, folds=2, steps=4, keep_states="last")
    with pytest.raises(jf.ArgumentError, match=r"several folds, got 2 of them"):
        sweep(task, folds=2, steps=8, start=folded).refit(0)


def test_parts_start_from_their_own(half, tmp_path):
    class Here(Executor):
        def submit(self, function, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    def noise(params, batch, key):
        return noisy(params, batch, key)

    task = tiny.task(loss=noise, validation=0.2)
    begun = sweep(task, steps=8, keep_states="last")  # states with keys
    settings = {"start": begun, "keep_states": "last", "plan": None}
    whole = sweep(task, **settings)
    parts = sweep(task, executor=Here(), parts=2, **settings)
    np.testing.assert_array_equal(parts.dataset["valid_loss"], whole.dataset["valid_loss"])
    assert parts.states.keys() == whole.states.keys()
    for trial in whole.states:
        for one, two in zip(
            *map(jax.tree.leaves, (parts.state(*trial), whole.state(*trial))), strict=True
        ):
            np.testing.assert_array_equal(*map(as_numbers, (one, two)))


def as_numbers(x):
    is_key = jnp.issubdtype(jnp.asarray(x).dtype, jax.dtypes.prng_key)
    return jax.random.key_data(x) if is_key else x


def test_a_whole_number_and_the_equal_float_are_one_configuration():
    earlier = made(np.zeros((2, 1, 1)), {"rate": [0.5, 1.0]})
    assert _partners(jf.grid(rate=[1]), earlier) == [1]


def test_the_batch_size_may_change_in_the_middle():
    """Update t takes batch t of the new size: against a loop in float64."""
    task = tiny.task(order="sequential", validation=(tiny.X[:9], tiny.Y[:9]))
    settings = {"optimizer": jf.sgd, "space": jf.grid(learning_rate=[0.03]), "seeds": 1}
    half = sweep(task, steps=8, keep_states="last", **settings)
    branch = sweep(task, steps=16, batch_size=4, start=half, **settings)

    w = np.asarray(half.params(0), float)
    rate = float(np.float32(0.03))
    for t in range(8, 16):
        here = (4 * t + np.arange(4)) % len(tiny.X)
        x, y = tiny.X[here].astype(float), tiny.Y[here].astype(float)
        w -= rate * 2 / 4 * x.T @ (x @ w - y)
    np.testing.assert_allclose(branch.params(0), w, rtol=1e-5)


def test_seeds_that_start_from_one_state_draw_their_own_noise():
    task = tiny.task(loss=noisy, validation=0.2)
    half = sweep(task, steps=8, keep_states="last")
    branch = sweep(task, start=half.state(0))
    one, other = branch.dataset["train_loss"].values[0, :, 0, 0]
    assert one != other


def test_what_began_from_other_weights_is_told_apart(half, tmp_path):
    tuned = sweep(start=half.params(0))
    with pytest.raises(jf.ArgumentError, match="both must be sweeps of one task, got start"):
        tuned + sweep(space=jf.grid(learning_rate=[0.3]))
    given = {"task": tiny.task(validation=0.2), "optimizer": jf.adam, "space": SPACE}
    path = tuned.save(tmp_path / "tuned.nc")
    with pytest.raises(jf.ArgumentError, match="got None where trials started from states or"):
        jf.load(path, **given)
    with pytest.raises(jf.ArgumentError, match=r"start must be that of the sweep, got another"):
        jf.load(path, start=half.params(1), **given)
    assert jf.load(path, start=half.params(0), **given).programs is not None


def test_a_search_without_start_is_refitted_as_ever():
    class Plain(Generations):
        start = jf.Search.start

    result = sweep(tiny.task(), space=Plain(), steps=None, folds=2)
    assert result.refit(0).dataset["started_at"].item() == 0


def test_what_a_search_asks_of_a_trial_that_is_not_there_is_refused():
    with pytest.raises(jf.ArgumentError, match="0 <= config < 3 must hold, got config=7"):
        sweep(space=Generations((0, 1, 7)), steps=None)
    with pytest.raises(jf.ArgumentError, match="keep_states must be None or 'last' for a search"):
        sweep(space=Generations(), steps=None, keep_states="best")


def test_a_rule_compares_no_trials_that_start_at_different_updates(whole):
    with pytest.raises(jf.ArgumentError, match=r"under stop= .* got starts after \[4, 8\]"):
        sweep(
            start=lambda config, seed, fold: whole.state(config, seed, fold, config % 2),
            stop=jf.successive_halving(min_steps=4),
        )


def test_out_of_memory_while_a_trial_is_started_halves_the_block(half, monkeypatch):
    start_lane = LaneProgram.start_lane

    def out_of_memory(self, *arguments):
        if self.width > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return start_lane(self, *arguments)

    monkeypatch.setattr(LaneProgram, "start_lane", out_of_memory)
    with pytest.warns(jf.JefficientWarning, match="out of memory with 2 lanes"):
        branch = sweep(start=half)
    assert (branch.dataset["steps_taken"] == 16).all()


def test_a_streamed_sweep_that_starts_from_states_is_planned(tmp_path):
    task = sources.task(tmp_path, validation=0.3)
    half = sweep(task, steps=8, keep_states="last")
    plan = jf.plan(task, jf.adam, SPACE, steps=16, batch_size=8, start=half, **SETTINGS)
    assert plan.programs[0].steps == 3 * 2 * 8


def test_the_debugger_trains_a_branch_from_its_start(half):
    def sick(params, batch, step):
        return jnp.where(step == 11, jnp.log(-jnp.abs(params).sum()), tiny.loss(params, batch))

    def quiet(params, batch, step):
        return tiny.loss(params, batch) + 0.0 * step.astype(float)

    begun = sweep(tiny.task(loss=quiet, validation=0.2), steps=8, keep_states="last")
    with jax.debug_nans(True), pytest.raises(FloatingPointError) as raised:
        sweep(tiny.task(loss=sick, validation=0.2), start=begun)
    assert "update 11 of the trial" in "".join(raised.value.__notes__)


def test_no_rule_stops_a_search_that_goes_on():
    with pytest.raises(jf.ArgumentError, match="stop must be None for a search that goes on"):
        sweep(space=Generations(), steps=None, stop=jf.successive_halving(min_steps=4))


def test_evaluations_may_come_from_an_iterator():
    assert sorted(sweep(keep_states=iter([2, 0])).states[0, 0, 0]) == [0, 2]
    with pytest.raises(jf.ArgumentError, match=r"numbers of evaluations, got keep_states=\[\]"):
        sweep(keep_states=[])
