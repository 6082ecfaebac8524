"""The ranges that a first search starts from, each number with its source."""

from .._core.checks import check_count, one_of
from ._described import DescribedRanges
from ._ranges import Choice, LogUniform, Range

WHERE = "jf.starting_space"

ADAM_RATES = (
    LogUniform(1e-4, 1e-1),
    "A tenth of the default of Kingma and Ba (2015), 0.001, to a hundred times it. AlgoPerf "
    "(AdamW; Dahl et al. 2023) has 0.0001 to 0.01; small models and short trainings take more.",
)
DECAYS = (
    LogUniform(1e-4, 1.0),
    "From optax's default, which does hardly anything, to the upper end of AlgoPerf's AdamW, 0.005 "
    "to 1 (Dahl et al. 2023). It is multiplied by the learning rate.",
)
SGD_RATES = (
    LogUniform(1e-3, 1.0),
    "The lower end of Bergstra and Bengio (2012), 0.001 to 10, to what is typical at most with "
    "standardised inputs, 1 (Bengio 2012). Momentum of 0.99 prefers the lower rates.",
)
MOMENTA = (
    Choice([0.5, 0.9, 0.99]),
    "The three that are common in practice (Goodfellow, Bengio and Courville 2016, section 8.3.2).",
)

OPTIMIZERS = {
    "adam": {"learning_rate": ADAM_RATES},
    "adamw": {"learning_rate": ADAM_RATES, "weight_decay": DECAYS},
    "sgd": {"learning_rate": SGD_RATES, "momentum": MOMENTA},
}

BATCH_SIZES = (10, 20, 50, 100)
LARGEST_BATCH = 200
WARMUP = 10
"""A tenth of the training at most."""


def starting_space(
    optimizer: str, *, examples: int | None = None, steps: int | None = None
) -> DescribedRanges:
    """Return the ranges from which a careful practitioner starts; ``print`` them for the sources.

    They are wide enough that training fails at both ends of the learning rates. Draw from them, and
    let the result say where to look next. Rates, decays and warmup are drawn evenly in their
    logarithms. Batch sizes are few, since each one has its own program, and end at 200 or the
    number of examples. `b1`, `b2` and `eps` have their
    defaults: of Adam's numbers the rate comes first (Godbole et al. 2023).

    Args:
        optimizer: "adam", "adamw" or "sgd". Each name is an argument of that factory, but for
            `batch_size`, which belongs to the sweep, and `warmup_steps`.
        examples: in the training set, which the largest batch must not exceed: with k folds (k -
            1) / k of the data.
        steps: updates of a trial: adds `warmup_steps`, for an optimizer that requests it, such as
            ``lambda learning_rate, warmup_steps, steps:
            jf.adam(jf.warmup_cosine_decay_schedule(0, learning_rate, warmup_steps, steps))``.
            Below 20 there is nothing to warm up, and it is not added.

    Returns:
        A mapping from names to ranges, for ``jf.sobol(64, **ranges)``, ``jf.random(64, **ranges)``
        and ``jf.optuna(sampler, 64, **ranges)``.

    Raises:
        ArgumentError: if the optimizer is another one, or a number is below 1.

    References:
        Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; Dahl et al. 2023,
        Benchmarking Neural Network Training Algorithms, https://arxiv.org/abs/2306.07179, and the
        search spaces of its baselines; Bergstra and Bengio 2012, Random search for hyper-parameter
        optimization, section 2.4; Bengio 2012, Practical recommendations for gradient-based
        training of deep architectures, https://arxiv.org/abs/1206.5533, section 3.1; Goodfellow,
        Bengio and Courville 2016, Deep Learning; Godbole et al. 2023, Deep Learning Tuning
        Playbook, "How to apply learning rate warmup" and "How should Adam's hyperparameters be
        tuned?".

    Examples:
        >>> import jefficient as jf
        >>> ranges = jf.starting_space("adamw", examples=1200)
        >>> list(ranges)
        ['learning_rate', 'weight_decay', 'batch_size']
        >>> len(jf.sobol(64, **ranges))
        64
    """
    one_of(WHERE, "optimizer", optimizer, tuple(OPTIMIZERS))
    numbers = {"examples": examples, "steps": steps}
    check_count(WHERE, **{name: x for name, x in numbers.items() if x is not None})
    chosen: dict[str, tuple[Range, str]] = {**OPTIMIZERS[optimizer]}
    chosen["batch_size"] = _batch_sizes(examples)
    if steps is not None and steps // WARMUP >= 2:
        chosen["warmup_steps"] = (
            LogUniform(1, steps // WARMUP, integer=True),
            f"Orders of magnitude up to a tenth of the {steps} updates (Godbole et al. 2023).",
        )
    return DescribedRanges(
        {name: given for name, (given, _) in chosen.items()},
        {name: reason for name, (_, reason) in chosen.items()},
    )


def _batch_sizes(examples: int | None) -> tuple[Range, str]:
    largest = LARGEST_BATCH if examples is None else min(LARGEST_BATCH, int(examples))
    sizes = [size for size in BATCH_SIZES if 1.5 * size <= largest]
    why = "From 1 to a few hundreds is typical (Bengio 2012); few values, since each is a program."
    if largest < LARGEST_BATCH:
        why += f" The largest has all {largest} examples."
    return Choice([*sizes, largest]), why
