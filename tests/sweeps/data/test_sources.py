"""Examples read while lanes train: the numbers of those in memory, and what a source must be."""

from pathlib import Path

import chex
import grain
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
import processes
import pytest
import zarr
from sklearn.model_selection import KFold
from sweeps import sources, tiny

import jefficient as jf
from jefficient.sweeps.data import _readers, _source, _split, _stream
from jefficient.sweeps.scheduler import _compiler, _lockstep, _memory

CURVES = ("train_loss", "valid_loss", "status", "steps_taken", "diverged_at")


def sweep(the_task, the_space=None, optimizer=jf.sgd, **changes):
    space = sources.space() if the_space is None else the_space
    return tiny.sweep(the_task, space, optimizer, **{"steps": 24, "eval_every": 6, **changes})


def assert_close(result, expected, names=CURVES):
    for name in names:
        got, wanted = (x.dataset[name].values for x in (result, expected))
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(got, wanted, err_msg=name)


def assert_same(result, expected):
    """Bit for bit, timings aside, and the weights too."""
    for name, values in expected.dataset.drop_vars("seconds").variables.items():
        np.testing.assert_array_equal(result.dataset[name].values, values.values, err_msg=str(name))
    assert result.weights.keys() == expected.weights.keys()
    chex.assert_trees_all_equal(dict(result.weights), dict(expected.weights))


def size_of(params, batch):
    return jnp.abs(batch[0] @ params)


def fit(rows):
    return rows[:][0].mean(axis=0)


def apply(mean, batch):
    return batch[0] - mean, batch[1]


@pytest.mark.parametrize(
    ("about", "settings"),
    [
        ({"validation": 0.3}, {}),
        ({"validation": 0.3, "metrics": {"size": size_of}}, {"eval_batch_size": 4}),
        ({"validation": (tiny.X[:9], tiny.Y[:9])}, {"keep": "best", "seeds": 2}),
        (
            {"validation": 0.3},
            {"the_space": sources.space(3) * jf.grid(steps=[7, 24]), "steps": None},
        ),
        ({"validation": 0.3, "test": (tiny.X[:7], tiny.Y[:7])}, {"layers": True}),
        ({}, {"metric": "train_loss"}),
        ({}, {"folds": 4, "seeds": 2, "eval_batch_size": 3}),
        (
            {},
            {
                "folds": KFold(3),
                "the_space": sources.space(2) * jf.grid(batch_size=[4, 8]),
                "batch_size": None,
            },
        ),
    ],
)
def test_the_numbers_are_those_of_examples_in_memory(tmp_path, about, settings):
    """To rounding; those in memory are an optax loop's (test_sweep, test_alone)."""
    expected, got = (
        sweep(tiny.task(**about), **settings),
        sweep(sources.task(tmp_path, **about), **settings),
    )
    names = [
        name
        for name, x in expected.dataset.data_vars.items()
        if name != "seconds" and "evaluation" in x.dims
    ]
    assert_close(got, expected, [*names, "status", "steps_taken", "diverged_at"])
    chex.assert_trees_all_close(dict(got.weights), dict(expected.weights), rtol=2e-5, atol=1e-6)
    if expected.test is not None:
        np.testing.assert_allclose(got.test["test_loss"], expected.test["test_loss"], rtol=2e-5)


def test_what_is_fitted_sees_a_view_of_the_training_examples(tmp_path):
    """The mean over each fold's training examples, by views; its length is that of the fold."""
    lengths = []

    def fit_view(view):
        lengths.append(len(view))
        assert view[2][0].shape == (3,)
        assert view[np.array([1, 0])][1].shape == (2,)
        return fit(view)

    the_task = sources.task(tmp_path, prepare=(fit_view, apply))
    got = sweep(the_task, folds=3)
    assert lengths == [20, 20, 20]
    sweep(the_task, folds=3, seeds=2)
    assert lengths == [20, 20, 20]  # each is a pass over the data: what was found is kept
    sweep(the_task, folds=2)
    assert lengths[3:] == [15, 15]
    assert_close(got, sweep(tiny.task(prepare=(lambda data: data[0].mean(axis=0), apply)), folds=3))


