"""The parameter mapping of a built model, if a published program computes the same."""

from collections.abc import Mapping
from typing import Any

from mst_jax.checkpoints import torch_adaptiveclick
from mst_jax.checkpoints.parameter_mapping import ParameterMapping
from mst_jax.checkpoints.torch_adaptiveclick import adaptiveclick_mapping
from mst_jax.checkpoints.torch_mst import mst_mapping
from mst_jax.checkpoints.torch_vit import simpleclick_mapping
from mst_jax.models.click_model import ClickModel

# Side of the attention windows in pixels, in the published SimpleClick and AdaptiveClick.
PUBLISHED_WINDOW = 224


def published_parameter_mapping(
    model_config: Mapping[str, Any], module: ClickModel
) -> ParameterMapping:
    """Return the mapping between a model's parameters and their published names.

    Args:
        model_config: Arguments of `build`.
        module: Module that `build` returned for them.

    Raises:
        ValueError: No published program computes what this model does.
    """
    # Dropout, dtype, rematerialization and scan change no parameter and need no check.
    name = model_config["name"]
    depth, width = module.backbone.depth, module.embed.width
    if name == "simpleclick":
        _check_window_size(module)
        return simpleclick_mapping(depth, width=width, head_width=module.decoder.width)
    if name == "mst":
        # The published program reads the fields of a release from its own code.
        if model_config.get("selection"):
            raise ValueError(
                "the published program has the token selection of a release, this "
                f"model's is changed: {dict(model_config['selection'])}"
            )
        return mst_mapping(depth, module.backbone.insert_at)
    if name == "adaptiveclick":
        _check_window_size(module)
        _check_decoders(module)
        return adaptiveclick_mapping(
            depth,
            width=width,
            num_pixel_layers=module.neck.num_layers,
            num_query_layers=module.decoder.num_layers,
        )
    raise ValueError(
        f"no published program runs the model {name!r}; they run simpleclick, mst and "
        "adaptiveclick"
    )


def _check_window_size(module: ClickModel) -> None:
    window_pixels = module.backbone.window_size * module.embed.patch_size
    if window_pixels != PUBLISHED_WINDOW:
        raise ValueError(
            f"the published program attends in windows of {PUBLISHED_WINDOW} pixels, "
            f"this model in {window_pixels or 'none'}"
        )


def _check_decoders(module: ClickModel) -> None:
    """Raise ValueError unless sizes that no shape determines are the published ones."""
    neck, decoder = module.neck, module.decoder
    num_heads = torch_adaptiveclick.NUM_HEADS
    for compared_value, our_value, published_value in (
        ("heads in the pixel decoder", neck.num_heads, num_heads),
        (
            "groups in the norms of maps",
            neck.num_groups,
            torch_adaptiveclick.NUM_GROUPS,
        ),
        ("heads in the mask decoder", decoder.num_heads, num_heads),
        ("queries that attend to the clicks", decoder.attend_to_clicks, True),
    ):
        if our_value != published_value:
            raise ValueError(
                f"the published program has {compared_value}: {published_value}, this "
                f"model {our_value}"
            )
