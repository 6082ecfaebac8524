"""Schedules: a step enters (int32 or floating, any shape), a value leaves (float32 at least, the same shape)."""

from ._constant import constant_schedule as constant_schedule
from ._cosine import cosine_decay_schedule as cosine_decay_schedule
from ._decay import exponential_decay as exponential_decay
from ._decay import inverse_time_decay as inverse_time_decay
from ._warmup import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
