"""Build a model by the name of its recipe and the values of a config."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from mst_jax import config_options
from mst_jax.backbones.vit_sizes import ViTSize
from mst_jax.decoders.click_aware_decoder import ClickAwareMaskDecoder
from mst_jax.models.adaptiveclick import adaptiveclick
from mst_jax.models.click_model import ClickModel
from mst_jax.models.mst import MSTRelease, mst
from mst_jax.models.mst_adaptive import mst_adaptive
from mst_jax.models.simpleclick import simpleclick
from mst_jax.name_choices import list_choices
from mst_jax.necks.pixel_decoder import PixelDecoder

# The name in `config.model.name` -> recipe.
MODEL_RECIPES: dict[str, Callable[..., ClickModel]] = {
    "simpleclick": simpleclick,
    "mst": mst,
    "adaptiveclick": adaptiveclick,
    "mst_adaptive": mst_adaptive,
}

# Arguments of recipes that change some fields of these classes.
FIELD_ARGUMENTS: dict[str, type] = {
    "selection": MSTRelease,
    "pixel_decoder": PixelDecoder,
    "mask_decoder": ClickAwareMaskDecoder,
}

# Fields of the two modules that no config sets.
MODULE_FIELDS = ("parent", "name", "pyramid", "dtype", "remat", "scan")


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
    known = recipe_arguments(name)
    block = f"model {name!r}"
    # A typo in a key becomes one clear sentence instead of a traceback of the call.
    config_options.check_keys(block, options, known, required=())
    config_options.check_types(block, options, known)
    return MODEL_RECIPES[name](**options)


def recipe_arguments(name: str) -> dict[str, Any]:
    """Return the arguments that a recipe takes, and their annotations.

    Args:
        name: Name of a recipe in `MODEL_RECIPES`.

    Raises:
        ValueError: An unknown recipe.
    """
    if name not in MODEL_RECIPES:
        choices = list_choices(str(name), MODEL_RECIPES)
        raise ValueError(f"no model {name!r}; {choices}")
    recipe = MODEL_RECIPES[name]
    types = get_type_hints(recipe)
    own_arguments = {
        parameter.name: types[parameter.name]
        for parameter in inspect.signature(recipe).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    # The other arguments change fields of the size.
    return own_arguments | get_type_hints(ViTSize)


def field_argument_types(argument: str) -> dict[str, Any]:
    """Return the fields that an argument in `FIELD_ARGUMENTS` may change.

    Args:
        argument: Name of the argument.

    Returns:
        Name of each field -> annotation.
    """
    fields_class: Any = FIELD_ARGUMENTS[argument]
    types = get_type_hints(fields_class)
    return {
        field.name: types[field.name]
        for field in dataclasses.fields(fields_class)
        if field.name not in MODULE_FIELDS
    }
