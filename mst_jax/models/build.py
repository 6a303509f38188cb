"""Build a model by the name of its recipe and the values of a config."""

from collections.abc import Callable
from typing import Any

from mst_jax import config_options
from mst_jax.models.adaptiveclick import adaptiveclick
from mst_jax.models.click_model import ClickModel
from mst_jax.models.mst import mst
from mst_jax.models.mst_adaptive import mst_adaptive
from mst_jax.models.simpleclick import simpleclick

# The name in `config.model.name` -> recipe.
MODEL_RECIPES: dict[str, Callable[..., ClickModel]] = {
    "simpleclick": simpleclick,
    "mst": mst,
    "adaptiveclick": adaptiveclick,
    "mst_adaptive": mst_adaptive,
}


def build(name: str, **options: Any) -> ClickModel:
    """Build the model that a config names.

    Args:
        name: Name of a recipe in `MODEL_RECIPES`.
        **options: Arguments of the recipe.

    Returns:
        A Linen module: `build(...).init(key, image, clicks, prev_mask)` makes variables,
        `.apply(variables, image, clicks, prev_mask)` runs it.

    Raises:
        ValueError: An unknown recipe, or a value that the recipe does not take.
    """
    if name not in MODEL_RECIPES:
        raise ValueError(f"no model {name!r}; choose one of {', '.join(MODEL_RECIPES)}")
    # A typo in a key becomes one clear sentence instead of a traceback of the call.
    return config_options.call_with_options(
        MODEL_RECIPES[name], f"model {name!r}", **options
    )
