"""Training: a loss and a transform enter, a pure (init, update) leaves, or one for a whole grid."""

from ._diagnostics import noise_scale as noise_scale
from ._diagnostics import sharpness as sharpness
from ._objective import regularized as regularized
from ._shuffle import sequential_batch as sequential_batch
from ._shuffle import shuffled_batch as shuffled_batch
from ._shuffle import shuffled_indices as shuffled_indices
from ._train_step import TrainState as TrainState
from ._train_step import TrainStep as TrainStep
from ._train_step import layer_norms as layer_norms
from ._train_step import measured_step as measured_step
from ._train_step import recorded_metrics as recorded_metrics
from ._train_step import train_step as train_step
from ._vectorize import Lanes as Lanes
from ._vectorize import LanesState as LanesState
from ._vectorize import vectorize as vectorize
