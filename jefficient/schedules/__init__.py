"""Schedules: a step enters (int32 or floating, any shape), a value leaves.

The value has the shape of the step, and is float32 at least.
"""

from ._constant import constant_schedule as constant_schedule
from ._cosine import cosine_decay_schedule as cosine_decay_schedule
from ._decay import exponential_decay as exponential_decay
from ._decay import inverse_time_decay as inverse_time_decay
from ._interpolated import interpolated_schedule as interpolated_schedule
from ._onecycle import cosine_onecycle_schedule as cosine_onecycle_schedule
from ._piecewise import join_schedules as join_schedules
from ._piecewise import piecewise_constant_schedule as piecewise_constant_schedule
from ._piecewise import sgdr_schedule as sgdr_schedule
from ._polynomial import linear_schedule as linear_schedule
from ._polynomial import polynomial_schedule as polynomial_schedule
from ._rsqrt import rsqrt_schedule as rsqrt_schedule
from ._warmup import warmup_constant_schedule as warmup_constant_schedule
from ._warmup import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
from ._warmup import warmup_stable_decay_schedule as warmup_stable_decay_schedule
