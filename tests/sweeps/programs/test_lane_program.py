"""What a segment holds, read from its trace: nothing is compiled."""

import jax
import jax.numpy as jnp
import pytest
from sweeps import tiny

import jefficient as jf
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.programs import Shared
from jefficient.sweeps.scheduler import Queue


@pytest.mark.parametrize("layers", [False, True])
def test_norms_are_traced_where_they_are_asked_for(layers):
    """XLA would remove the others, but only after they have been traced and lowered."""
    task = tiny.task(init=lambda key: jnp.zeros(3), validation=0.2)
    given = Settings(steps=4, batch_size=8, layers=layers)
    spec = prepare(task, jf.sgd, jf.grid(learning_rate=[0.1, 0.2]), given)
    program = spec.lane_program(0, 2)
    commands = Queue.of(spec.groups[0], program).idle_commands()
    shared = Shared(spec.data, spec.settings.key)
    lanes = program.empty(commands, shared)
    text = str(jax.make_jaxpr(program._segment)(lanes, commands, shared))
    # Of gradients, updates and weights; each has a second way for squares that overflow.
    assert text.count(" sqrt ") == (3 * 2 if layers else 0)
