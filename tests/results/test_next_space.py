"""The next look: ranges around planted optima, worked out by hand, and what they are drawn as."""

import jax.numpy as jnp
import numpy as np
import pytest
from results.made import made

import jefficient as jf
from jefficient._core.errors import ArgumentError
from jefficient.results import Result

RATES = np.geomspace(1e-4, 1.0, 9)  # a factor of √10 apart


def looked(scores, columns, **changes):
    """The next space of scores (configs,) or (configs, seeds)."""
    scores = np.asarray(scores, float)
    scores = scores[:, None] if scores.ndim == 1 else scores
    return made(scores[:, :, None], columns, **changes).next_space()


def bowl(rates, best):
    return 0.4 + 0.05 * np.log(rates / best) ** 2


def ends(space, name="learning_rate"):
    return space.ranges[name].low, space.ranges[name].high


def noisy(means, seeds=6, noise=0.01):
    return means[:, None] + noise * np.random.default_rng(0).normal(size=(len(means), seeds))


def test_around_an_optimum_from_half_of_it_to_double():
    rates = np.geomspace(1e-3, 1.0, 13)
    space = looked(noisy(bowl(rates, 0.03)), {"learning_rate": rates.tolist()})
    assert ends(space) == pytest.approx((0.015, 0.06), rel=0.1)
    assert isinstance(space.ranges["learning_rate"], jf.LogUniform)
    assert "The optimum is at" in space.ranges.reasons["learning_rate"]
    got = space.numbers("learning_rate")
    np.testing.assert_allclose(got, np.geomspace(*ends(space), 7), rtol=6e-3)


def test_beyond_the_edge_by_a_decade():
    space = looked(bowl(RATES, 5.0), {"learning_rate": RATES.tolist()})
    assert ends(space) == pytest.approx((10**-0.5, 10.0), rel=2e-3)
    space = looked(bowl(RATES, 1e-5), {"learning_rate": RATES.tolist()})
    assert ends(space) == pytest.approx((1e-5, 10**-3.5), rel=2e-3)
    assert "look beyond" in str(space)
    assert "look beyond" in space._repr_html_()
    assert "<table>" in space._repr_html_()


def test_beyond_the_edge_of_drawn_values_by_half_a_decade():
    drawn = jf.sobol(32, a=jf.LogUniform(1e-4, 0.1), b=jf.LogUniform(1e-4, 0.1))
    a, b = (np.array(drawn.columns[name]) for name in "ab")
    space = looked(bowl(a, 10.0) + 0.01 * bowl(b, 3e-3), drawn.columns)
    three = np.sort(a)[-3:]
    assert ends(space, "a") == pytest.approx((three[0] / 2, three[-1] * 10**0.5), rel=5e-3)


def test_beyond_an_edge_of_shares_and_of_whole_numbers():
    momenta = [0.5, 0.7, 0.9]
    space = looked([3, 2, 1], {"momentum": momenta})
    assert ends(space, "momentum") == pytest.approx((0.7, 0.95))
    space = looked([1, 2, 3], {"batch_size": [10, 20, 50]})
    assert space.ranges["batch_size"].values == (5, 10, 20)
    space = looked([3, 2, 1], {"batch_size": [10, 20, 50]}, examples=(80, 20))
    assert space.ranges["batch_size"].values == (20, 50, 80)  # no more examples


def test_the_upper_end_is_where_divergence_begins():
    """Of drawn rates the best are next to those that diverged: the geometric middle."""
    rates = np.array([1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
    scores = np.array([5, 4, 3, 1, np.nan, np.nan])
    space = looked(scores, {"learning_rate": rates.tolist()})
    assert ends(space)[1] == pytest.approx(10**-0.5, rel=2e-3)
    assert "Above 0.1 nothing finished" in space.ranges.reasons["learning_rate"]


def test_the_truth_is_within_the_next_ranges_of_a_drawn_space():
    """Three hyperparameters, 64 points, noise: in nearly all of 10 sweeps."""
    held = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), size=2))
        drawn = jf.sobol(
            64,
            seed=seed,
            a=jf.LogUniform(1e-4, 1.0),
            b=jf.LogUniform(1e-4, 1.0),
            c=jf.Uniform(0, 1),
        )
        a, b = (np.array(drawn.columns[name]) for name in "ab")
        scores = bowl(a, truth[0]) + bowl(b, truth[1]) + 0.02 * rng.normal(size=64)
        space = looked(scores, drawn.columns)
        within = [
            isinstance(each, jf.LogUniform) and each.low <= best <= each.high
            for each, best in zip((space.ranges["a"], space.ranges["b"]), truth, strict=True)
        ]
        held += all(within)
        assert space.ranges["a"].high / space.ranges["a"].low < 1e3
        assert len(space) <= 64
    assert held >= 9