def test_a_trial_is_an_optax_loop_over_the_same_examples(tmp_path):
    result = sweep(
        sources.task(tmp_path),
        jf.grid(learning_rate=[0.05]),
        optax.sgd,
        metric="train_loss",
        keep="last",
    )
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 0)
    params, losses = tiny.init(jax.random.fold_in(key, 0)), []
    for t in range(24):
        rows = jf.shuffled_batch(jax.random.fold_in(key, 1), t, 30, 8)
        value, g = jax.value_and_grad(tiny.loss)(params, (tiny.X[rows], tiny.Y[rows]))
        losses.append(float(value))
        params = params - np.float32(0.05) * g
    np.testing.assert_allclose(
        result.dataset["train_loss"].values.ravel(), np.reshape(losses, (4, 6)).mean(1), rtol=1e-5
    )
    np.testing.assert_allclose(result.params(), params, rtol=1e-5)


@pytest.mark.parametrize("kind", ["memmap", "h5py", "zarr", "items"])
def test_an_empty_index_of_a_view_gives_no_examples(tmp_path, kind):
    view = _split.Split(_source.Source.of("data", kinds(tmp_path)[kind]), np.arange(20))
    for none in (view[5:5], view[np.array([], int)]):
        assert [(x.shape, x.dtype) for x in none] == [((0, 3), np.float32), ((0,), np.float32)]


def model_state_task(data):
    def init(key):
        return jax.random.normal(key, (3,)), jnp.zeros(())

    def loss(params, count, batch, key):
        noise = 0.0 if key is None else 0.01 * jax.random.normal(key)
        return jnp.mean((batch[0] @ params + noise - batch[1]) ** 2), count + np.float32(
            key is not None
        )

    return jf.Task(init=init, loss=loss, data=data, validation=0.3, model_state=True)


def test_model_state_and_noise_are_as_in_memory(tmp_path):
    data = tuple(sources.stored(tmp_path / name, x) for name, x in (("x", tiny.X), ("y", tiny.Y)))
    got, expected = (sweep(model_state_task(x), seeds=2) for x in (data, (tiny.X, tiny.Y)))
    assert_close(got, expected)
    assert float(got.params()[1]) == 24.0


def kinds(folder):
    """The same examples in everything that holds examples."""
    x, y = tiny.X, tiny.Y
    with h5py.File(folder / "rows.h5", "w") as file:
        file["x"], file["y"] = x, y
    opened = h5py.File(folder / "rows.h5", "r")
    group = zarr.open_group(str(folder / "rows.zarr"), mode="w")
    for name, array in (("x", x), ("y", y)):
        group.create_array(name, data=array, chunks=(7, *array.shape[1:]))
    longer = sources.stored(folder / "longer", np.concatenate([x[:4] + 1, x, x[:2]]))
    return {
        "memmap": (sources.stored(folder / "x", x), sources.stored(folder / "y", y)),
        "slice of a memmap": (longer[4:34], y),
        "h5py": (opened["x"], opened["y"]),
        "zarr": (group["x"], group["y"]),
        "index arrays": sources.Counting(x, y),
        "items": sources.Items(x, y),
        "grain": grain.MapDataset.source(list(zip(x, y, strict=True))),
        "a tree of them": (sources.Counting(x), y),
    }


@pytest.mark.parametrize(("gap", "span"), [(1, 1), (40, 10**6), (10**6, 10**6), (10**6, 64)])
def test_examples_of_a_file_are_right_however_reads_are_split(monkeypatch, tmp_path, gap, span):
    monkeypatch.setattr(_readers, "_GAP_BYTES", gap)
    monkeypatch.setattr(_readers, "_SPAN_BYTES", span)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"] = tiny.X
        rows = np.array([3, 29, 4, 4, 0, 17, 5, 28])
        np.testing.assert_array_equal(_source.Source.of("data", file["x"]).read(rows), tiny.X[rows])


KINDS = ("slice of a memmap", "h5py", "zarr", "index arrays", "items", "grain")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_the_same_bits(tmp_path, kind):
    found = kinds(tmp_path)
    assert_same(
        sweep(tiny.task(data=found[kind], validation=0.3)),
        sweep(tiny.task(data=found["memmap"], validation=0.3)),
    )


