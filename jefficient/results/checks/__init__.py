"""Checks: a dataset enters; what a careful practitioner would warn about leaves."""

from ._boundary import beyond as beyond
from ._boundary import edge_of as edge_of
from ._list import Check as Check
from ._list import Checks as Checks
from ._list import checks as checks
from ._reading import Reading as Reading
