"""Click-based interactive segmentation in JAX.

The public names are imported on first use, so that `import mst_jax` is fast and
`mst_jax.losses` needs nothing but jax and jaxtyping.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mst_jax import evaluation, losses
    from mst_jax.exporting.exported_model import load_exported
    from mst_jax.inference.predictor import Predictor
    from mst_jax.interaction.inference_options import ZoomOptions
    from mst_jax.models.build import build
    from mst_jax.models.load import load
    from mst_jax.structs import Clicks

    __version__: str

_MODULE_OF_NAME = {
    "Clicks": "mst_jax.structs",
    "Predictor": "mst_jax.inference.predictor",
    "ZoomOptions": "mst_jax.interaction.inference_options",
    "build": "mst_jax.models.build",
    "load": "mst_jax.models.load",
    "load_exported": "mst_jax.exporting.exported_model",
}
_PACKAGES = ("evaluation", "losses")

__all__ = [
    "Clicks",
    "Predictor",
    "ZoomOptions",
    "build",
    "evaluation",
    "load",
    "load_exported",
    "losses",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # The version is that of the installed package; pyproject.toml sets it.
        from importlib.metadata import version

        return version("mst_jax")
    if name in _MODULE_OF_NAME:
        return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"mst_jax.{name}")
    raise AttributeError(f"mst_jax has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
