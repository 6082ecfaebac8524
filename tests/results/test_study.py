"""A result as a study of Optuna, read back by Optuna."""

import numpy as np
import optuna
import pytest
from integrations import worker
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from results.made import made

import jefficient as jf
from jefficient.results import Status

SCORES = np.array(
    [[[0.5], [0.7]], [[0.2], [0.3]], [[np.nan], [0.1]], [[0.4], [0.6]], [[0.1], [0.1]]]
)
STATUS = np.where(np.isnan(SCORES), Status.DIVERGED, Status.FINISHED)
STATUS[3], STATUS[4, 1] = Status.STOPPED, Status.INTERRUPTED
COLUMNS = {"learning_rate": [0.001, 0.01, 0.1, 0.03, 0.3], "kind": list("abaab"), "l2": [1.0] * 5}


@pytest.fixture
def study(tmp_path):
    path = f"sqlite:///{tmp_path}/study.db"
    made(SCORES, COLUMNS, status=STATUS).to_study(worker.opened(path), study_name="made")
    return optuna.load_study(study_name="made", storage=worker.opened(path))


def test_each_configuration_is_a_trial(study):
    trials = study.get_trials()
    assert [x.state for x in trials] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.PRUNED,
        TrialState.FAIL,
    ]
    assert [x.params for x in trials] == [
        dict(zip(COLUMNS, x, strict=True)) for x in zip(*COLUMNS.values(), strict=True)
    ]
    assert [x.user_attrs for x in trials] == [
        {"config": 0},
        {"config": 1},
        {"config": 2, "failed": "diverged at update 5"},
        {"config": 3},
        {"config": 4, "failed": "interrupted"},
    ]
    assert trials[0].distributions == {
        "learning_rate": FloatDistribution(0.001, 0.3, log=True),
        "kind": CategoricalDistribution(("a", "b")),
        "l2": FloatDistribution(1.0, 1.0),
    }
    assert study.metric_names == ["valid_loss"]


def test_values_are_means_over_seeds(study):
    first, second, *_ = study.get_trials()
    assert first.value == pytest.approx(0.6)
    assert study.best_trial.number == 1
    assert study.best_value == pytest.approx(0.25)
    falling = 0.25 + np.concatenate([2.0 ** -np.arange(9), [0.0]])  # as `made` makes it
    assert list(second.intermediate_values) == list(range(10, 101, 10))
    np.testing.assert_allclose(list(second.intermediate_values.values()), falling, rtol=1e-6)


def test_a_score_to_maximise_stays_one():
    result = made(SCORES[:2], {"x": [1, 2]}, metric="valid_accuracy", mode="max")
    study = result.to_study()
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.best_params == {"x": 1}
    assert isinstance(result, jf.Result)
