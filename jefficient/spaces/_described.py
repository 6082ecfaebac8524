"""Ranges with the reason for each."""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core import html
from .._core.text import displayed
from ._ranges import Choice, LogUniform, Range


@dataclasses.dataclass(frozen=True, repr=False)
class DescribedRanges(Mapping[str, Any]):
    """A range for each hyperparameter, and why it is that one; printed it says both.

    It is a mapping: draw from it by ``jf.sobol(64, **ranges)``, ``jf.random``, or let Optuna
    propose, ``jf.optuna(sampler, 64, **ranges)``. ``{**ranges, "momentum": jf.Uniform(0, 0.9)}`` is
    a plain dict with another range.

    Attributes:
        ranges: name to `jf.Uniform`, `jf.LogUniform` or `jf.Choice`.
        reasons: name to a sentence.
    """

    ranges: Mapping[str, Range]
    reasons: Mapping[str, str]

    def __getitem__(self, name: str) -> Range:
        return self.ranges[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranges)

    def __len__(self) -> int:
        return len(self.ranges)

    def __repr__(self) -> str:
        return "\n".join(map(self.described, self))

    def _repr_html_(self) -> str:
        return html.paragraph(repr(self))

    def described(self, name: str, note: str = "") -> str:
        """Return the range of one hyperparameter and its reason, in lines of 100 characters."""
        text = f"{name}: {in_words(self.ranges[name])}. {self.reasons[name]}{note}"
        return textwrap.fill(displayed(text), 100, subsequent_indent="    ")


def in_words(given: Range) -> str:
    """Write a range as a reader would say it: "0.0001 to 0.1 (logarithmic)"."""
    if isinstance(given, Choice):
        kind = "" if len(tuple(given.values)) == 1 else "one of "
        return kind + ", ".join(map(_short, given.labels or given.values))
    notes = ["logarithmic"] * isinstance(given, LogUniform) + ["whole"] * given.integer
    ends = f"{given.low:.4g} to {given.high:.4g}"
    return f"{ends} ({', '.join(notes)})" if notes else ends


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
