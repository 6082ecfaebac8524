"""Optuna has a name for each number of an array; sweeps have the array."""

import jax.numpy as jnp
import numpy as np
import optuna
from integrations.bowl import sweep

import jefficient as jf

CURVES = [np.array([1.0, 2.0]), np.array([2.0, 1.0])]
TRIAL = jf.Trial(
    init=lambda key: jnp.zeros(()),
    step=lambda t, data, _, key: (t + 1, {"loss": t}),
    evaluate=lambda t, data, rates, counts, curve: {
        "valid_loss": jnp.sum(jnp.log10(rates) ** 2) + jnp.sum(counts).astype(float) + curve[0]
    },
)


def test_an_array_is_a_parameter_for_each_number():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    search = jf.optuna(
        study,
        6,
        batch=3,
        rates=jf.LogUniform(1e-3, 1.0, shape=(2,)),
        counts=jf.Uniform(0, 5, integer=True, shape=(1, 2)),
        curve=jf.Choice(CURVES),
    )
    names = ["rates[0]", "rates[1]", "counts[0,0]", "counts[0,1]", "curve"]
    result = sweep(search, trial=TRIAL)

    trials = study.get_trials()
    assert all(list(trial.params) == names for trial in trials)
    assert {trial.params["curve"] for trial in trials} <= {"[1, 2]", "[2, 1]"}
    dataset = result.dataset
    assert dataset["counts"].dims == ("config", "counts_dim_0", "counts_dim_1")
    for config, trial in enumerate(trials):
        first, second, *counts, text = (trial.params[name] for name in names)
        np.testing.assert_allclose(dataset["rates"][config], [first, second], rtol=1e-6)
        np.testing.assert_array_equal(dataset["counts"][config], [counts])
        chosen = CURVES[text == "[2, 1]"]
        np.testing.assert_array_equal(dataset["curve"][config], chosen)
        score = np.log10(first) ** 2 + np.log10(second) ** 2 + sum(counts) + chosen[0]
        np.testing.assert_allclose(trial.value, score, rtol=1e-5)
