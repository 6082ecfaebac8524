"""Programs as they are lowered for GPU and TPU, read without one: nothing in them hurts there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from sweeps import sources, tiny

import jefficient as jf
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.programs import Shared, StreamedProgram
from jefficient.sweeps.scheduler import Queue

EXAMPLES, WIDTH = 53, 16
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(EXAMPLES, 6, 6, 1)).astype(np.float32)
X = RNG.normal(size=(EXAMPLES, 3)).astype(np.float32)
PLATFORMS = ("cuda", "tpu")


def convolved(params, batch):
    maps = jax.lax.conv_general_dilated(
        batch, params, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.mean(jax.nn.relu(maps) ** 2)


CASES = {
    "examples": ({"data": (X, X[:, 0])}, {"keep": "best"}),
    "folds": ({"data": (X, X[:, 0])}, {"folds": 4, "layers": True}),
    "convolution": (
        {
            "init": lambda key: jax.random.normal(key, (3, 3, 1, 2)),
            "loss": convolved,
            "data": IMAGES,
        },
        {"metric": "train_loss"},
    ),
}


@pytest.fixture(autouse=True)
def _accelerator(monkeypatch):
    """Programs are those of an accelerator where they differ from a CPU's."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jf.clear_programs()
    yield
    jf.clear_programs()


def lowered(function, platform, *arguments):
    """The text of a program for a platform that is not here."""
    jitted = jax.jit(function, donate_argnums=0)
    text = export.export(jitted, platforms=[platform])(*arguments).mlir_module()
    return "\n".join(line for line in text.splitlines() if not line.startswith("#loc"))


def assert_harmless(text, examples):
    """One copy of the data is for all lanes, and never one for each."""
    found = {name: name in text for name in ("f64", "callback", f"tensor<{WIDTH}x{examples}x")}
    assert not any(found.values()), found


def prepared(task, settings):
    given = {"steps": 4, "batch_size": 8, **settings}
    spec = prepare(task, jf.adam, jf.grid(learning_rate=[0.1, 0.2]), Settings(**given))
    program = spec.lane_program(0, WIDTH)
    commands = Queue.of(spec.groups[0], program).idle_commands()
    return spec, program, commands, Shared(spec.data, spec.settings.key)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", CASES)
def test_a_segment_has_no_callback_no_double_and_no_copy_of_the_data_for_each_lane(name, platform):
    of_task, settings = CASES[name]
    if "folds" not in settings and settings.get("metric") != "train_loss":
        of_task = {**of_task, "validation": 0.2}
    spec, program, commands, shared = prepared(tiny.task(**of_task), settings)
    lanes = program.empty(commands, shared)
    text = lowered(program._segment, platform, lanes, commands, shared)
    for size in {EXAMPLES, *spec.problem.sizes.training}:
        assert_harmless(text, size)
    donated = len(re.findall(r"tf\.aliasing_output|jax\.buffer_donor", text))
    unchanged = lanes._replace(accumulators={}, key=None)  # neither is read and written
    assert donated >= len(jax.tree.leaves(unchanged))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_examples_that_are_read_go_to_a_block_once(platform, tmp_path):
    """On an accelerator the lanes of a block share their batch."""
    task = sources.task(tmp_path, validation=0.2)
    _, program, commands, shared = prepared(task, {})
    assert isinstance(program, StreamedProgram)
    lanes = program.empty(commands, shared)
    text = lowered(program._train, platform, lanes, commands.until, program.chunk, shared)
    assert_harmless(text, f"{program.batches}x8")
