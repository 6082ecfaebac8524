"""The few types that annotations use, and what weights are."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

Scalar: TypeAlias = float | int | np.number | jax.Array
"""A real number: Python, NumPy, or a jax array of shape (), traced or not."""

Step: TypeAlias = int | np.ndarray | jax.Array
"""A step count: int32 (exact) or floating, of any shape."""

Schedule: TypeAlias = Callable[[Any], Any]
"""step -> value."""

ScalarOrSchedule: TypeAlias = Scalar | Schedule

DType: TypeAlias = np.dtype
"""The dtype of an array."""

Tree: TypeAlias = Any
"""A pytree of arrays, of which nothing more is known here."""

Params: TypeAlias = Any
"""A model's parameters: a pytree of arrays; with ``model_state=True`` the pair (params, state)."""

Updates: TypeAlias = Any
"""Gradients, or what is added to parameters: a pytree of arrays like theirs."""

State: TypeAlias = Any
"""What a transform, or a trial, keeps between updates: a pytree of arrays."""

ModelState: TypeAlias = Any
"""What a model keeps beside its parameters (running means, …): a pytree of arrays, None if nothing.
"""

Examples: TypeAlias = Any
"""Data, or a batch of them: a pytree of arrays whose first axes are examples."""

PAIR = "params, state"
"""Attribute `weights` of a dataset whose weights are pairs (params, state)."""

Device: TypeAlias = Any
"""A `jax.Device`, which a type checker does not accept as a type."""
