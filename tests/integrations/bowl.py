"""Known scores: (log₁₀ rate + 2)² + (share - 0.3)² + 1 / t after t updates.

Rates over 0.1 diverge.
"""

import jax.numpy as jnp
import numpy as np

import jefficient as jf

RANGES = {"rate": jf.LogUniform(1e-4, 1.0), "share": jf.Uniform(0.0, 1.0)}
LOOKS = (2, 4, 6)
TRIAL = jf.Trial(
    init=lambda key: jnp.zeros(()),
    step=lambda t, data, _, key, rate: (t + 1, {"loss": jnp.where(rate > 0.1, jnp.nan, t)}),
    evaluate=lambda t, data, rate, share: {
        "valid_loss": (jnp.log10(rate) + 2) ** 2 + (share - 0.3) ** 2 + 1 / t
    },
)


def sweep(search, trial=TRIAL, **changes):
    settings = {"steps": LOOKS[-1], "eval_every": 2, "progress": False, **changes}
    return jf.sweep(trial, space=search, **settings)


def score(rate, share, t=LOOKS[-1]):
    return (np.log10(rate) + 2) ** 2 + (share - 0.3) ** 2 + 1 / t
