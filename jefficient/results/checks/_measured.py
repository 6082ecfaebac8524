"""Checks of what was measured: whether it can tell anything."""

from collections.abc import Iterator

import numpy as np

from .._axes import shown
from .._dataset import EVALUATIONS, EXAMPLES, TRIAL, array_of, hyperparameters, trial_values
from .._values import column
from ._reading import Finding, Reading

FEW_EXAMPLES = 10
"""A validation set of fewer: each example changes a mean by a tenth of its own value."""
FEWEST_APART = 6
"""Examples by which counts must differ: 2 · 0.5⁶ = 0.03, the least p-value of McNemar's test."""
WHOLE = 4 * float(np.finfo(np.float32).eps)
"""Relative distance of a float32 mean of ones and zeros from a whole number of examples."""
UNEQUAL = 2
"""Folds are of unequal size if the largest is so many times the smallest."""
FAINT = 0.01
"""A layer hardly learns if its updates, as a share of its weights, are so much of the others'."""
NAMED = 3
"""Values that are named; of more, their number is said."""


def unmoved(reading: Reading) -> Iterator[Finding]:
    """No weight of the best configuration moved, or none of a layer."""
    dataset = reading.dataset
    if "layer" in dataset.dims:
        yield from _still_layers(reading)
        return
    if "valid_loss" not in dataset:
        return
    curves = array_of(dataset, "valid_loss", *EVALUATIONS)[reading.best]
    first = curves[..., :1]
    is_same = (curves == first) | np.isnan(curves)
    evaluations = int(np.isfinite(curves).sum(axis=-1).min())
    if evaluations > 1 and is_same.all() and (first != 0).all():
        yield Finding(
            "warning",
            f"No weight of the best configuration seems to move: valid_loss is the same number at "
            f"all {evaluations} evaluations of each trial.",
            "Look for a mask, a stop_gradient or a learning rate of 0; layers=True records how far "
            "each layer moves.",
        )


def _still_layers(reading: Reading) -> Iterator[Finding]:
    norms = reading.dataset["update_norm"].isel(config=reading.best).transpose("layer", ...).values
    norms = norms.reshape(len(norms), -1)
    is_there = np.isfinite(norms).any(axis=1)  # a layer of other configurations is not
    is_still = is_there & (np.nan_to_num(norms) == 0).all(axis=1)
    still = reading.dataset["layer"].values[is_still].tolist()
    if not still:
        return
    is_all = len(still) == is_there.sum()
    which = "No layer moved" if is_all else f"{_some(still, 'and')} did not move"
    yield Finding(
        "warning" if is_all else "note",
        f"{which} in the best configuration: update_norm is 0 at every evaluation.",
        "Unless that is meant, look for a mask, a stop_gradient, a learning rate of 0, or "
        "parameters that the loss does not use.",
    )


def hardly_learns(reading: Reading) -> Iterator[Finding]:
    """A layer of the best configuration moves, but hardly, beside the others."""
    dataset = reading.dataset
    if not {"update_norm", "weight_norm"} <= set(dataset):
        return
    norms = dataset[["update_norm", "weight_norm"]].isel(config=reading.best)
    share = norms["update_norm"] / norms["weight_norm"].where(norms["weight_norm"] > 0)
    shares = share.mean("evaluation").transpose("layer", ...).values
    shares = shares.reshape(len(shares), -1)  # (layers, trials)
    moves = (np.nan_to_num(shares) > 0).all(axis=1)  # what does not is unmoved
    if moves.sum() < 2:
        return
    names = dataset["layer"].values[moves].tolist()
    shares = shares[moves]
    for i, name in enumerate(names):
        usual = np.median(np.delete(shares, i, axis=0), axis=0)
        if (shares[i] < FAINT * usual).all():
            yield Finding(
                "note",
                f"{name} hardly learns in the best configuration: an update changes it by "
                f"{shares[i].mean():.2g} of its norm, and the median of the other layers by "
                f"{usual.mean():.2g}, in every trial.",
                "Unless that is meant, give it a larger learning rate (jf.partition or "
                "jf.scale_by_name), and look at result.plot.layers(variable='update_ratio').",
            )


