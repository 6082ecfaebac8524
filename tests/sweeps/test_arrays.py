"""A hyperparameter that is an array passes through a sweep and all that reads its result."""

import json
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sweeps.tiny import X, Y, sweep, task

import jefficient as jf
from jefficient.sweeps.planning import prepare
from jefficient.sweeps.planning._settings import Settings

LENGTHS = np.array([[0.3, 0.1, 0.02], [0.1, 0.1, 0.1], [0.01, 0.1, 0.4], [0.05, 0.05, 0.01]])
STEPS = 12
SETTINGS = {"steps": STEPS, "eval_every": 4, "folds": 3, "seeds": 2}


def sgd_in_thirds(rates):
    """SGD whose learning rate is constant over each third of the updates."""
    return jf.sgd(lambda step: rates[step // 4])


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")


def swept(**changes):
    space = changes.pop("space", jf.grid(rates=list(LENGTHS)))
    return sweep(task(), space, sgd_in_thirds, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def result():
    return swept(keep="last", keep_configs=4)


def test_every_configuration_trains_with_its_own_array():
    """On whole batches, so that gradient descent in NumPy makes the same updates."""
    settings = {"steps": STEPS, "batch_size": 30, "keep": "last", "keep_configs": 4}
    start = np.ones(3)
    of_all = task(init=lambda key: jnp.asarray(start, jnp.float32))
    space = jf.grid(rates=list(LENGTHS))
    result = sweep(of_all, space, sgd_in_thirds, metric="train_loss", **settings)
    x = X.astype(float)
    for config, rates in enumerate(LENGTHS):
        w = start
        for step in range(STEPS):
            w = w - rates[step // 4] * 2 / len(x) * x.T @ (x @ w - Y)
        np.testing.assert_allclose(result.weights[config, 0, 0], w, rtol=1e-5, atol=1e-6)


def test_the_dataset_has_its_dimensions_and_tables_a_short_text(result):
    rates = result.dataset["rates"]
    assert rates.dims == ("config", "rates_dim_0")
    np.testing.assert_array_equal(rates, LENGTHS)
    texts = ["[0.3, 0.1, 0.02]", "[0.1, 0.1, 0.1]", "[0.01, 0.1, 0.4]", "[0.05, 0.05, 0.01]"]
    for frame in (result.table(), result.ties()):
        assert frame["rates"].tolist() == [texts[config] for config in frame.index]


def test_the_best_is_a_list_that_json_holds_and_a_sweep_takes_back(result):
    best = result.best()
    assert best.hyperparameters == {"rates": LENGTHS[best.config].tolist()}
    assert json.loads(json.dumps(best.hyperparameters)) == best.hyperparameters
    again = jf.grid(**{name: np.array([x]) for name, x in best.hyperparameters.items()})
    assert again.hashes[0] == result.dataset["hash"].values[best.config]
    assert str(best).startswith(f"rates={result.table()['rates'].iloc[0]}: valid_loss")
    with pytest.raises(jf.ArgumentError, match="must name hyperparameters that have an order"):
        result.best("1se", prefer={"rates": "low"})


def test_it_is_trained_again_bit_by_bit(result):
    again = result.replay(1, seed=1, fold=2)
    np.testing.assert_array_equal(again.params, result.weights[1, 1, 2])
    assert again.dataset["rates"].values.tolist() == [LENGTHS[1].tolist()]
    assert result.refit(2).dataset["rates"].values.tolist() == [LENGTHS[2].tolist()]


def test_files_and_joined_results_keep_it(result, tmp_path):
    path = result.save(tmp_path / "result.nc")
    loaded = jf.load(path)
    assert loaded.dataset.identical(result.dataset)
    assert loaded.best().hyperparameters == result.best().hyperparameters
    space = jf.grid(rates=list(LENGTHS))
    jf.load(path, task=task(), optimizer=sgd_in_thirds, space=space).replay(0)
    result.save_params(tmp_path / "params.safetensors")

    other = swept(space=jf.grid(rates=[LENGTHS[0], LENGTHS[0] / 2]))
    with pytest.warns(jf.JefficientWarning, match="1 of 2 configurations"):
        both = loaded + other
    np.testing.assert_array_equal(both.dataset["rates"], [*LENGTHS, LENGTHS[0] / 2])
    assert both.space["rates"][4].tolist() == (LENGTHS[0] / 2).tolist()
    shorter = swept(space=jf.grid(rates=[LENGTHS[0][:2]]))
    with pytest.raises(jf.ArgumentError, match=r"shapes {'rates': \(3,\)} and {'rates': \(2,\)}"):
        result + shorter


def test_sweeps_of_other_optimizers_have_none(result, tmp_path):
    other = sweep(task(), jf.grid(learning_rate=[0.1]), jf.sgd, **SETTINGS)
    both = result + other
    assert both.space["rates"][-1] is None
    assert np.isnan(both.dataset["rates"][-1]).all()
    loaded = jf.load(both.save(tmp_path / "both.nc"))
    assert loaded.space["rates"][-1] is None
    assert loaded.space["rates"][0].tolist() == LENGTHS[0].tolist()


def test_a_directory_is_resumed_and_grows(result, tmp_path):
    folder = tmp_path / "sweep"
    swept(space=jf.grid(rates=list(LENGTHS[:2])), directory=folder)
    grown = swept(directory=folder)
    np.testing.assert_array_equal(grown.dataset["rates"], LENGTHS)
    np.testing.assert_array_equal(grown.dataset["valid_loss"], result.dataset["valid_loss"])
    np.testing.assert_array_equal(jf.load(folder).dataset["rates"], LENGTHS)


def test_a_grid_has_a_dimension_of_texts_and_the_numbers_beside_them():
    space = jf.grid(rates=list(LENGTHS[:2]), l2=[0.0, 0.1, 0.2])

    def optimizer(rates, l2):
        return jf.chain(jf.l2_decay(l2), sgd_in_thirds(rates))

    result = sweep(task(), space, optimizer, **SETTINGS)
    grid = result.grid()
    assert grid["valid_loss"].dims[:2] == ("rates", "l2")
    assert grid["rates"].values.tolist() == ["[0.3, 0.1, 0.02]", "[0.1, 0.1, 0.1]"]
    np.testing.assert_array_equal(grid["rates_values"], LENGTHS[:2])
    np.testing.assert_array_equal(
        grid["valid_loss"].values.reshape(6, *result.dataset["valid_loss"].shape[1:]),
        result.dataset["valid_loss"],
    )
    for plot in (result.plot.curves, result.plot.spread, result.plot.progress):
        plot()
    with pytest.raises(jf.ArgumentError, match=r"got \['l2'\]"):
        result.plot.heatmap()
    assert str(result.checks())


def test_a_report_and_the_command_line_show_it(result, tmp_path, capsys):
    from jefficient.cli import main

    page = result.report(tmp_path / "report.html").read_text()
    assert "[0.01, 0.1, 0.4]" in page
    assert "Rates of each configuration, coloured by validation loss" in page
    assert main(["show", str(result.save(tmp_path / "result.nc"))]) in (0, None)
    assert "[0.01, 0.1, 0.4]" in capsys.readouterr().out


def test_curves_of_knots_are_the_arrays_in_the_colours_of_the_scores(result):
    ax = result.plot.knots("rates", at=[0, 4, 8])
    (lines,) = ax.collections
    order = result.dataset["valid_loss"][..., -1].mean(("seed", "fold")).values.argsort()[::-1]
    drawn = np.stack(lines.get_segments())
    np.testing.assert_allclose(drawn[..., 1], LENGTHS[order])
    np.testing.assert_array_equal(drawn[..., 0], np.broadcast_to([0, 4, 8], (4, 3)))
    (best,) = ax.get_lines()
    np.testing.assert_allclose(best.get_ydata(), LENGTHS[result.best().config])
    assert ax.get_yscale() == "log"
    grey, coloured = result.plot.knots("rates", best=1).collections
    assert (len(grey.get_segments()), len(coloured.get_segments())) == (3, 1)
    with pytest.raises(jf.ArgumentError, match="best >= 1 must hold, got best=0"):
        result.plot.knots("rates", best=0)
    with pytest.raises(jf.ArgumentError, match="a position for each of the 3 numbers, got shape"):
        result.plot.knots("rates", at=[0, 1])
    with pytest.raises(jf.ArgumentError, match=r"hyperparameter must be one of \['rates'\]"):
        result.plot.knots("rate")
    with pytest.raises(jf.ArgumentError, match=r"plot.values: .*result.plot.knots\('rates'\)"):
        result.plot.values("rates")
    with pytest.raises(jf.ArgumentError, match=r"plot.heatmap: x must have numbers or labels"):
        result.plot.heatmap("rates")


def test_another_shape_is_another_program():
    settings = Settings(steps=STEPS, batch_size=8, metric="train_loss")
    three, two = (
        prepare(task(), sgd_in_thirds, jf.grid(rates=[LENGTHS[0][:n]]), settings).costs[0].digest
        for n in (3, 2)
    )
    assert three != two


def test_trials_go_on_from_the_states_of_their_arrays(result):
    short = swept(steps=8, keep_states="last")
    states = {"start": short, "space": jf.grid(rates=list(LENGTHS[::-1]))}
    went_on = swept(**states)
    np.testing.assert_array_equal(
        went_on.dataset["valid_loss"][::-1, ..., -1], result.dataset["valid_loss"][..., -1]
    )
    with pytest.raises(jf.ArgumentError, match="must start from one configuration of start"):
        swept(start=short, space=jf.grid(rates=[LENGTHS[0] / 2]))


class Halves(jf.Search):
    """Proposes all rates of the best so far, halved."""

    batch = 1

    def __init__(self):
        self.rates = [LENGTHS[0], LENGTHS[0] / 2]

    def example(self):
        return jf.grid(rates=[LENGTHS[0]])

    def ask(self):
        return jf.grid(rates=[self.rates.pop(0)]) if self.rates else None

    def tell(self, dataset):
        assert dataset["rates"].shape == (1, 3)


def test_a_search_proposes_arrays_of_one_shape():
    result = swept(space=Halves())
    np.testing.assert_array_equal(result.dataset["rates"], [LENGTHS[0], LENGTHS[0] / 2])
    search = Halves()
    search.rates = [LENGTHS[0][:2]]
    with pytest.raises(jf.ArgumentError, match=r"'float32 of shape \(2,\)'} and .*\(3,\)"):
        swept(space=search)


def test_parts_of_an_executor_are_the_sweep(result):
    with ThreadPoolExecutor(1) as executor:
        apart = swept(executor=executor, parts=2)
    np.testing.assert_array_equal(apart.dataset["rates"], LENGTHS)
    np.testing.assert_array_equal(apart.dataset["valid_loss"], result.dataset["valid_loss"])


def test_loss_and_init_may_request_arrays_of_any_dimensions():
    def init(key, start):
        return jnp.sum(start, axis=0)

    space = jf.random(3, start=jf.Uniform(-1, 1, shape=(2, 3)))
    result = sweep(task(init=init), space, jf.sgd(1e-3), steps=2, metric="train_loss")
    assert result.dataset["start"].dims == ("config", "start_dim_0", "start_dim_1")
    with pytest.raises(jf.ArgumentError, match=r"of shape \(2, 3\). result.dataset"):
        result.plot.knots("start")


@pytest.mark.parametrize(
    ("space", "error", "match"),
    [
        ({"learning_rate": [LENGTHS[0]]}, jf.ArgumentError, r"a scalar, got shape \(3,\)"),
        ({"batch_size": [np.array([8, 8])], "learning_rate": [0.1]}, TypeError, "batch_size"),
        ({"steps": [np.array([8, 8])], "learning_rate": [0.1]}, TypeError, "steps must be a whole"),
        (
            {"learning_rate": [np.ones(2)], "learning_rate_dim_0": [1.0]},
            jf.ArgumentError,
            "must not name 'learning_rate_dim_0'.*of the array 'learning_rate'",
        ),
    ],
)
def test_arrays_where_numbers_belong_are_refused_before_anything_is_compiled(space, error, match):
    settings = {} if "steps" in space else {"steps": 4}
    batch = {} if "batch_size" in space else {"batch_size": 8}
    with pytest.raises(error, match=match):
        jf.sweep(task(), jf.sgd, jf.grid(**space), progress=False, **settings, **batch)
