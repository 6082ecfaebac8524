"""What goes to another process and comes back, as bytes made by cloudpickle.

So functions of a notebook or a script get there.
"""

import io
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.arithmetic import JAX_SETTINGS
from ..._core.errors import JefficientError
from ..tasks import WHERE


def packed(content: object) -> bytes:
    """Return the content as bytes; typed keys, which have no pickle of their own, as arrays."""
    cloudpickle = _cloudpickle()

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, obj: object) -> object:
            if isinstance(obj, jax.Array) and jnp.issubdtype(obj.dtype, jax.dtypes.prng_key):
                impl = str(jax.random.key_impl(obj))
                return _key_from, (np.asarray(jax.random.key_data(obj)), impl)
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    Pickler(buffer).dump(content)
    return buffer.getvalue()


def _key_from(data: np.ndarray, impl: str) -> jax.Array:
    return jax.random.wrap_key_data(jnp.asarray(data), impl=impl)


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


def portable_error(error: Exception) -> Exception:
    """Return the error if it survives being packed, otherwise one with the same text."""
    try:
        unpacked(packed(error))
    except Exception:
        text = f"{type(error).__name__}: {error}"
        return JefficientError(f"{WHERE}: a part must not fail, got {text}")
    return error


def _cloudpickle() -> ModuleType:
    try:
        import cloudpickle
    except ImportError:
        raise JefficientError(
            f"{WHERE}: cloudpickle must be installed for executor=…: "
            f"pip install 'jefficient[executors]'."
        ) from None
    return cloudpickle
