"""A paired test of two configurations."""

import dataclasses

import xarray as xr

from .._core.checks import check_place
from .._core.errors import ArgumentError
from ._dataset import score_of
from ._distributions import t_isf
from ._statistics import finished, paired_test, units_of


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two configurations on the same seeds and folds, compared.

    Attributes:
        a: a configuration's number.
        b: the other's.
        metric: what the score is.
        difference: mean score of `a` minus that of `b`.
        standard_error: of the difference, corrected for folds that overlap; NaN for one seed and
            one fold.
        degrees: of freedom: units - 1, the units being the folds or, with one fold, the seeds.
        statistic: difference / standard_error, NaN for one unit.
        p_value: two-sided: how often a difference at least as large appears where there is none.
        low: end of the 95 % confidence interval of the difference.
        high: the other end.
        trials: of each configuration.
    """

    a: int
    b: int
    metric: str
    difference: float
    standard_error: float
    degrees: int
    statistic: float
    p_value: float
    low: float
    high: float
    trials: int

    def __str__(self) -> str:
        text = (
            f"{self.metric} of configuration {self.a} minus that of {self.b}: {self.difference:.4g}"
        )
        if self.degrees == 0:
            return f"{text} (one trial each: nothing tells it from chance; seeds or folds would)"
        return (
            f"{text} ± {self.standard_error:.2g}, 95 % interval {self.low:.4g} to {self.high:.4g}, "
            f"p = {self.p_value:.2g} ({self.trials} trials each, {self.degrees} degrees of freedom)"
        )


def compare(dataset: xr.Dataset, a: int, b: int) -> Comparison:
    """See `Result.compare`."""
    metric = score_of(dataset).metric
    is_finished = finished(dataset)
    for name, config in (("a", a), ("b", b)):
        check_place("jf.Result.compare", len(is_finished), **{name: config})
        if not is_finished[config]:
            raise ArgumentError(
                f"jf.Result.compare: all trials of {name} must have finished with a finite "
                f"{metric}, got {name}={config}. result.table() shows which were stopped or "
                "diverged."
            )

    units = units_of(dataset)
    test = paired_test(units, a, b)
    degrees = units.values.shape[-1] - 1
    half = t_isf(0.025, degrees) * test.standard_error
    return Comparison(
        a=int(a),
        b=int(b),
        metric=metric,
        difference=float(test.difference),
        standard_error=float(test.standard_error),
        degrees=degrees,
        statistic=float(test.statistic),
        p_value=float(test.p_value),
        low=float(test.difference - half),
        high=float(test.difference + half),
        trials=dataset.sizes["seed"] * dataset.sizes["fold"],
    )
