"""Click-based interactive segmentation in JAX: click on an object, get its mask.

The public names are imported on first use, so that `import mst_jax` costs nothing and
`mst_jax.losses` needs nothing but jax and jaxtyping.
"""

import importlib

_HOME = {
    "Clicks": "mst_jax.structs",
    "Predictor": "mst_jax.inference.predictor",
    "build": "mst_jax.models.build",
    "load": "mst_jax.models.load",
}
_ROOMS = ("evaluation", "losses")

__all__ = [*_HOME, *_ROOMS]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"mst_jax.{name}")
    raise AttributeError(f"mst_jax has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