def test_each_batch_is_read_once_for_all_lanes_ahead_of_them():
    """By two programs of two blocks each; validation examples once at every evaluation."""
    source = sources.Counting(tiny.X, tiny.Y)
    the_task = tiny.task(data=source, validation=0.3)
    source.reads.clear()
    with tiny.lanes(4, blocks=2):
        sweep(
            the_task,
            sources.space(8) * jf.grid(nesterov=[False, True]),
            lambda learning_rate, nesterov: jf.sgd(learning_rate, momentum=0.9, nesterov=nesterov),
            seeds=2,
        )
    sample = 30  # for the digest, all of them
    assert len(source.rows_read) == sample + 2 * (24 * 8 + 4 * 9)
    assert (
        len(source.threads) == 2
    )  # the caller's, for the digest and at first, and that which reads ahead


def test_what_does_not_fit_in_step_reads_anew_and_gives_the_same_bits():
    def run(most):
        source = sources.Counting(tiny.X, tiny.Y)
        the_task = tiny.task(data=source, validation=0.3)
        source.reads.clear()
        state = 32  # bytes of a lane's; a quarter of the memory holds six of each
        with tiny.lanes(2, blocks=1, host_memory=most * 4 * 6 * 2 * state):
            return sweep(the_task, sources.space(8)), len(source.rows_read) - 30

    (whole, once), (parts, twice) = run(4), run(2)
    assert twice == 2 * once
    assert_same(parts, whole)


def test_evaluation_batches_are_equal_and_of_a_size_that_a_model_can_take():
    """Small examples are not read by the million; one size for all folds compiles once."""
    narrow = _source.Source.of("data", np.zeros((1_000_000, 1), np.float32).view(np.memmap))
    assert (
        _stream.evaluation_batch_size(1_000_000, narrow, None) == 4_082
    )  # 245 batches, the last one short by 90
    assert _stream.evaluation_batch_size(30, narrow, None) == 30
    assert _stream.evaluation_batch_size(30, narrow, 8) == 8
    assert _stream.evaluation_batch_size(31, narrow, 16) == 16
    wide = _source.Source.of("data", np.zeros((10, 2**20), np.float32).view(np.memmap))
    assert _stream.evaluation_batch_size(10, wide, None) == 4


def test_folds_of_unequal_length_are_compiled_for_once(tmp_path):
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(size_of, n=5)  # two of them try what it is
    folds = [(np.arange(10, 30), np.arange(n)) for n in (3, 4, 5, 6, 7, 8, 9, 10)]
    expected = sweep(tiny.task(metrics={"size": size_of}), folds=folds)
    got = sweep(sources.task(tmp_path, metrics={"size": counted}), folds=folds)
    assert_close(got, expected, ("valid_loss", "valid_size"))


def test_test_examples_are_read_once_for_all_trials_of_the_best_configuration():
    held, rows = (tiny.X[:7], tiny.Y[:7]), sources.Counting(tiny.X[:7], tiny.Y[:7])
    settings = {"metric": "train_loss", "seeds": 3, "eval_batch_size": 4}
    the_task = tiny.task(data=sources.Counting(tiny.X, tiny.Y), test=rows)
    rows.reads.clear()
    got, expected = sweep(the_task, **settings), sweep(tiny.task(test=held), **settings)
    np.testing.assert_array_equal(rows.rows_read, np.arange(7))
    np.testing.assert_allclose(got.test["test_loss"], expected.test["test_loss"], rtol=2e-5)


def test_where_jax_has_no_cpu_the_order_is_the_same(monkeypatch, tmp_path):
    expected = sweep(sources.task(tmp_path, validation=0.3))
    real = jax.local_devices

    def without(*args, backend=None, **kwargs):
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return real(*args, backend=backend, **kwargs)

    monkeypatch.setattr(jax, "local_devices", without)
    assert_same(sweep(sources.task(tmp_path, validation=0.3)), expected)


