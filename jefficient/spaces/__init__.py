"""Spaces: values or ranges of hyperparameters enter, a table of configurations leaves."""

from ._axis import Axis as Axis
from ._described import DescribedRanges as DescribedRanges
from ._described import in_words as in_words
from ._draws import checked_ranges as checked_ranges
from ._draws import random as random
from ._draws import sobol as sobol
from ._from_points import from_points as from_points
from ._from_points import static_combinations as static_combinations
from ._grid import grid as grid
from ._ranges import Choice as Choice
from ._ranges import LogUniform as LogUniform
from ._ranges import Range as Range
from ._ranges import Uniform as Uniform
from ._ranges import positions_shape as positions_shape
from ._space import Space as Space
from ._starting_space import OPTIMIZERS as OPTIMIZERS
from ._starting_space import starting_space as starting_space
from ._static import static as static
