"""Other libraries: their models become tasks, their samplers propose, their loggers are told.

Importing this package imports none of them.
"""

from ._equinox import equinox_model as equinox_model
from ._equinox import equinox_task as equinox_task
from ._linen import linen_task as linen_task
from ._mlflow import mlflow as mlflow
from ._nnx import nnx_model as nnx_model
from ._nnx import nnx_task as nnx_task
from ._optuna import optuna as optuna
from ._tensorboard import tensorboard as tensorboard
from ._wandb import wandb as wandb
