"""`jf.optuna`: a study or sampler and ranges enter, a search for `jf.sweep` leaves."""

from typing import TYPE_CHECKING

from .._core.checks import check_count
from .._core.errors import ArgumentTypeError, JefficientError
from ..spaces import Axis, Range, checked_ranges

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

    from ._optuna_search import OptunaSearch

WHERE = "jf.optuna"
STORAGE = "sqlite:///optuna.db"


def optuna(
    study_or_sampler: "Study | BaseSampler",
    n: int,
    /,
    *,
    batch: int = 16,
    storage: "str | BaseStorage | None" = STORAGE,
    study_name: str | None = None,
    **ranges: Range | Axis,
) -> "OptunaSearch":
    """Let a sampler of Optuna propose the configurations of a sweep, `batch` at a time.

    ``jf.sweep(task, optimizer, jf.optuna(sampler, n, …))`` asks for a batch, trains it as lanes of
    the usual programs, tells the sampler the scores, and asks again. Programs are compiled once for
    all batches. A trial of Optuna is a configuration here: its value is the mean score over seeds
    and folds, its intermediate values are that mean at up to 20 of its evaluations.

    A configuration with a diverged trial is told as ``FAIL`` (its user attribute `failed` says
    why), one that `stop` has stopped as ``PRUNED``. One that is proposed again is not trained
    again, and does not count: its known result is told, whichever process trained it. When nothing
    new is left (`GridSampler`, `BruteForceSampler`, ranges of a few values) the search ends, with a
    `JefficientWarning`.

    The study keeps what it was told, whatever happens to the process. Called again with the same
    `study_name`, the sweep brings the study to n trials; several processes on one storage share the
    work. A batch that was lost with its process is proposed again once its heartbeat has been
    missing for two minutes. The random numbers for a trial follow from the sampler's seed and the
    number of the trial, so that a sampler with the same seed in all processes repeats nothing.

    Args:
        study_or_sampler: one of ``optuna.samplers``; or an ``optuna.Study`` with one objective,
            whose direction is the sweep's `mode`.
        n: points with a result that the study has at the end: those told before and by other
            processes count, copies and those that were lost do not. Batches under way
            elsewhere are not counted, so that a few more may come.
        batch: configurations in a proposal at most. Samplers learn between batches: smaller ones
            need fewer trials, larger ones less time.
        storage: with a sampler: the address of a database (``sqlite:///…``, ``postgresql://…``), a
            storage of Optuna's, or None for memory. With a storage object or a study of your own,
            heartbeats are as you have set them.
        study_name: with a sampler: the study to go on with, or to begin; by default a new one with
            a name of its own.
        **ranges: for each hyperparameter `jf.Uniform`, `jf.LogUniform`, `jf.Choice`, or what
            `jf.static` returns. Optuna sees the labels of static values, and an array with a
            `shape` as a parameter for each of its numbers: ``rates[0]``, ``rates[1]``, ….

    Returns:
        A `jf.Search`, which `jf.sweep` takes as its space. Its `study` is Optuna's, once the sweep
        has begun. The result's dataset has the configurations that this process trained, each with
        the number of its trial as the coordinate `optuna_trial`.

    Raises:
        ArgumentError: if no range is given, or a number is out of bounds; from `jf.sweep` if the
            study has n trials already, another direction, or is of another sweep.
        ArgumentTypeError: if `study_or_sampler` is neither, or a range is of another kind.
        JefficientError: if Optuna is not installed.

    References:
        Akiba et al. 2019, Optuna: A Next-generation Hyperparameter Optimization Framework,
        https://arxiv.org/abs/1907.10902.

    Examples:
        >>> import optuna
        >>> import jefficient as jf
        >>> sampler = optuna.samplers.TPESampler(seed=0)
        >>> ranges = {"learning_rate": jf.LogUniform(1e-4, 1e-1), "l2": jf.Uniform(0, 1e-2)}
        >>> jf.optuna(sampler, 64, storage=None, **ranges)
        OptunaSearch(TPESampler, n=64, batch=16; learning_rate, l2)
    """
    check_count(WHERE, n=n, batch=batch)
    known_ranges = checked_ranges(WHERE, ranges)
    try:
        import optuna
    except ImportError:
        raise JefficientError(
            f"{WHERE}: Optuna must be installed: pip install 'jefficient[optuna]'."
        ) from None
    from ._optuna_search import OptunaSearch

    is_study = isinstance(study_or_sampler, optuna.Study)
    if not is_study and not isinstance(study_or_sampler, optuna.samplers.BaseSampler):
        raise ArgumentTypeError(
            f"{WHERE}: study_or_sampler must be an optuna.Study or one of optuna.samplers, "
            f"got {study_or_sampler!r}."
        )
    if is_study and (study_name is not None or storage != STORAGE):
        raise ArgumentTypeError(
            f"{WHERE}: storage and study_name go with a sampler, got {storage=}, {study_name=} "
            f"with a study, which has its own."
        )
    return OptunaSearch(study_or_sampler, int(n), int(batch), storage, study_name, known_ranges)
