"""Name and plain values to model."""

from mst_jax import config_options
from mst_jax.models.adaptiveclick import adaptiveclick
from mst_jax.models.click_model import ClickModel
from mst_jax.models.mst import mst
from mst_jax.models.mst_adaptive import mst_adaptive
from mst_jax.models.simpleclick import simpleclick

MODELS = {
    "simpleclick": simpleclick,
    "mst": mst,
    "adaptiveclick": adaptiveclick,
    "mst_adaptive": mst_adaptive,
}


def build(name: str, **kwargs: object) -> ClickModel:
    """Builds the model that a config names.

    Args:
        name: a recipe in `MODELS`.
        **kwargs: arguments of the recipe.

    Returns:
        A Linen module: `build(...).init(key, image, clicks, previous)` makes variables,
        `.apply(variables, image, clicks, previous)` runs it.

    Raises:
        ValueError: no such recipe, or a value that the recipe does not take.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}; choose one of {', '.join(MODELS)}")
    return config_options.call(MODELS[name], f"model {name!r}", **kwargs)
