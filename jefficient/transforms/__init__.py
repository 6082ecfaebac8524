"""Gradient transformations: gradients (and parameters) enter, updates leave; each is an optax pair (init, update)."""

from optax import GradientTransformation as GradientTransformation

from ._adam import adam as adam
from ._adam import adamw as adamw
from ._adam import scale_by_adam as scale_by_adam
from ._apply_updates import apply_updates as apply_updates
from ._chain import chain as chain
from ._clip import clip_by_global_norm as clip_by_global_norm
from ._decay import l1_decay as l1_decay
from ._decay import l2_decay as l2_decay
from ._scale import identity as identity
from ._scale import scale as scale
from ._scale import scale_by_learning_rate as scale_by_learning_rate
from ._scale import scale_by_schedule as scale_by_schedule
from ._sgd import sgd as sgd
from ._sgd import trace as trace
