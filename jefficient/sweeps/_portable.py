"""What goes to another process and comes back, as bytes made by cloudpickle.

So functions of a notebook or a script get there.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.arithmetic import JAX_SETTINGS
from .._core.errors import JefficientError
from .planning import Settings
from .tasks import WHERE


def packed(content: Any) -> bytes:
    """Return the content as bytes."""
    return _cloudpickle().dumps(content)


def unpacked(data: bytes) -> Any:
    """Return the content that `packed` was given in a process of the same user."""
    return _cloudpickle().loads(data)


def jax_settings() -> dict[str, Any]:
    """Return the settings of jax that change numbers: workers take them over."""
    return {name: getattr(jax.config, name) for name in JAX_SETTINGS}


def use_jax_settings(settings: dict[str, Any]) -> None:
    """Set what `jax_settings` returned in another process."""
    for name, value in settings.items():
        jax.config.update(name, value)


def portable_settings(settings: Settings) -> dict[str, Any]:
    """Return settings with the key as arrays: a typed key cannot be pickled."""
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    impl = str(jax.random.key_impl(settings.key))
    return {**fields, "key": (impl, np.asarray(jax.random.key_data(settings.key)))}


def settings_from(fields: dict[str, Any]) -> Settings:
    """Return the settings that `portable_settings` was given."""
    impl, data = fields["key"]
    return Settings(**{**fields, "key": jax.random.wrap_key_data(jnp.asarray(data), impl=impl)})


def portable_error(error: Exception) -> Exception:
    """Return the error if it survives being packed, otherwise one with the same text."""
    try:
        unpacked(packed(error))
    except Exception:
        text = f"{type(error).__name__}: {error}"
        return JefficientError(f"{WHERE}: a part must not fail, got {text}")
    return error


def _cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError:
        raise JefficientError(
            f"{WHERE}: cloudpickle must be installed for executor=…: "
            f"pip install 'jefficient[executors]'."
        ) from None
    return cloudpickle
