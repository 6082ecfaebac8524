"""jefficient: compose gradient transformations, and train every value of a hyperparameter in one compiled program."""

from importlib import import_module as _import_module
from importlib.metadata import version
from typing import Any as _Any

from ._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .schedules import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    inverse_time_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    rsqrt_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_stable_decay_schedule,
)
from .spaces import (
    Space,
    grid,
)
from .sweep import (
    Progress,
    Task,
    sweep,
)
from .training import (
    Lanes,
    LanesState,
    TrainState,
    TrainStep,
    regularized,
    shuffled_batch,
    train_step,
    vectorize,
)
from .transforms import (
    GradientTransformation,
    accumulate,
    adam,
    adamw,
    apply_if_finite,
    apply_updates,
    chain,
    clip,
    clip_by_global_norm,
    flatten,
    hyperparameters,
    identity,
    l1_decay,
    l2_decay,
    masked,
    nadam,
    nadamw,
    named_chain,
    partition,
    proximal_adam,
    proximal_elastic_net,
    proximal_l1,
    reduce_on_plateau,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_schedule,
    sgd,
    trace,
)

__version__ = version("jefficient")

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "GradientTransformation",
    "JefficientError",
    "Lanes",
    "LanesState",
    "Progress",
    "Space",
    "Task",
    "TrainState",
    "TrainStep",
    "__version__",
    "accumulate",
    "adam",
    "adamw",
    "apply_if_finite",
    "apply_updates",
    "chain",
    "clip",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "flatten",
    "grid",
    "hyperparameters",
    "identity",
    "inverse_time_decay",
    "join_schedules",
    "l1_decay",
    "l2_decay",
    "linear_schedule",
    "masked",
    "nadam",
    "nadamw",
    "named_chain",
    "partition",
    "piecewise_constant_schedule",
    "polynomial_schedule",
    "proximal_adam",
    "proximal_elastic_net",
    "proximal_l1",
    "reduce_on_plateau",
    "regularized",
    "rsqrt_schedule",
    "scale",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_schedule",
    "sgd",
    "sgdr_schedule",
    "shuffled_batch",
    "sweep",
    "trace",
    "train_step",
    "vectorize",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_stable_decay_schedule",
]


def __getattr__(name: str) -> _Any:
    """`jf.testing` on first use: it needs chex, which a program that trains does not."""
    if name == "testing":
        return _import_module(".testing", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
