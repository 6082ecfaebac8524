"""jefficient: compose gradient transformations, and train every value of a hyperparameter in one compiled program."""

from importlib.metadata import version

from ._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    inverse_time_decay,
    warmup_cosine_decay_schedule,
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
    adam,
    adamw,
    apply_updates,
    chain,
    clip_by_global_norm,
    identity,
    l1_decay,
    l2_decay,
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
    "adam",
    "adamw",
    "apply_updates",
    "chain",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "exponential_decay",
    "grid",
    "identity",
    "inverse_time_decay",
    "l1_decay",
    "l2_decay",
    "regularized",
    "scale",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_schedule",
    "sgd",
    "shuffled_batch",
    "sweep",
    "trace",
    "train_step",
    "vectorize",
    "warmup_cosine_decay_schedule",
]
