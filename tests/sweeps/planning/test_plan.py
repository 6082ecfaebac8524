"""The layout of a sweep: rules, predictions, plans that are followed, running out of memory."""

import dataclasses
import json
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from sweeps import small, tiny

import jefficient as jf
from jefficient._core.devices import Machine
from jefficient.sweeps.planning import _plan, _timing, _widths, prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.scheduler import _compiler

CPU = Machine("cpu", "cpu", 1, 2, math.inf, 2**34, 8, 256)
GPU = Machine("gpu", "a GPU", 1, 16, 2**36, 2**37, 1024, 1024)


def test_width_follows_from_kind_state_and_convolutions():
    def widest(platform, state_bytes, has_convolution=False, block_memory=float("inf")):
        machine = CPU if platform == "cpu" else GPU
        return _widths.widest_block(machine, state_bytes, has_convolution, block_memory)

    assert widest("cpu", 30_000) == 8
    assert widest("cpu", 500_000) == 4
    assert (
        widest("cpu", 1_400_000)
        == widest("cpu", 10**9)
        == widest("cpu", 30_000, has_convolution=True)
        == 1
    )
    assert widest("gpu", 30_000) == widest("gpu", 30_000, has_convolution=True) == 1024
    assert widest("gpu", 10**6, block_memory=6 * 10**6 * 300) == 256  # a power of two
    assert widest("cpu", 0) == 8


@pytest.mark.parametrize(
    ("trials", "side_by_side", "widest", "width"),
    [(1, 2, 8, 1), (16, 2, 8, 8), (17, 2, 8, 5), (99, 1, 8, 8)],
)
def test_blocks_are_spread_evenly(trials, side_by_side, widest, width):
    assert _widths.even_width(trials, side_by_side, widest) == width


def arguments(n=20, **changes):
    settings = {"steps": 40, "batch_size": 8, "metric": "train_loss", "keep_configs": 99, **changes}
    return (small.task(), jf.adam, small.space(n)), settings


def test_a_plan_tells_what_will_be_and_is_followed():
    given, settings = arguments(seeds=2)
    plan = jf.plan(*given, **settings)
    [program] = plan.programs
    assert (program.configs, program.trials, program.steps) == (20, 40, 1600)
    assert json.loads(program.static) == {"batch_size": "8"}
    assert 0 < plan.seconds < 60
    assert plan.compile_seconds > 0
    assert plan.data_bytes == 40 * 2 * 4
    assert plan.bytes == plan.data_bytes + plan.blocks * program.block_bytes
    assert "1 program, 40 trials, 1,600 lane-steps" in str(plan)
    assert _plan.Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan

    narrow = dataclasses.replace(plan, programs=(dataclasses.replace(program, width=3),))
    result = jf.sweep(*given, **settings, plan=narrow, progress=False)
    assert set(result.dataset["block_width"].values) == {3}
    default = jf.sweep(*given, **settings, progress=False)
    assert set(default.dataset["block_width"].values) == {program.width}


def test_memory_is_linear_in_the_lanes_and_counts_the_state_of_each():
    """Eight lanes of 4 MB of parameters with two moments need a multiple of what one needs."""

    def init(key):
        return jax.random.normal(key, (1_000_000,))

    task = jf.Task(init, lambda w, batch: ((w[:1] * batch["x"]) ** 2).mean(), small.DATA)
    given = {"steps": 2, "batch_size": 8, "metric": "train_loss"}
    plans = [
        jf.plan(task, jf.adam, jf.grid(learning_rate=np.linspace(0.1, 0.2, n)), **given)
        for n in (1, 16)
    ]
    assert plans[0].programs[0].width == 1  # of a state of 12 MB
    one = plans[0].programs[0].block_bytes
    assert 12e6 < one < 60e6
    assert plans[1].programs[0].block_bytes == pytest.approx(one, rel=0.01)


def test_measured_widths_are_some_that_were_tried():
    given, settings = arguments(n=2)
    plan = jf.plan(*given, measure=True, **settings)
    assert plan.programs[0].width in (1, 2)
    assert plan.programs[0].seconds is not None
    result = jf.sweep(*given, **settings, plan="measure", progress=False)
    assert set(result.dataset["block_width"].values) <= {1, 2}


