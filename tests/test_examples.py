"""Each example runs as its first line says, and does what it claims."""

import re
from pathlib import Path

import numpy as np
import processes
import pytest
import xarray as xr
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments, cwd):
    program = EXAMPLES / name
    done = processes.run("-W", "error", program, *arguments, cwd=cwd, env=processes.OPTIMIZED)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_linear_regression_needs_another_rate_than_the_default(tmp_path):
    stdout, _ = run("00_linear_regression.py", cwd=tmp_path)
    predicted = np.array([float(y) for y in re.findall(r"f\(\d\) = ([\d.]+)", stdout)])
    off = [float(x) for x in re.findall(r"off by ([\d.]+)", stdout)]
    default, chosen = abs(predicted.reshape(2, 3) - [6, 7, 8])
    assert default.min() > 1
    assert chosen.max() < 0.01
    np.testing.assert_allclose(off, [*default, *chosen], atol=1e-4)


def test_the_learning_rate_sweep_writes_table_plot_and_dataset(tmp_path):
    stdout, stderr = run("01_learning_rate_sweep.py", "--output", "out", cwd=tmp_path)
    assert "96/96 trials" in stderr
    lines = re.findall(r"^ +([\d.e-]+) .*(finished|of 3 diverged)$", stdout, flags=re.MULTILINE)
    assert len(lines) == 32
    assert lines[0][1] == "finished"
    assert "of 3 diverged" in {outcome for _, outcome in lines}
    plot = (tmp_path / "out" / "learning_rate_sweep.png").read_bytes()
    assert plot.startswith(b"\x89PNG")
    with xr.open_dataset(tmp_path / "out" / "learning_rate_sweep.nc", engine="h5netcdf") as data:
        assert dict(data.sizes) == {"config": 32, "seed": 3, "fold": 1, "evaluation": 20}
        np.testing.assert_allclose(data["peak_learning_rate"], np.geomspace(1e-4, 1, 32))
        assert set(data["status"].values.ravel()) == {"finished", "diverged"}
        last = data["valid_accuracy"].isel(evaluation=-1).mean(("seed", "fold"))
        assert float(last.max()) > 0.96
        assert (data["status"].isel(config=31) == "diverged").all()


def test_batch_size_and_decay_are_chosen_better_than_by_a_linear_model(tmp_path):
    stdout, stderr = run("02_batch_size_and_decay.py", "--directory", "kept", cwd=tmp_path)
    assert "2700/2700 trials" in stderr
    made, whole, utilization = re.search(
        r"([\d,]+) of ([\d,]+) updates were made; utilization of lanes: (\d+)%", stdout
    ).groups()
    assert int(made.replace(",", "")) < 0.6 * int(whole.replace(",", ""))
    assert int(utilization) > 85
    best = float(
        re.search(r"valid_loss ([\d.]+) ± [\d.]+ \(mean ± standard error of 15 trials\)", stdout)[1]
    )
    x, y = load_breast_cancer(return_X_y=True)
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert best < -cross_val_score(linear, x, y, cv=folds, scoring="neg_log_loss").mean()  # 0.074
    assert list((tmp_path / "kept").iterdir())  # tests/sweeps/checkpoint go on from such a one


def test_an_own_training_loop_learns_to_go_right(tmp_path):
    stdout, stderr = run("03_own_training_loop.py", cwd=tmp_path)
    assert "216/216 trials" in stderr
    best = float(re.search(r"mean_return ([\d.]+) ±", stdout)[1])
    assert best > 17.5  # always going right earns 17.94
    probabilities = re.search(r"cell by cell: \[(.*)\]", stdout)[1].split()
    assert len(probabilities) == 8
    assert min(map(float, probabilities[:-1])) > 0.9


@pytest.mark.parametrize(
    ("name", "trials"), [("04_flax_nnx.py", "16/16"), ("06_equinox.py", "48/48")]
)
def test_the_best_model_predicts_in_its_framework_as_in_the_sweep(tmp_path, name, trials):
    stdout, stderr = run(name, cwd=tmp_path)
    assert f"{trials} trials" in stderr
    by_model, by_sweep = re.search(
        r"test accuracy ([\d.]+) by the \w+, ([\d.]+) by the sweep", stdout
    ).groups()
    assert float(by_model) > 0.95
    assert by_model == by_sweep