def test_errors_of_reading_and_fitting_say_where(tmp_path):
    class Breaking(sources.Counting):
        def __getitem__(self, rows):
            if len(self.reads) > 3:
                raise OSError("the disk is gone")
            return super().__getitem__(rows)

    with pytest.raises(OSError, match="the disk is gone") as broken:
        sweep(tiny.task(data=Breaking(tiny.X, tiny.Y)), metric="train_loss")
    assert "examples of data were read" in broken.value.__notes__[0]
    with pytest.raises(AttributeError) as confused:
        sweep(
            sources.task(tmp_path, prepare=(lambda rows: rows.mean(), apply)), metric="train_loss"
        )
    assert "gets a view of examples that are not in memory" in confused.value.__notes__[0]


@pytest.mark.parametrize("read_bytes", [1, 3 * 8 * 16, 5 * 8 * 16])
def test_how_much_is_read_at_a_time_changes_no_bits(monkeypatch, tmp_path, read_bytes):
    """One batch at a time, three, and five that do not divide the evaluation's six."""
    expected = sweep(sources.task(tmp_path, validation=0.3), seeds=2, eval_batch_size=9)
    monkeypatch.setattr(_stream, "READ_BYTES", read_bytes)
    assert_same(sweep(sources.task(tmp_path, validation=0.3), seeds=2, eval_batch_size=9), expected)


def test_a_trial_is_bitwise_the_same_beside_whomever(tmp_path):
    """In another order, in other blocks, beside one that diverges."""
    values = np.geomspace(1e-3, 0.3, 6).tolist()
    the_task = sources.task(tmp_path)
    with tiny.lanes(2):
        alone = sweep(the_task, jf.grid(learning_rate=values), folds=2)
        beside = sweep(the_task, jf.grid(learning_rate=[1e30, *reversed(values), 1e20]), folds=2)
    assert (beside.dataset["status"].values[[0, 7]] == "diverged").all()
    for name in CURVES:
        np.testing.assert_array_equal(
            beside.dataset[name].values[6:0:-1], alone.dataset[name].values, err_msg=name
        )


def test_when_all_have_diverged_nothing_more_is_read(monkeypatch):
    monkeypatch.setattr(_stream, "READ_BYTES", 1)
    source = sources.Counting(tiny.X, tiny.Y)
    the_task = tiny.task(data=source)
    source.reads.clear()
    result = sweep(
        the_task,
        jf.grid(learning_rate=[1e30, 1e25]),
        metric="train_loss",
        steps=1000,
        eval_every=500,
    )
    assert (result.dataset["status"] == "diverged").all()
    assert len(source.rows_read) < 30 + 8 * 20


def test_blocks_in_which_nobody_is_due_are_not_looked_at(monkeypatch, tmp_path):
    """Short trials in one block, long ones in the other: each is evaluated at its own steps."""
    real = _lockstep.LockstepScheduler._evaluate_lanes
    steps = []

    def noted(self, block, due, *rest):
        steps.append((block.trials.tolist(), int(block.until[due][0])))
        return real(self, block, due, *rest)

    monkeypatch.setattr(_lockstep.LockstepScheduler, "_evaluate_lanes", noted)
    space = jf.grid(steps=[9, 20]) * sources.space(2)
    with tiny.lanes(2, blocks=1):
        sweep(sources.task(tmp_path, validation=0.3), space, steps=None, eval_every=10)
    assert sorted(steps) == [([0, 1], 9), ([2, 3], 10), ([2, 3], 20)]


HALVING = {"stop": jf.successive_halving(eta=2, min_steps=6), "seeds": 2, "keep": "best"}


def test_stopped_configurations_make_room_and_the_others_keep_their_bits(tmp_path):
    """Stopped in all seeds at once; the others move into fewer blocks and keep their bits."""
    with tiny.lanes(2, blocks=1):
        pruned = sweep(sources.task(tmp_path, validation=0.3), sources.space(8), **HALVING)
        whole = sweep(sources.task(tmp_path, validation=0.3), sources.space(8), seeds=2)
    status = pruned.dataset["status"].values[:, :, 0]
    assert (status[:, 0] == status[:, 1]).all()
    assert 4 <= (status[:, 0] == "stopped").sum() < 8
    for name in ("train_loss", "valid_loss"):
        seen = np.isfinite(pruned.dataset[name].values)
        np.testing.assert_array_equal(
            pruned.dataset[name].values[seen], whole.dataset[name].values[seen]
        )
    assert pruned.dataset.attrs["utilization"] > 0.9
    kept = pruned.weights[pruned.best().config, 1, 0]
    np.testing.assert_array_equal(pruned.replay(pruned.best().config, 1, 0).params, kept)