def test_plans_that_cannot_be_followed():
    given, settings = arguments(n=2)
    plan = _plan.Plan("cpu", 99, 1, (), 0)
    with pytest.raises(
        jf.ArgumentError, match=r"plan must be for the devices that are here, 1 × cpu, got 99 × cpu"
    ):
        jf.sweep(*given, **settings, plan=plan)
    with pytest.raises(
        jf.ArgumentError, match=r"plan must name every program of the sweep, got none for"
    ):
        jf.sweep(*given, **settings, plan=dataclasses.replace(plan, devices=1))
    with pytest.raises(
        jf.ArgumentTypeError,
        match=r"plan must come from jf.plan, or be 'measure' or None, got plan=3",
    ):
        jf.sweep(*given, **settings, plan=3)


def test_out_of_memory_halves_the_width_and_starts_again():
    """At the third segment: what has finished stays, the rest is what half the width gives."""
    given, settings = arguments(n=32, eval_every=10)
    calls = []
    compile_for = _compiler.Compiler.__call__

    def failing(self, queue, device):
        segment, lanes = compile_for(self, queue, device)

        def limited(*arguments):
            calls.append(queue.width)
            if queue.width == 8 and len(calls) > 10:
                raise jax.errors.JaxRuntimeError(
                    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate"
                )
            return segment(*arguments)

        return limited, lanes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_compiler.Compiler, "__call__", failing)
        with pytest.warns(
            jf.JefficientWarning,
            match=r"out of memory with 8 lanes .* on with 4; \d+ configurations",
        ):
            halved = jf.sweep(*given, **settings, progress=False)
    widths = halved.dataset["block_width"].values
    assert set(widths) == {8, 4}
    assert (halved.dataset["status"] == "finished").all()
    plan = jf.plan(*given, **settings)
    narrow = dataclasses.replace(plan, programs=(dataclasses.replace(plan.programs[0], width=4),))
    expected = {
        8: jf.sweep(*given, **settings, progress=False),
        4: jf.sweep(*given, **settings, plan=narrow, progress=False),
    }
    for config, width in enumerate(widths):
        for name in ("train_loss", "steps_taken"):
            np.testing.assert_array_equal(
                halved.dataset[name][config], expected[width].dataset[name][config]
            )
        chex.assert_trees_all_equal(halved.params(config), expected[width].params(config))


def test_a_block_that_is_predicted_not_to_fit_is_not_begun():
    given, settings = arguments(n=32)
    fits = jf.plan(*given, **settings).bytes - 1
    with (
        tiny.machine(device_memory=fits),
        pytest.warns(jf.JefficientWarning, match="out of memory with 8 lanes"),
    ):
        result = jf.sweep(*given, **settings, progress=False)
    assert set(result.dataset["block_width"].values) == {4}
    with (
        tiny.machine(device_memory=10),
        pytest.warns(jf.JefficientWarning),
        pytest.raises(jf.JefficientError, match=r"bytes must fit .*, got 10"),
    ):
        jf.sweep(*given, **settings, progress=False)


def test_a_program_that_does_not_fit_has_no_prediction():
    given, settings = arguments(n=4)
    with tiny.machine(device_memory=10):
        plan = jf.plan(*given, **settings)
    assert (
        plan.programs[0].block_bytes
        is plan.programs[0].seconds
        is plan.bytes
        is plan.seconds
        is None
    )
    with pytest.raises(
        jf.ArgumentTypeError, match=r"settings must be among .*, got \['directory'\]"
    ):
        jf.plan(*given, **settings, directory="x")


def planned(space, task=None, trials=None, parts=1, **changes):
    """The width of the only program, with two blocks side by side."""
    settings = Settings(**{"steps": 4, "metric": "train_loss", "batch_size": 8, **changes})
    spec = prepare(task or small.task(), jf.adam, space, settings)
    [program] = _plan.plan_of(spec, CPU, trials, parts).programs
    return program.width


def test_early_stopping_needs_lanes_for_all_trials_of_a_configuration():
    assert planned(small.space(2), seeds=20) == 7  # 40 trials, in three rounds of two blocks
    assert planned(small.space(2), seeds=20, stop=jf.median_stop()) == 10


def test_very_many_trials_of_a_small_model_get_wider_blocks():
    many = small.space(1000)
    assert planned(small.space(60)) == 8
    assert planned(many) == 125  # four rounds of two blocks
    assert planned(many, stop=jf.median_stop()) == 125
    assert planned(small.space(3000)) == 250  # six rounds of two, none wider than 256