def test_a_linen_module_is_chosen_over_folds_and_trained_on_all_examples(tmp_path):
    stdout, stderr = run("05_flax_linen.py", cwd=tmp_path)
    assert "150/150 trials" in stderr
    assert float(re.search(r"valid_loss ([\d.]+) ±", stdout)[1]) < 0.1
    assert float(re.search(r"wrong for ([\d.]+)% of them", stdout)[1]) < 4


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.py")))
def test_every_example_says_how_to_run_it(name):
    assert f"python examples/{name}" in (EXAMPLES / name).read_text()


def test_examples_on_disk_are_written_once_and_read_while_training(tmp_path):
    arguments = ("07_data_on_disk.py", "--examples", "20000", "--directory", "out")
    first, _ = run(*arguments, cwd=tmp_path)
    written = (tmp_path / "out" / "examples.h5").stat().st_mtime_ns
    best = float(re.findall(r"valid_accuracy ([\d.]+)", first)[0])
    assert best > 0.98
    again, stderr = run(*arguments, cwd=tmp_path)
    assert again == first
    assert stderr.count("16/16 trials") == 1  # nothing was trained again
    assert (tmp_path / "out" / "examples.h5").stat().st_mtime_ns == written


def test_a_curve_of_rates_beats_the_best_constant_one(tmp_path):
    stdout, stderr = run("08_schedule_knots.py", "--output", "out", cwd=tmp_path)
    assert "432/432 trials" in stderr
    assert len(re.findall(r"^rates\[\d\] .*(raise|lower|unclear|matter)$", stdout, re.M)) == 8
    found = re.findall(r"Best (curve|constant): valid_loss ([\d.]+), rates (.*)", stdout)
    losses = {name: float(loss) for name, loss, _ in found}
    rates = {name: [float(x) for x in texts.split()] for name, _, texts in found}
    assert losses["curve"] < losses["constant"] < 0.2
    assert len(set(rates["constant"])) == 1 < len(set(rates["curve"]))
    assert len(rates["curve"]) == len(rates["constant"]) == 8
    assert (tmp_path / "out" / "schedule_knots.png").read_bytes().startswith(b"\x89PNG")


def test_cooldowns_from_one_stable_run_are_the_trainings_from_scratch(tmp_path):
    stdout, _ = run("09_cooldowns.py", "--output", "out", cwd=tmp_path)
    made, branched = re.search(r"scratch: ([\d,]+) .*Branched: ([\d,]+) ", stdout, re.S).groups()
    assert (made, branched) == ("64,000", "32,000")
    assert "the same, bit for bit" in stdout
    assert (tmp_path / "out" / "cooldowns.png").read_bytes().startswith(b"\x89PNG")


def test_each_modality_contributes_the_bits_that_it_was_given(tmp_path):
    stdout, _ = run("10_two_modalities.py", "--output", "out", cwd=tmp_path)
    assert float(re.search(r"All parts: ([\d.]+) bits are left of 4", stdout)[1]) < 0.4
    rows = re.findall(
        r"^(image|text|numbers) +([\d.]+) +(\d) +([\d.]+) +(\d)$", stdout, flags=re.MULTILINE
    )
    found = np.array([[float(x) for x in row[1:]] for row in rows])
    assert [row[0] for row in rows] == ["image", "text", "numbers"]
    np.testing.assert_array_equal(found[:, 1], [3, 2, 3])  # 4 bits without those of the part
    np.testing.assert_array_equal(found[:, 3], [1, 2, 1])
    np.testing.assert_allclose(found[:, [0, 2]], found[:, [1, 3]], atol=0.5)
    assert "text hardly learns" in stdout
    assert (tmp_path / "out" / "two_modalities.png").read_bytes().startswith(b"\x89PNG")
