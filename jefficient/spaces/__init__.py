"""Spaces: values of hyperparameters enter, a table of configurations leaves."""

from ._grid import grid as grid
from ._space import Space as Space
