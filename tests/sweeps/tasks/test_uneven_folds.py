"""Folds of unequal length: epochs are each fold's own, in every number of the result."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from sklearn.model_selection import TimeSeriesSplit
from sweeps import sources, tiny

import jefficient as jf
from jefficient.results import by_fold
from jefficient.results.checks._reading import Reading

FOLDS = list(TimeSeriesSplit(4).split(tiny.X))  # 6, 12, 18 and 24 training examples of 30
SIZES = [6, 12, 18, 24]
BATCH = 5
STEPS = [[2, 3, 4], [3, 5, 8], [4, 8, 11], [5, 10, 15]]  # after 1, 2 and 3 epochs of 1.2, 2.4 …
RATES = [0.01, 0.1, 0.3]


def halving(learning_rate, steps, steps_per_epoch):
    """A rate that knows both: the cosine of the whole trial, and a half after every epoch."""
    cosine = jf.cosine_decay_schedule(1.0, steps)
    return jf.sgd(
        lambda t: learning_rate * cosine(t) * jnp.exp2(-(t // steps_per_epoch).astype(jnp.float32))
    )


def sweep(the_task=None, space=None, optimizer=halving, **changes):
    settings = {"epochs": 3, "batch_size": BATCH, "folds": FOLDS, "progress": False, **changes}
    space = jf.grid(learning_rate=RATES) if space is None else space
    return jf.sweep(the_task or tiny.task(), optimizer, space, **settings)


@pytest.fixture(scope="module")
def whole():
    return sweep(seeds=2, keep_configs=9)


def by_hand(rate, seed, fold):
    """The weights after each epoch and the losses there, in float64; the order is jefficient's."""
    train, valid = FOLDS[fold]
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), fold)
    init_key, order_key = (jax.random.fold_in(key, i) for i in range(2))
    w = np.asarray(tiny.init(init_key), float)
    total, per_epoch = math.ceil(3 * len(train) / BATCH), math.ceil(len(train) / BATCH)
    losses = {}
    for t in range(total):
        rows = train[np.asarray(jf.shuffled_batch(order_key, t, len(train), BATCH))]
        residual = tiny.X[rows].astype(float) @ w - tiny.Y[rows]
        factor = 0.5 * (1 + math.cos(math.pi * t / total)) * 0.5 ** (t // per_epoch)
        w = w - rate * factor * 2 * residual @ tiny.X[rows].astype(float) / BATCH
        losses[t + 1] = np.mean((tiny.X[valid].astype(float) @ w - tiny.Y[valid]) ** 2)
    return w, losses


@pytest.mark.parametrize("fold", range(4))
@pytest.mark.parametrize("seed", range(2))
def test_a_fold_is_the_loop_by_hand_with_its_own_length(whole, seed, fold):
    w, losses = by_hand(RATES[1], seed, fold)
    trial = whole.dataset.isel(config=1, seed=seed, fold=fold)
    assert trial["step"].values.tolist() == STEPS[fold]
    assert trial["steps_taken"] == len(losses) == STEPS[fold][-1]
    expected = [losses[step] for step in STEPS[fold]]
    np.testing.assert_allclose(trial["valid_loss"], expected, rtol=2e-5)
    np.testing.assert_allclose(whole.params(1, seed, fold), w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(trial["epoch"], np.array(STEPS[fold]) * BATCH / SIZES[fold])


def test_three_epochs_are_three_passes_in_every_fold():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    the_task = tiny.task(data=(x, x @ np.array([1.0, -2.0, 0.5], np.float32)))
    space = jf.grid(learning_rate=[0.01])
    result = sweep(the_task, space, jf.sgd, batch_size=4, folds=TimeSeriesSplit(4))
    assert result.dataset["training_examples"].values.tolist() == [12, 24, 36, 48]
    assert result.dataset["steps_taken"].values.tolist() == [[[9, 18, 27, 36]]]
    assert result.dataset["epoch"].values.tolist() == [[1, 2, 3]]


def test_in_steps_folds_differ_in_their_epochs():
    result = sweep(epochs=None, steps=10, eval_every=5)
    data = result.dataset
    assert data["step"].dims == ("config", "evaluation")
    assert data["epoch"].dims == ("config", "fold", "evaluation")
    assert (data["steps_taken"] == 10).all()
    expected = np.outer(1 / np.array(SIZES), [5, 10]) * BATCH
    np.testing.assert_allclose(data["epoch"].values[0], expected)
    assert "over 10 steps" in result.plot.describe("curves")
    assert Reading(data).curve("valid_loss").when == ["step 5", "step 10"]


def test_a_trial_alone_has_the_bits_it_has_in_the_grid():
    with tiny.lanes(4):
        together = sweep().dataset
        alone = sweep(space=jf.grid(learning_rate=RATES[2:])).dataset
    for name in ("train_loss", "valid_loss", "steps_taken"):
        np.testing.assert_array_equal(alone[name].values[0], together[name].values[2])


@dataclasses.dataclass(frozen=True)
class Watching(jf.StopRule):
    """Stops what has a bad score after an epoch, and keeps what it was told."""

    told: list = dataclasses.field(default_factory=list, repr=False, compare=False)

    def init(self):
        return None

    def update(self, state, observations):
        self.told.extend(observations)
        return state, [seen.epoch >= 2 and seen.config == 0 for seen in observations]


@pytest.fixture(scope="module")
def stopped():
    """A sweep with a rule, and the rule."""
    rule = Watching()
    return sweep(stop=rule, seeds=2), rule


def test_a_rule_is_told_the_updates_and_epochs_of_the_largest_fold(whole, stopped):
    result, rule = stopped
    assert result.dataset["status"].values[:, 0, 0].tolist() == ["stopped", "finished", "finished"]
    scores = whole.dataset["valid_loss"].mean(["seed", "fold"]).values
    for config in range(3):
        told = [seen for seen in rule.told if seen.config == config]
        count = 2 if config == 0 else 3
        assert [seen.step for seen in told] == STEPS[3][:count]
        np.testing.assert_allclose([x.epoch for x in told], np.array(STEPS[3][:count]) * BATCH / 24)
        np.testing.assert_allclose([x.score for x in told], scores[config, :count], rtol=1e-5)
    taken = result.dataset["steps_taken"].values[0]
    assert all(taken[seed, fold] in STEPS[fold] for seed in range(2) for fold in range(4))


def test_what_was_stopped_is_replayed_as_far_as_it_got(stopped):
    result, _ = stopped
    again = result.replay(0, fold=1)
    trial = result.dataset.isel(config=[0], seed=[0], fold=[1])
    for name in ("train_loss", "valid_loss", "status", "steps_taken", "step", "epoch"):
        np.testing.assert_array_equal(again.dataset[name], trial[name], err_msg=name)


def test_a_trial_is_replayed_and_all_examples_make_as_many_epochs(whole):
    again = whole.replay(2, seed=1, fold=2)
    trial = whole.dataset.isel(config=[2], seed=[1], fold=[2]).drop_vars("seconds")
    xr.testing.assert_identical(again.dataset.drop_vars("seconds"), trial)
    np.testing.assert_array_equal(again.params, whole.params(2, 1, 2))
    assert whole.refit(1).dataset["steps_taken"].item() == 18  # 3 epochs of 30 / 5


def test_a_refit_stops_after_the_epochs_at_which_folds_were_best():
    result = sweep(optimizer=jf.sgd, space=jf.grid(learning_rate=[0.9]), select="best")
    best = result.dataset["valid_loss"].argmin("evaluation").values[0, 0]
    share = np.mean([STEPS[fold][best[fold]] / STEPS[fold][-1] for fold in range(4)])
    assert 0.3 < share < 0.95
    assert result.refit(0).dataset["steps_taken"].item() == round(18 * share)


def test_a_file_and_its_sum_have_the_epochs_of_every_fold(whole, tmp_path):
    loaded = jf.load(whole.save(tmp_path / "sweep.nc"))
    xr.testing.assert_identical(loaded.dataset, whole.dataset)
    assert loaded.table().equals(whole.table())

    changed = whole.dataset.assign_coords(step=whole.dataset["step"].isel(fold=3, drop=True))
    other = dataclasses.replace(whole, dataset=changed).save(tmp_path / "other.nc")
    space = jf.grid(learning_rate=RATES)
    with pytest.raises(jf.ArgumentError, match="the updates of every fold must be those of the"):
        jf.load(other, task=tiny.task(), optimizer=halving, space=space, folds=FOLDS)


def test_sweeps_join_whether_or_not_their_folds_differ():
    folds = [(np.arange(12), np.arange(12, 30)), (np.arange(11), np.arange(12, 30))]
    settings = {"optimizer": jf.sgd, "folds": folds, "epochs": 1, "batch_size": None}
    spaces = [jf.grid(batch_size=[size], learning_rate=[0.1]) for size in (4, 11)]
    alike, unlike = (sweep(space=space, **settings) for space in spaces)
    assert alike.dataset["step"].dims == ("config", "evaluation")  # 3 updates in both
    both = sweep(space=spaces[0] + spaces[1], **settings)
    joined = alike + unlike
    for name in ("step", "epoch", "steps_taken"):
        xr.testing.assert_equal(joined.dataset[name], both.dataset[name])
    assert by_fold(both.dataset, "step")[..., -1].tolist() == [[3, 3], [2, 1]]


@pytest.mark.parametrize("on_disk", [False, True])
def test_after_a_crash_the_same_call_goes_on(tmp_path, on_disk):
    class CrashError(Exception):
        pass

    def crash(progress):
        if progress.trials_done >= 5:
            raise CrashError

    (tmp_path / "data").mkdir()
    the_task = sources.task(tmp_path / "data") if on_disk else tiny.task()
    directory = tmp_path / "sweep"
    settings = {"stop": Watching(), "directory": directory, "snapshot_every": 0.0}
    with tiny.lanes(2):
        uninterrupted = sweep(the_task, stop=Watching())
        with pytest.raises(CrashError):
            sweep(the_task, progress=crash, **settings)
        running = jf.load(directory).dataset
        done = []
        result = sweep(the_task, progress=done.append, **settings)
    assert done[0].steps_done > 0
    assert done[-1].steps_done == done[-1].steps == result.dataset["steps_taken"].sum()
    assert result.dataset["status"].values[:, 0, 3].tolist() == ["stopped", "finished", "finished"]
    xr.testing.assert_equal(running["step"], result.dataset["step"])
    for name in ("train_loss", "valid_loss", "status", "steps_taken", "step", "epoch"):
        np.testing.assert_array_equal(result.dataset[name], uninterrupted.dataset[name])


def test_examples_on_a_disk_make_the_same_epochs(whole, tmp_path):
    streamed = sweep(sources.task(tmp_path), seeds=2)
    for name in ("step", "epoch", "steps_taken", "status"):
        np.testing.assert_array_equal(streamed.dataset[name], whole.dataset[name], err_msg=name)
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(streamed.dataset[name], whole.dataset[name], rtol=1e-4)


def test_a_plan_counts_the_updates_of_every_fold():
    plan = jf.plan(
        tiny.task(), jf.sgd, jf.grid(learning_rate=RATES), epochs=3, batch_size=BATCH, folds=FOLDS
    )
    assert plan.programs[0].steps == 3 * sum(steps[-1] for steps in STEPS)


def test_the_length_of_every_fold_is_checked_before_anything_runs():
    def picky(learning_rate, steps):
        if not isinstance(steps, jax.core.Tracer) and steps == 8:
            raise ValueError("not 8")
        return jf.sgd(learning_rate)

    with pytest.raises(ValueError, match="not 8") as caught:
        sweep(optimizer=picky)
    assert any("'steps': 8" in note for note in caught.value.__notes__)


def test_steps_per_epoch_is_traced_where_folds_differ():
    def padded(learning_rate, steps_per_epoch):
        return jf.sgd(learning_rate * jnp.ones(steps_per_epoch)[0])

    with pytest.raises(TypeError) as caught:
        sweep(optimizer=padded)
    assert any(
        "steps_per_epoch is a shape, or Python decides on it, and is traced. Where folds" in note
        for note in caught.value.__notes__
    )
    even = sweep(optimizer=padded, folds=FOLDS[1:2] * 2).dataset  # there it is a Python int
    assert even["step"].dims == even["epoch"].dims == ("config", "evaluation")
    assert even["step"].values[0].tolist() == STEPS[1]


def test_metrics_of_the_test_set_get_the_steps_of_their_fold():
    test = (tiny.X[:4], tiny.Y[:4])
    length = {"length": lambda params, batch, steps: steps.astype(jnp.float32)}
    result = sweep(tiny.task(test=test, metrics=length), optimizer=jf.sgd)
    assert result.test["test_length"].values.tolist() == [[steps[-1] for steps in STEPS]]
    at_end = result.dataset["valid_length"].isel(config=0, seed=0, evaluation=-1)
    assert at_end.values.tolist() == [steps[-1] for steps in STEPS]


def test_what_is_drawn_and_said_is_in_epochs():
    result = sweep(layers=True)
    assert result.dataset["step"].dims == ("config", "fold", "evaluation")
    assert result.grid()["step"].dims == ("learning_rate", "fold", "evaluation")
    assert "over 3.12 epochs" in result.plot.describe("curves")
    assert "at epoch 3.12 between" in result.plot.describe("layers")
    assert Reading(result.dataset).curve("valid_loss").when == ["epoch 1", "epoch 2.1", "epoch 3.1"]