def _some(names: list[str], word: str) -> str:
    """Write the first few, and how many more there are."""
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    *first, last = [*names[:NAMED], *more]
    return f"{', '.join(first)} {word} {last}" if first else last


def few_examples(reading: Reading) -> Iterator[Finding]:
    """The validation set is too small to tell the best from the next."""
    sizes = reading.dataset["validation_examples"].values
    total = int(sizes.sum())
    if total == 0 or reading.score.metric == "train_loss" or reading.finished.sum() < 2:
        return
    larger = "Take a larger validation set, or folds, which validate on every example."
    if total < FEW_EXAMPLES:
        yield Finding("warning", f"Scores are means over {total} validation examples.", larger)
        return

    scores = trial_values(reading.dataset, reading.score, reading.score.metric).astype(float)
    counts = scores[reading.finished] * sizes
    is_count = np.abs(counts - counts.round()) <= WHOLE * sizes
    if not (is_count.all() and counts.min() >= 0 and (counts <= sizes).all()):
        return  # what is no share of examples has a spread that scores do not show
    means = np.where(reading.finished, reading.means, np.inf)
    means[reading.best] = np.inf
    second = int(means.argmin())
    apart = scores[second] - scores[reading.best]
    lead = abs(float((apart.mean(axis=0) * sizes).sum()))
    if lead < FEWEST_APART:
        yield Finding(
            "note",
            f"The best leads configuration {second} by {shown(round(lead, 2))} of {total} "
            f"validation examples; fewer than {FEWEST_APART} can be chance (McNemar's test).",
            f"{larger} A loss grades every example, and tells more than a count.",
        )


def fold_sizes(reading: Reading) -> Iterator[Finding]:
    """Folds differ in size, but count the same."""
    for name in EXAMPLES:
        sizes = reading.dataset[name].values
        low, high = int(sizes.min()), int(sizes.max())
        if low == 0 or high < UNEQUAL * low:
            continue
        which = name.removesuffix("_examples")
        effect = f"an example of the smallest counts {high / low:.2g} times as much as others"
        if which == "training":
            effect = "what is best for few examples need not be best for many"
        yield Finding(
            "note",
            f"Folds have {low} to {high} {which} examples, and the score is the mean over folds: "
            f"{effect}.",
            "Make the folds more equal, or look at each: result.dataset[metric].sel(fold=…).",
        )


def unfinished(reading: Reading) -> Iterator[Finding]:
    """No configuration with some value finished, so it is compared in the middle of training."""
    status = array_of(reading.dataset, "status", *TRIAL)
    is_over = np.isin(status, ("finished", "diverged"))
    is_cut = (~is_over).any(axis=(1, 2))
    next_step = "Let the sweep go on to its end before you compare them."
    if (status == "stopped").any():
        next_step = "Let some finish before you compare them: let the stopping rule begin later."
    for name in hyperparameters(reading.dataset):
        values = column(reading.dataset, name)
        labels, place, count = np.unique(values, return_inverse=True, return_counts=True)
        finished, cut = (np.bincount(place, weights=x) for x in (reading.finished, is_cut))
        values = labels[(count > 1) & (finished == 0) & (cut > 0)].tolist()
        if values:
            those = _some(list(map(shown, values)), "or")
            yield Finding(
                "note",
                f"No configuration with {name}={those} finished: their scores are of an earlier "
                "evaluation, and do not compare with others.",
                next_step,
            )


def same_seeds(reading: Reading) -> Iterator[Finding]:
    """Seeds make no difference."""
    if not reading.are_seeds_alike:
        return
    seeds = reading.dataset.sizes["seed"]
    has_folds = reading.dataset.sizes["fold"] > 1
    yield Finding(
        "note" if has_folds else "warning",
        f"All {seeds} seeds give the same numbers: what is random in these trials, if anything, "
        "makes no difference, so that seeds do not show how sure the best is.",
        "Take one seed."
        if has_folds or reading.is_prequential
        else "Take one seed, and folds=5 for a standard error.",
    )
