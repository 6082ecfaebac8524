"""Results without a sweep: a test writes the curves, and knows what must be read from them."""

import numpy as np

from jefficient.results import Curves, Labels, Result, Status, to_dataset


def made(
    scores,
    columns,
    *,
    evaluations=None,
    status=None,
    step=None,
    diagnostics=None,
    layers=(),
    examples=(80, 20),
    **changes,
):
    """A result with these scores.

    Args:
        scores: (configs, seeds, folds); what the last evaluation measures as the metric. NaN is a
            diverged trial.
        columns: name to a value for every configuration.
        evaluations: name to (configs, seeds, folds, evaluations), or to what broadcasts to it; by
            default the metric falls (for mode "max": rises) to its score over ten evaluations, and
            the training loss is the same curve.
        status: (configs, seeds, folds) of `Status`; by default all finished, but for NaN.
        step: (evaluations,), updates at each evaluation; by default 10, 20, ….
        diagnostics: as `evaluations`, some with the axis of `layers` last.
        layers: their names.
        examples: training and validation examples of every fold.
        **changes: attributes, `metric`, `mode` and `select` among them.
    """
    attributes = {
        "metric": "valid_loss",
        "mode": "min",
        "select": "last",
        "seconds": 1.0,
        "utilization": 1.0,
    } | changes
    scores = np.asarray(scores, float)
    shape, sign = scores.shape, 1 if attributes["mode"] == "min" else -1
    if evaluations is None:
        falling = scores[..., None] + sign * np.concatenate([2.0 ** -np.arange(9), [0.0]])
        evaluations = {attributes["metric"]: falling, "train_loss": falling}
    evaluations = {
        name: np.broadcast_to(x, (*shape, np.shape(x)[-1])).astype(np.float32)
        for name, x in evaluations.items()
    }
    count = next(iter(evaluations.values())).shape[-1]
    step = np.arange(1, count + 1) * 10 if step is None else np.asarray(step)
    if status is None:
        status = np.where(np.isnan(scores), Status.DIVERGED, Status.FINISHED)
    is_diverged = np.asarray(status) == Status.DIVERGED
    curves = Curves(
        measured=evaluations,
        diagnostics={
            name: np.broadcast_to(x, (*shape, *np.shape(x)[3:])).astype(np.float32)
            for name, x in (diagnostics or {}).items()
        },
        seconds=np.broadcast_to(np.arange(1.0, count + 1), (*shape, count)),
        status=np.asarray(status),
        started_at=np.zeros(is_diverged.shape, int),
        steps_taken=np.where(is_diverged, step[0] // 2, step[-1]),
        diverged_at=np.where(is_diverged, step[0] // 2, -1),
        step=np.broadcast_to(step, (shape[0], 1, count)),
        steps_per_epoch=np.full((shape[0], 1), 5.0),
        block_width=np.full(shape[0], 8),
    )
    training, validation = ([x] * shape[2] for x in examples)
    hashes = [f"{i:032x}" for i in range(shape[0])]
    labels = Labels(
        {name: tuple(x) for name, x in columns.items()}, hashes, training, validation, layers
    )
    return Result(to_dataset(labels, curves, attributes))
