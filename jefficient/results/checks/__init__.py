"""Checks: a dataset enters; what a careful practitioner would warn about leaves."""

from ._list import Check as Check
from ._list import Checks as Checks
from ._list import checks as checks
