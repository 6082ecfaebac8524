"""Evaluations whose predictions the host scores."""

from collections.abc import Mapping

import jax
import numpy as np

from ..._core.typing import Tree
from ...results import Status
from ..programs import Evaluation
from ..tasks import HostScorer


def scored(
    scorer: HostScorer, evaluation: Evaluation, lanes: np.ndarray, folds: np.ndarray
) -> Evaluation:
    """Replace the predictions of an evaluation by their scores; `folds` is each lane's."""
    assert evaluation.predictions is not None
    healthy = lanes[evaluation.status[lanes] != Status.DIVERGED]
    scores = scores_of(scorer, evaluation.predictions, healthy, folds)
    return evaluation._replace(values=evaluation.values | scores, predictions=None)


def scores_of(
    scorer: HostScorer, predictions: Mapping[str, Tree], lanes: np.ndarray, folds: np.ndarray
) -> dict[str, np.ndarray]:
    """Return ``valid_<name>`` of these lanes of a block, float32 (lanes,), NaN for all others."""
    scores = {f"valid_{name}": np.full(len(folds), np.nan, np.float32) for name in scorer.metrics}
    for lane in lanes:
        own = jax.tree.map(lambda x, lane=lane: x[lane], dict(predictions))
        for name, value in scorer.scores(int(folds[lane]), own).items():
            scores[f"valid_{name}"][lane] = value
    return scores