def crashed(the_task, directory, rounds, **settings):
    crash = tiny.crash_after(rounds)
    with pytest.raises(tiny.CrashError):
        sweep(the_task, directory=directory, snapshot_every=0.0, progress=crash, **settings)


@pytest.mark.parametrize("rounds", [1, 2, 7])
@pytest.mark.parametrize(
    "settings", [{"seeds": 3}, {**HALVING, "the_space": sources.space(8)}], ids=["whole", "pruned"]
)
def test_after_a_crash_it_goes_on_bit_for_bit(monkeypatch, tmp_path, rounds, settings):
    """Between two evaluations as well: a chunk has four batches of the six between two of them."""
    monkeypatch.setattr(_stream, "READ_BYTES", 4 * 8 * 16 * (2 if "stop" in settings else 1))
    with tiny.lanes(2, blocks=1):
        the_task = sources.task(tmp_path, validation=0.3)
        crashed(the_task, tmp_path / "sweep", rounds, **settings)
        done = []
        got = sweep(the_task, directory=tmp_path / "sweep", progress=done.append, **settings)
        assert_same(got, sweep(the_task, **settings))
    assert done[0].steps_done > 0 or rounds < 3


def test_killed_it_goes_on_bit_for_bit(tmp_path):
    script = Path(__file__).with_name("killed_reader.py")

    def run(directory, output, rounds):
        path = {"PYTHONPATH": str(script.parents[2])}
        return processes.run(script, tmp_path, directory, tmp_path / output, rounds, env=path)

    assert run("whole", "expected.nc", -1).returncode == 0
    assert run("killed", "unused", 4).returncode == -9
    last = run("killed", "got.nc", -1)
    assert last.returncode == 0, last.stderr
    assert_same(jf.load(tmp_path / "got.nc"), jf.load(tmp_path / "expected.nc"))


def test_other_examples_are_refused_by_a_directory(tmp_path):
    sweep(sources.task(tmp_path), metric="train_loss", directory=tmp_path / "sweep")
    other = tiny.task(data=(sources.stored(tmp_path / "other", tiny.X + 1), tiny.Y))
    with pytest.raises(jf.JefficientError, match=r"the data .* are others"):
        sweep(other, metric="train_loss", directory=tmp_path / "sweep")


def test_out_of_memory_goes_on_in_narrower_blocks(monkeypatch, tmp_path):
    real = _compiler.Compiler.__call__

    def small(self, queue, device):
        if queue.width > 2:
            raise _memory.TooLargeError("four lanes do not fit")
        return real(self, queue, device)

    monkeypatch.setattr(_compiler.Compiler, "__call__", small)
    with (
        tiny.lanes(4),
        pytest.warns(
            jf.JefficientWarning, match="out of memory with 4 lanes in a block. Going on with 2"
        ),
    ):
        got = sweep(sources.task(tmp_path, validation=0.3), sources.space(8), seeds=2)
    monkeypatch.undo()
    with tiny.lanes(2):
        assert_same(got, sweep(sources.task(tmp_path, validation=0.3), sources.space(8), seeds=2))


def test_out_of_memory_while_training_too(monkeypatch, tmp_path):
    real = _lockstep.LockstepScheduler._train
    calls = []

    def failing(self, block, chunk):
        calls.append(block.width)
        if block.width > 2 and len(calls) > 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        return real(self, block, chunk)

    monkeypatch.setattr(_lockstep.LockstepScheduler, "_train", failing)
    with tiny.lanes(4), pytest.warns(jf.JefficientWarning, match="out of memory with 4 lanes"):
        got = sweep(sources.task(tmp_path, validation=0.3), sources.space(8), seeds=2)
    with tiny.lanes(2):
        assert_same(got, sweep(sources.task(tmp_path, validation=0.3), sources.space(8), seeds=2))


