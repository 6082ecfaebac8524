"""Compose gradient transformations; train every value of a hyperparameter in one program."""

from importlib import import_module as _import_module
from importlib.metadata import version
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ._core.devices import use_compilation_cache, use_cpu_devices
from ._core.errors import (
    ArgumentError,
    ArgumentTypeError,
    JefficientError,
    JefficientWarning,
    StorageError,
)
from .integrations import optuna
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
    Choice,
    LogUniform,
    Space,
    Uniform,
    grid,
    random,
    sobol,
    static,
)
from .sweeps import (
    Metric,
    Observation,
    Search,
    StopRule,
    Task,
    Trial,
    host_metric,
    load,
    median_stop,
    plan,
    successive_halving,
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
    average_weights,
    chain,
    clip,
    clip_by_global_norm,
    evaluation_params,
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
    where_name,
)

if _TYPE_CHECKING:
    from .results import Result
    from .sweeps.planning import Plan
    from .sweeps.scheduler import Progress

__version__ = version("jefficient")

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "Choice",
    "GradientTransformation",
    "JefficientError",
    "JefficientWarning",
    "Lanes",
    "LanesState",
    "LogUniform",
    "Metric",
    "Observation",
    "Plan",
    "Progress",
    "Result",
    "Search",
    "Space",
    "StopRule",
    "StorageError",
    "Task",
    "TrainState",
    "TrainStep",
    "Trial",
    "Uniform",
    "__version__",
    "accumulate",
    "adam",
    "adamw",
    "apply_if_finite",
    "apply_updates",
    "average_weights",
    "chain",
    "clip",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "evaluation_params",
    "exponential_decay",
    "flatten",
    "grid",
    "host_metric",
    "hyperparameters",
    "identity",
    "inverse_time_decay",
    "join_schedules",
    "l1_decay",
    "l2_decay",
    "linear_schedule",
    "load",
    "masked",
    "median_stop",
    "nadam",
    "nadamw",
    "named_chain",
    "optuna",
    "partition",
    "piecewise_constant_schedule",
    "plan",
    "polynomial_schedule",
    "proximal_adam",
    "proximal_elastic_net",
    "proximal_l1",
    "random",
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
    "sobol",
    "static",
    "successive_halving",
    "sweep",
    "trace",
    "train_step",
    "use_compilation_cache",
    "use_cpu_devices",
    "vectorize",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_stable_decay_schedule",
    "where_name",
]


_LATER = {"Plan": ".sweeps.planning", "Progress": ".sweeps.scheduler", "Result": ".results"}
"""Public names that need xarray and pandas: imported when they are first used."""


def __getattr__(name: str) -> _Any:
    """Import on first use what a program that only composes transforms does not need."""
    if name in ("integrations", "testing"):
        return _import_module(f".{name}", __name__)
    if name in _LATER:
        return getattr(_import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
