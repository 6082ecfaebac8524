"""Compose gradient transformations; train every value of a hyperparameter in one program.

Names are imported when they are first used, so that the command line answers before jax is loaded.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from ._api import *
    from .results import Optimum, PowerLaw, Result, Simulation, TrialState, load_params
    from .sweeps._gradient_run import Hypergradient
    from .sweeps.planning import Plan
    from .sweeps.scheduler import Progress

    __version__: str

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "Choice",
    "ExecutorError",
    "GradientTransformation",
    "Hypergradient",
    "JefficientError",
    "JefficientWarning",
    "Lanes",
    "LanesState",
    "LogUniform",
    "LoggedTrial",
    "Logger",
    "Metric",
    "Observation",
    "Optimum",
    "Plan",
    "PowerLaw",
    "Progress",
    "Result",
    "Search",
    "Simulation",
    "Space",
    "StopRule",
    "StorageError",
    "Task",
    "TrainState",
    "TrainStep",
    "Trial",
    "TrialState",
    "Uniform",
    "__version__",
    "accumulate",
    "adam",
    "adamw",
    "apply_if_finite",
    "apply_updates",
    "average_weights",
    "chain",
    "clear_programs",
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
    "hyperband",
    "hypergradient",
    "hypergradient_descent",
    "hyperparameters",
    "identity",
    "interpolated_schedule",
    "inverse_time_decay",
    "join_schedules",
    "keep_zeros",
    "l1_decay",
    "l2_decay",
    "linear_schedule",
    "load",
    "load_params",
    "masked",
    "median_stop",
    "mlflow",
    "nadam",
    "nadamw",
    "named_chain",
    "optuna",
    "partition",
    "patience",
    "piecewise_constant_schedule",
    "plan",
    "plan_hypergradient",
    "polynomial_schedule",
    "proximal_adam",
    "proximal_elastic_net",
    "proximal_l1",
    "prune",
    "random",
    "reduce_on_plateau",
    "regularized",
    "rsqrt_schedule",
    "scale",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_name",
    "scale_by_schedule",
    "sgd",
    "sgdr_schedule",
    "shuffled_batch",
    "simulate",
    "sobol",
    "sparsity",
    "starting_space",
    "static",
    "successive_halving",
    "sweep",
    "tensorboard",
    "trace",
    "train_step",
    "tune",
    "use_compilation_cache",
    "use_cpu_devices",
    "vectorize",
    "wandb",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_stable_decay_schedule",
    "where_name",
]


_LATER = {
    "Optimum": ".results",
    "Plan": ".sweeps.planning",
    "PowerLaw": ".results",
    "Progress": ".sweeps.scheduler",
    "Result": ".results",
    "Simulation": ".results",
    "TrialState": ".results",
    "load_params": ".results",
    "Hypergradient": ".sweeps._gradient_run",
}
"""Names that need xarray and pandas, which composing transforms does not."""

_ROOMS = (
    "integrations",
    "results",
    "schedules",
    "spaces",
    "sweeps",
    "testing",
    "training",
    "transforms",
)


def __getattr__(name: str) -> _Any:
    """Import a public name from its home."""
    if name in _ROOMS:
        return _import_module(f".{name}", __name__)
    if name == "__version__":
        return _import_module("importlib.metadata").version("jefficient")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_import_module(_LATER.get(name, "._api"), __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, *_ROOMS]