def test_what_does_not_matter_stays_at_its_best_value():
    pytest.importorskip("optuna")
    drawn = jf.sobol(128, rate=jf.LogUniform(1e-4, 1.0), idle=jf.Uniform(0, 1))
    scores = bowl(np.array(drawn.columns["rate"]), 0.02)
    space = looked(scores, drawn.columns)
    best = drawn.columns["idle"][int(np.argmin(scores))]
    assert space.ranges["idle"].values == (best,)
    assert "hardly matters" in space.ranges.reasons["idle"]
    assert len(space) == 7


def test_labels_go_only_when_clearly_worse():
    columns = {"kind": ["a", "b", "c"] * 4, "learning_rate": np.repeat([1e-3, 1e-2, 0.1, 1], 3)}
    scores = np.tile([1.0, 1.0005, 2.0], 4) + np.repeat([0.5, 0, 0, 0.5], 3)
    space = looked(noisy(scores), columns)
    assert set(space.ranges["kind"].labels) == {"a", "b"}
    assert "c is clearly worse" in str(space)
    single = looked(scores, columns)
    assert set(single.ranges["kind"].labels) == {"a", "b", "c"}
    assert not single.is_number("kind")


@pytest.mark.parametrize(
    ("scores", "seeds", "text"),
    [
        (np.array([1.0, 2.0, 3.0]), 5, "One trial"),
        (noisy(np.array([1.0, 2.0, 3.0])), 6, "told from all"),
        (noisy(np.array([1.0, 1.0, 3.0])), 12, "1 other cannot be told"),
    ],
)
def test_ties_ask_for_more_seeds(scores, seeds, text):
    space = looked(scores, {"learning_rate": [0.01, 0.1, 1.0]})
    assert space.seeds == seeds
    assert text in str(space)


def test_decades_with_zero_are_chosen_from_what_was_tried():
    space = looked([4, 1, 2, 3], {"l2": [0.0, 1e-4, 1e-3, 1e-2]})
    assert space.ranges["l2"].values == (1e-4, 1e-3, 1e-2)


def test_the_order_and_kinds_of_the_space_stay():
    def loss(w, batch, width, l2):
        return jnp.mean((batch["x"] * w - batch["y"]) ** 2) / len(jnp.ones(width)) + l2

    x = np.linspace(-1, 1, 20, dtype=np.float32)
    task = jf.Task(lambda key: jnp.zeros(()), loss, {"x": x, "y": 3 * x}, validation=0.2)
    first = jf.sweep(
        task,
        lambda rate, schedule: jf.sgd(schedule(rate)),
        jf.grid(
            width=jf.static([1, 2]),
            rate=[0.01, 0.1, 1.0],
            l2=[0.0],
            schedule=jf.static({"constant": jf.constant_schedule}),
        ),
        steps=10,
        progress=False,
    )
    space = first.next_space()
    assert space.names == ("width", "rate", "l2", "schedule")
    assert not space.is_number("width")
    assert space[0]["schedule"] is jf.constant_schedule
    second = jf.sweep(
        task, lambda rate, schedule: jf.sgd(schedule(rate)), space, steps=10, progress=False
    )
    assert second.dataset.sizes["config"] == len(space)
    assert len(jf.sobol(4, **space.ranges)) == 4


def test_refusals():
    nothing = made(np.full((3, 1, 1), np.nan), {"learning_rate": [0.1, 1.0, 10.0]})
    with pytest.raises(ArgumentError, match="must have finished"):
        nothing.next_space()
    parts = [made(np.ones((2, 1, 1)), {"learning_rate": [0.1, 1.0]}) for _ in range(2)]
    datasets = [x.dataset.assign_attrs(optimizer=name) for x, name in zip(parts, "ab", strict=True)]
    with pytest.raises(ArgumentError, match="one optimizer"):
        (Result(datasets[0]) + Result(datasets[1])).next_space()
