"""Models from elsewhere: a flax or equinox model, a loss of its outputs and rows enter; a `jf.Task` leaves.

Importing this imports none of them.
"""

from ._equinox import equinox_model as equinox_model
from ._equinox import equinox_task as equinox_task
from ._linen import linen_task as linen_task
from ._nnx import nnx_model as nnx_model
from ._nnx import nnx_task as nnx_task
