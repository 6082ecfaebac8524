"""Derivatives of a score: a configuration enters; its derivatives in its hyperparameters leave."""

from ._differentiator import Differentiator as Differentiator
from ._differentiator import without_derivative as without_derivative
