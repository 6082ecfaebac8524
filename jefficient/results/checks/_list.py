"""All checks, and what they return.

A check is a function of a `Reading` that yields `Finding`s, and an entry of `CHECKS`. They follow
Godbole, Dahl, Gilmer, Shallue and Nado (2023), "Deep Learning Tuning Playbook".
"""

import dataclasses

import numpy as np
import xarray as xr

from ..._core import html
from ..._core.text import displayed
from . import _curves as curves
from . import _measured as measured
from . import _space as space
from ._boundary import boundary
from ._reading import Finding, Reading, mend_data
from ._stream import drift

CHECKS = {
    "boundary": boundary,
    "divergence_edge": space.divergence_edge,
    "diverged": space.diverged,
    "stopped": space.stopped,
    "overfitting": curves.overfitting,
    "rising": curves.rising,
    "improving": curves.improving,
    "saturated": curves.saturated,
    "clipped": curves.clipped,
    "drift": drift,
    "unmoved": measured.unmoved,
    "hardly_learns": measured.hardly_learns,
    "same_seeds": measured.same_seeds,
    "few_examples": measured.few_examples,
    "fold_sizes": measured.fold_sizes,
    "unfinished": measured.unfinished,
    "own_losses": space.own_losses,
    "noise": space.noise,
    "coarse": space.coarse,
}


@dataclasses.dataclass(frozen=True)
class Check:
    """A warning or a note about a result.

    Attributes:
        name: which check says so; the guide lists them under "What the checks say".
        severity: "warning" if the answer may be wrong, "note" if it could be better, cheaper or
            surer.
        evidence: what was found, with numbers.
        next_step: what to do.
    """

    name: str
    severity: str
    evidence: str
    next_step: str

    def __str__(self) -> str:
        return displayed(f"{self.evidence} {self.next_step}")


class Checks(tuple[Check, ...]):
    """A tuple of `Check`, warnings first; printed it has one a line."""

    __slots__ = ()

    def __str__(self) -> str:
        if not self:
            return "The checks found nothing."
        return "\n".join(f"{check.severity}, {check.name}: {check}" for check in self)

    def _repr_html_(self) -> str:
        if not self:
            return html.paragraph(str(self))
        columns = [field.name for field in dataclasses.fields(Check)]
        rows = [[getattr(check, name) for name in columns] for check in self]
        return html.table([name.replace("_", " ") for name in columns], rows, 0)


def checks(dataset: xr.Dataset) -> Checks:
    """See `Result.checks`."""
    reading = Reading(dataset)
    if not reading.finished.any():
        return Checks([Check("nothing_finished", *_nothing_finished(dataset))])
    found = [Check(name, *finding) for name, check in CHECKS.items() for finding in check(reading)]
    return Checks(sorted(found, key=lambda check: check.severity != "warning"))


def _nothing_finished(dataset: xr.Dataset) -> Finding:
    """Say how the trials ended, and what to do about it."""
    names, counts = np.unique(dataset["status"].values.astype(str), return_counts=True)
    how = dict(zip(names.tolist(), counts.tolist(), strict=True))
    trials = ", ".join(f"{count} {name}" for name, count in how.items())
    evidence = (
        f"No configuration finished with a finite {dataset.attrs['metric']} in every trial "
        f"(trials: {trials}), so there is no best one."
    )
    if "running" in how:
        next_step = "Read the result again when the sweep has ended."
    elif "interrupted" in how:
        next_step = "Run the same call again: with directory=… it goes on from where it was."
    elif "diverged" in how:
        next_step = mend_data(dataset) or (
            "Lower the learning rates, add warmup or gradient clipping, or find the first NaN in "
            "the loss."
        )
    elif "stopped" in how:
        next_step = "Look at the metric in result.dataset, and let the stopping rule wait longer."
    else:
        next_step = (
            f"Look at {dataset.attrs['metric']} in result.dataset: where it is not finite, what it "
            "counts may be missing. Rank by another metric, or define it there."
        )
    return Finding("warning", evidence, next_step)