def test_replay_and_refit_read_examples(tmp_path):
    result = sweep(sources.task(tmp_path, validation=0.3), seeds=2)
    best = result.best().config
    np.testing.assert_array_equal(result.replay(best, 1, 0).params, result.params(best, 1, 0))
    expected = sweep(tiny.task(validation=0.3), seeds=2).refit()
    np.testing.assert_allclose(result.refit().params, expected.params, rtol=1e-5)
    given = sources.task(
        tmp_path, validation=(sources.stored(tmp_path / "vx", tiny.X[:9]), tiny.Y[:9])
    )
    in_memory = tiny.task(validation=(tiny.X[:9], tiny.Y[:9]))
    np.testing.assert_allclose(
        sweep(given).refit().params, sweep(in_memory).refit().params, rtol=1e-5
    )


def test_a_plan_says_what_is_at_hand(tmp_path):
    plan = jf.plan(
        sources.task(tmp_path, validation=0.3), jf.sgd, sources.space(), steps=24, batch_size=8
    )
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert plan.data_bytes == 2 * 3 * 8 * 16  # two chunks of the three batches of an epoch
    assert plan.in_step is not None
    assert_same(
        sweep(sources.task(tmp_path, validation=0.3), plan=plan),
        sweep(sources.task(tmp_path, validation=0.3)),
    )


def test_double_precision_may_be_a_context(tmp_path):
    """Of the caller's thread: blocks are tried out in others."""
    with jax.enable_x64(True):
        the_task = jf.Task(
            init=tiny.init, loss=mean_square, data=sources.stored(tmp_path / "x", np.ones((30, 3)))
        )
        assert (
            jf.plan(
                the_task, jf.sgd, sources.space(), metric="train_loss", steps=6, batch_size=4
            ).seconds
            > 0
        )
        result = sweep(the_task, metric="train_loss")
    assert result.params().dtype == np.float64


def test_a_plan_counts_the_cohorts_of_each_batch_size(tmp_path):
    space = sources.space() * jf.grid(batch_size=[4, 8])
    with tiny.lanes(8, blocks=2):
        plan = jf.plan(
            sources.task(tmp_path, validation=0.3), jf.sgd, space, steps=24, eval_every=3
        )
    assert plan.data_bytes == 2 * 2 * 3 * 8 * 16  # two chunks of three batches for either


def test_a_plan_counts_the_examples_in_memory(tmp_path):
    """The larger of the chunk that lanes train on and the evaluation batch."""
    x = sources.stored(tmp_path / "many", np.zeros((100_000, 3), np.float32))
    the_task = jf.Task(
        init=tiny.init, loss=lambda w, batch: jnp.mean((batch @ w) ** 2), data=x, validation=0.5
    )
    settings = {"steps": 400, "eval_every": 400, "batch_size": 64}
    few, many = (
        jf.plan(the_task, jf.sgd, sources.space(), eval_batch_size=n, **settings)
        for n in (5_000, 50_000)
    )
    assert few.programs[0].block_bytes > 400 * 64 * 3 * 4
    assert many.programs[0].block_bytes > 50_000 * 3 * 4


def test_memory_stays_flat_on_a_file_larger_than_what_there_is(tmp_path):
    """The limit of the process is less than the file, which as an array in memory does not fit."""
    script = Path(__file__).with_name("limited_reader.py")

    def run(where):
        return processes.run(
            script,
            tmp_path / "rows",
            where,
            env={"PYTHONPATH": str(script.parents[2])},
        )

    done = run("file")
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout
    assert "MemoryError" in run("memory").stderr


def test_parts_open_the_file_themselves(tmp_path):
    """What goes to another process names the files; a slice of one is that slice."""
    cloudpickle = pytest.importorskip("cloudpickle")
    big = np.arange(300_000, dtype=np.float32).reshape(100_000, 3)
    mapped = sources.stored(tmp_path / "big", big)
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file["y"] = big[:, 0]
    data = {"x": mapped[10:50_010], "y": h5py.File(tmp_path / "big.h5", "r")["y"]}
    with pytest.raises(jf.ArgumentError, match=r"same number of examples, got \{.*50000.*100000"):
        tiny.task(data=data)
    the_task = tiny.task(data={**data, "x": mapped})
    packed = cloudpickle.dumps(the_task.data)
    assert len(packed) < 20_000
    rows = np.array([7, 99_999, 7])
    chex.assert_trees_all_equal(
        cloudpickle.loads(packed).read(rows), {"x": big[rows], "y": big[rows, 0]}
    )
    part = tiny.task(data=mapped[10:50_010]).data
    chex.assert_trees_all_equal(
        cloudpickle.loads(cloudpickle.dumps(part)).read(rows[:1]), big[rows[:1] + 10]
    )


