"""What a trial needs and does not train is computed once, in `init`, and not in the loop."""

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings
from jefficient.sweeps.programs import Shared
from jefficient.sweeps.scheduler import Queue

Y = np.random.default_rng(0).standard_t(2, size=64).astype(np.float32)
QUANTILES = [0.5, 0.9, 0.99]


def init(key, quantile):
    return {"centre": jnp.zeros(())}, {"most": jnp.quantile(jnp.abs(Y), quantile)}


def loss(params, constants, batch):
    clipped = jnp.clip(batch["y"], -constants["most"], constants["most"])
    return jnp.mean((clipped - params["centre"]) ** 2), constants


TASK = jf.Task(init, loss, {"y": Y}, model_state=True, order="sequential")
SPACE = jf.grid(quantile=QUANTILES, learning_rate=[0.25])


def test_the_constants_are_those_of_each_trial():
    """Half the gap to the mean of the clipped targets goes in an update of all of them."""
    settings = {"steps": 3, "eval_every": 3, "batch_size": 64, "metric": "train_loss"}
    result = jf.sweep(TASK, jf.sgd, SPACE, keep="last", progress=False, **settings)
    for config, quantile in enumerate(QUANTILES):
        most = np.quantile(np.abs(Y), quantile)
        params, constants = result.params(config)
        np.testing.assert_allclose(constants["most"], most, rtol=1e-6)
        mean = np.clip(Y, -most, most).mean()
        np.testing.assert_allclose(params["centre"], (1 - 0.5**3) * mean, rtol=1e-4, atol=1e-7)


def test_the_loop_of_updates_does_not_compute_them():
    settings = Settings(steps=3, batch_size=8, metric="train_loss")
    spec = prepare(TASK, jf.sgd, SPACE, settings)
    program = spec.lane_program(0, len(SPACE))
    commands = Queue.of(spec.groups[0], program).idle_commands()
    shared = Shared(spec.data, spec.settings.key)
    lanes = program.empty(commands, shared)
    beginning = jax.make_jaxpr(jax.vmap(program.begin_lane, (0, None)))(commands, shared)
    updates = jax.vmap(program.update_lane, (0, 0, None))
    update = jax.make_jaxpr(updates)(lanes, commands.until, shared.data)
    assert " sort[" in str(beginning)
    assert " sort[" not in str(update)