def test_blocks_stay_narrow_where_they_would_not_be_filled():
    many = small.space(1000)
    assert planned(many, parts=4) == 30  # 250 trials a piece: four rounds of two blocks
    assert planned(many, parts=64) == 8
    assert planned(many, trials=16) == 8  # a round of a search
    of_two_lengths = jf.grid(learning_rate=np.geomspace(1e-4, 1.0, 500), steps=[4, 40])
    assert planned(of_two_lengths, steps=None) == 8


@pytest.mark.parametrize(
    "where", ["weights", "batch", "held-out rows", "activations of held-out rows"]
)
def test_blocks_stay_narrow_where_a_lane_works_on_much(where):
    """200 kB of it: five of them are 1 MiB."""
    n = 50_000 if where == "held-out rows" else 500
    held_out = {"x": np.ones(n, np.float32), "y": np.ones(n, np.float32)}
    wide = jnp.ones((1, 100))

    def loss(params, batch, key):
        x = (batch["x"][:, None] @ wide).mean(1) if where.startswith("activations") else batch["x"]
        return ((small.predict(params, x) - batch["y"]) ** 2).mean()

    task = small.task(loss=loss)
    changes = {}
    if where == "weights":
        task = small.task(
            init=lambda key: small.init(key) | {"more": jnp.ones(17_000)}
        )  # and Adam's two of them
    elif where == "batch":
        x = np.ones(50_000, np.float32)
        task, changes = small.task(loss=loss, data={"x": x, "y": x}), {"batch_size": 50_000}
    else:
        task = small.task(loss=loss, validation=held_out)
    assert planned(small.space(1000), task, **changes) == 8


def test_what_is_read_while_training_stays_in_narrow_blocks():
    """Each lane has a copy of the batch."""

    class Rows:
        def __len__(self):
            return 40

        def __getitem__(self, rows):
            return {name: x[rows] for name, x in small.DATA.items()}

    assert planned(small.space(1000), small.task(data=Rows())) == 8


def test_one_program_for_each_static_combination(monkeypatch):
    """However many configurations share it: counted where jax compiles."""
    compiled = []
    lower = jax.stages.Lowered.compile
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self, **o: compiled.append(1) or lower(self, **o)
    )
    space = jf.grid(learning_rate=np.geomspace(1e-3, 0.1, 40), batch_size=[4, 8])
    small.sweep(the_space=space, batch_size=None)
    assert len(compiled) == 3  # one takes the weights of a lane, whatever it was trained for


def test_settings_of_the_machine(tmp_path):
    cache = (
        jax.config.jax_compilation_cache_dir,
        jax.config.jax_persistent_cache_min_compile_time_secs,
    )
    try:
        jf.use_compilation_cache(tmp_path / "cache")
        jax.jit(lambda x: jnp.sin(x) * 3)(jnp.ones(3)).block_until_ready()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir())
    finally:
        jax.config.update("jax_compilation_cache_dir", cache[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", cache[1])
        compilation_cache.reset_cache()
    with pytest.raises(jf.JefficientError, match="must be called before jax is first used"):
        jf.use_cpu_devices(2)
    with pytest.raises(jf.ArgumentTypeError, match=r"count must be a whole number, got count=2.5"):
        jf.use_cpu_devices(2.5)


def test_many_programs_are_said_before_one_is_compiled():
    """By the static values that make them so many."""
    space = jf.grid(scale=jf.static([float(i) for i in range(17)])) * jf.grid(batch_size=[4, 8])
    rates = jf.grid(learning_rate=[0.1, 0.2])

    def loss(params, batch, scale):
        return scale * tiny.loss(params, batch)

    given = tiny.task(loss=loss, validation=0.2), jf.sgd
    with pytest.warns(
        jf.JefficientWarning, match="34 combinations .*: 2 of batch_size, 17 of scale"
    ):
        prepare(*given, space * rates, Settings(steps=2))
    prepare(*given, space.subset(range(30)) * rates, Settings(steps=2))


def test_a_plan_of_many_programs_tries_some_of_them(monkeypatch):
    monkeypatch.setattr(_timing, "MANY_PROGRAMS", 12)

    def loss(params, batch, scale):
        return scale * tiny.loss(params, batch)

    space = jf.grid(scale=jf.static([float(i) for i in range(12)])) * jf.grid(learning_rate=[0.1])
    plan = jf.plan(tiny.task(loss=loss, validation=0.2), jf.sgd, space, steps=2, batch_size=8)
    assert sum(not program.is_estimated for program in plan.programs) == 8
    assert all(program.seconds > 0 for program in plan.programs)
    assert plan.bytes is not None
    assert "judging by 8 of the programs" in str(plan)
    assert _plan.Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
