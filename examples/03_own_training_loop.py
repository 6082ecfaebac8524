"""A training loop of your own as a `jf.Trial`: a policy gradient, swept over learning rate, entropy bonus and baseline.

    python examples/03_own_training_loop.py

There is no data set and no batch: the agent walks a corridor of eight cells and is paid at its far
end. `init`, `step` and `evaluate` are pure functions of a state that is yours; everything else
(lanes, seeds, early stopping, the table) is the same as for a `jf.Task`. 54 configurations × 4
seeds are two compiled programs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf

CELLS, LENGTH, EPISODES = 8, 24, 16
LEFT, RIGHT = 0, 1


class Agent(NamedTuple):
    """What a trial carries: logits (cells, 2), the optimizer's state, and a running mean of returns, shape ()."""

    logits: jax.Array
    opt_state: tuple
    baseline: jax.Array


def optimizer(learning_rate):
    return jf.chain(jf.clip_by_global_norm(1.0), jf.adam(learning_rate))


def init(key, learning_rate):
    logits = 0.01 * jax.random.normal(key, (CELLS, 2))
    return Agent(logits, optimizer(learning_rate).init(logits), jnp.zeros(()))


def episode(logits, key):
    """Log-probabilities of the actions, entropies and rewards of one walk, each of shape (LENGTH,)."""

    def move(cell, key):
        log_p = jax.nn.log_softmax(logits[cell])
        action = jax.random.categorical(key, log_p)
        there = jnp.clip(jnp.where(action == RIGHT, cell + 1, cell - 1), 0, CELLS - 1)
        reward = jnp.where(there == CELLS - 1, 1.0, -0.01)
        return there, (log_p[action], -(jnp.exp(log_p) * log_p).sum(), reward)

    return jax.lax.scan(move, jnp.int32(0), jax.random.split(key, LENGTH))[1]


def step(agent, data, t, key, learning_rate, entropy, use_baseline):
    """One update of REINFORCE over a few episodes. `key` is the trial's own: fold the step in."""
    del data
    keys = jax.random.split(jax.random.fold_in(key, t), EPISODES)

    def loss(logits):
        log_p, bonus, rewards = jax.vmap(episode, (None, 0))(logits, keys)
        to_go = jnp.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
        advantage = to_go - agent.baseline if use_baseline else to_go
        objective = (log_p * jax.lax.stop_gradient(advantage)).mean() + entropy * bonus.mean()
        return -objective, rewards.sum(axis=1).mean()

    (value, returns), grads = jax.value_and_grad(loss, has_aux=True)(agent.logits)
    updates, opt_state = optimizer(learning_rate).update(grads, agent.opt_state, agent.logits)
    logits = jf.apply_updates(agent.logits, updates)
    return Agent(logits, opt_state, 0.9 * agent.baseline + 0.1 * returns), {
        "loss": value,
        "return": returns,
    }


def evaluate(agent, data):
    """The mean return over episodes that are the same for every trial."""
    del data
    rewards = jax.vmap(episode, (None, 0))(agent.logits, jax.random.split(jax.random.key(1), 64))[2]
    return {"mean_return": rewards.sum(axis=1).mean()}


def main():
    result = jf.sweep(
        jf.Trial(init, step, evaluate, weights=lambda agent: agent.logits),
        space=jf.grid(
            learning_rate=np.geomspace(1e-3, 1.0, 9),
            entropy=[0.0, 1e-3, 1e-1],
            use_baseline=[False, True],
        ),
        steps=300,
        eval_every=50,
        seeds=4,
        metric="mean_return",
        mode="max",
        stop=jf.successive_halving(eta=2, min_steps=100),
    )
    print(result.table().head(8).to_string())
    print(result.best())
    right = jax.nn.softmax(jnp.asarray(result.params()))[:, RIGHT]
    print("probability of going right, cell by cell:", np.round(np.asarray(right), 2))
    print(f"busy lanes: {result.dataset.attrs['utilization']:.0%}")


if __name__ == "__main__":
    main()