def mean_square(params, batch):
    return jnp.mean(batch**2) + jnp.sum(params**2)


class Strange:
    """A source with any examples."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[int(row)]


def test_more_examples_than_int32_can_count_are_refused():
    class Many(Strange):
        def __len__(self):
            return 2**31

    with pytest.raises(
        jf.ArgumentError, match=r"data must have fewer than 2\*\*31 examples, got 2,147,483,648"
    ):
        _source.Source.of("data", Many(np.ones(1)))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (Strange([]), jf.ArgumentError, "data must have at least one example, got none"),
        (Strange(["a", "b"]), jf.ArgumentTypeError, "data must hold numbers, got dtype <U1"),
        (
            {"x": Strange([np.ones(2)] * 3), "y": np.ones(2)},
            jf.ArgumentError,
            r"same number of examples, got \{.*'x'.*3",
        ),
        (
            Strange([np.ones(2), np.ones(3), np.ones(2)]),
            jf.ArgumentError,
            "all examples of data must be alike, got unlike ones among",
        ),
    ],
)
def test_what_is_no_source_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        sweep(
            jf.Task(init=tiny.init, loss=mean_square, data=data), metric="train_loss", batch_size=1
        )


def test_a_group_of_a_file_is_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"] = tiny.X
    with pytest.raises(
        jf.ArgumentTypeError,
        match="data must be arrays, or return an example for its index, got File, whose example 0",
    ):
        tiny.task(data=h5py.File(tmp_path / "rows.h5", "r"))


def test_whole_numbers_that_do_not_fit_are_refused_where_they_are_read(tmp_path):
    rows = np.zeros(30, np.int64)
    rows[17] = 2**40
    the_task = jf.Task(
        init=lambda key: jnp.zeros(()),
        loss=lambda w, batch: (w - batch.mean()) ** 2,
        data=sources.stored(tmp_path / "r", rows),
    )
    with pytest.raises(
        jf.ArgumentError, match="data must fit int32, got values from 0 to 1099511627776"
    ):
        sweep(the_task, metric="train_loss")


@pytest.mark.parametrize(("first", "later"), [(0, 0.5), (False, 2), (1.0, 1j)])
def test_examples_that_hold_more_than_the_first_one_are_refused(first, later):
    source = _source.Source.of("data", Strange([first] * 3 + [later]))
    with pytest.raises(
        jf.ArgumentTypeError, match=r"examples of data must be .*, as the first one is, got"
    ):
        source.read(np.arange(4))


@pytest.mark.parametrize("dtype", [">f4", ">i2", "<f8", "bfloat16", "bool"])
def test_examples_of_any_byte_order_are_as_in_memory(tmp_path, dtype):
    """Files of other machines: FITS, IDX."""
    x = (3 * tiny.X).astype(jnp.bfloat16 if dtype == "bfloat16" else dtype)
    whole, mapped = (
        jf.Task(init=tiny.init, loss=mean_square, data=d)
        for d in (x, sources.stored(tmp_path / "x", x))
    )
    assert mapped.example == whole.example
    rows = np.array([3, 4])
    np.testing.assert_array_equal(mapped.data.read(rows), np.asarray(whole.data)[rows], strict=True)


def test_whole_numbers_are_examples_of_a_source_of_fractions():
    rows = Strange([0.5, *range(29)])
    read = _source.Source.of("data", rows).read(np.array([3, 4]))
    np.testing.assert_array_equal(read, np.array([2, 3], np.float32), strict=True)


def test_examples_of_validation_and_test_must_be_alike(tmp_path):
    with pytest.raises(
        jf.ArgumentError, match="the examples of validation must be like those of data"
    ):
        sources.task(tmp_path, validation=(tiny.X[:, :2], tiny.Y))
