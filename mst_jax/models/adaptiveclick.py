"""AdaptiveClick: plain ViT, deformable pixel decoder, click-aware mask decoder."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import flax.linen as nn

from mst_jax import config_options
from mst_jax.backbones.vit_sizes import ViTSize, get_vit_size
from mst_jax.compute_dtype import parse_compute_dtype
from mst_jax.decoders.click_aware_decoder import ClickAwareMaskDecoder
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_encoder
from mst_jax.necks.pixel_decoder import PixelDecoder
from mst_jax.necks.simple_pyramid import SimplePyramid

ModuleT = TypeVar("ModuleT", bound=nn.Module)

HUGE_PYRAMID_WIDTHS = (512, 1024, 2048, 4096)


def get_wide_vit_size(size: str, **size_changes: int | Sequence[int]) -> ViTSize:
    """Return a published size with the wider pyramid of AdaptiveClick.

    Source: the released configs: twice the pyramid widths of SimpleClick for base, twice
    those for huge. The widths of the other sizes were not published.

    Args:
        size: Name of a size in `backbones.vit_sizes.VIT_SIZES`.
        **size_changes: New values for fields of `ViTSize`.

    Returns:
        The size that the changes lead to.

    Raises:
        ValueError: An unknown size or field, or a value that no model can have.
    """
    double_widths = tuple(2 * width for width in get_vit_size(size).pyramid_widths)
    pyramid_widths = HUGE_PYRAMID_WIDTHS if size == "huge" else double_widths
    # The user's changes take precedence, also over the wider pyramid.
    return get_vit_size(size, **{"pyramid_widths": pyramid_widths, **size_changes})


def make_query_decoder(
    size_config: ViTSize,
    *,
    pixel_decoder: Mapping[str, Any] | None,
    mask_decoder: Mapping[str, Any] | None,
    dtype: str,
    remat: str,
    scan: bool,
) -> tuple[PixelDecoder, ClickAwareMaskDecoder]:
    """Make the neck and the decoder, both of the size's decoder width.

    Args:
        size_config: Widths and depths of the model.
        pixel_decoder: New values for fields of `PixelDecoder`; None: no changes.
        mask_decoder: New values for fields of `ClickAwareMaskDecoder`; None: no changes.
        dtype: Compute dtype of the matrix products, "float32" or "bfloat16".
        remat: What the backward pass recomputes, see `layers.remat`.
        scan: Whether equal layers of both are the body of a loop.

    Returns:
        The pixel decoder, which is the neck, and the mask decoder.

    Raises:
        ValueError: An unknown field, or a width that the heads or groups do not divide.
    """
    width, compute_dtype = size_config.decoder_width, parse_compute_dtype(dtype)
    # 1. The pixel decoder, whose MLPs are four times as wide as its cells.
    neck = _module_from_block(
        PixelDecoder,
        "config.model.pixel_decoder",
        {"width": width, "mlp_hidden": 4 * width, **(pixel_decoder or {})},
        pyramid=SimplePyramid(size_config.pyramid_widths, compute_dtype),
        dtype=compute_dtype,
        remat=remat,
        scan=scan,
    )
    # 2. The mask decoder; its queries have the width of the cells.
    decoder = _module_from_block(
        ClickAwareMaskDecoder,
        "config.model.mask_decoder",
        {"mlp_hidden": 8 * width, **(mask_decoder or {})},
        dtype=compute_dtype,
        remat=remat,
        scan=scan,
    )
    # 3. Check the divisors here, where an error can name the keys of the config.
    for divisor_name, divisor in (
        ("groups of the norms", neck.num_groups),
        ("heads of the pixel decoder", neck.num_heads),
        ("heads of the mask decoder", decoder.num_heads),
        ("quarters of the sine positions", 4),
    ):
        if divisor < 1 or neck.width % divisor:
            raise ValueError(
                f"{divisor} {divisor_name} do not divide the width {neck.width}; change "
                "config.model.decoder_width or the values in "
                "config.model.pixel_decoder and config.model.mask_decoder"
            )
    return neck, decoder


def _module_from_block(
    module_class: type[ModuleT],
    block_name: str,
    values: Mapping[str, Any],
    **fixed: Any,
) -> ModuleT:
    """Make a Linen module from a block of a config.

    Args:
        module_class: Linen module class.
        block_name: Name of the block as the user writes it.
        values: Fields that the block may set, and their values.
        **fixed: Fields that the block cannot set, and their values.

    Raises:
        ValueError: A field in `values` that the module does not have.
    """
    # Flax adds the fields "parent" and "name" to every module.
    hidden_fields = {"parent", "name", *fixed}
    field_names = [field.name for field in dataclasses.fields(module_class)]
    known_fields = [name for name in field_names if name not in hidden_fields]
    config_options.check_keys(block_name, values, known_fields, required=())
    return module_class(**values, **fixed)


def adaptiveclick(
    *,
    size: str = "base",
    crop: int = 448,
    window: int = 224,
    pixel_decoder: Mapping[str, Any] | None = None,
    mask_decoder: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    remat: str = "none",
    scan: bool = False,
    **size_changes: int | Sequence[int],
) -> ClickModel:
    """Build a plain ViT with a deformable pixel decoder and click-aware queries.

    Source: Lin et al., AdaptiveClick: Click-aware Transformer with Adaptive Focal Loss,
    arXiv 2305.04276. Without its decoder it is the recipe `simpleclick`.

    Args:
        size: Name of a size in `backbones.vit_sizes.VIT_SIZES`; its `decoder_width` is
            the width of both decoders.
        crop: Side in pixels of the square image whose grid the learned positions have.
        window: Side of the attention windows in pixels; 0: every block is global.
        pixel_decoder: New values for fields of `PixelDecoder`, such as `num_layers`.
        mask_decoder: New values for fields of `ClickAwareMaskDecoder`, such as
            `num_queries` or `attend_to_clicks`.
        dtype: Compute dtype of the matrix products, "float32" or "bfloat16".
        remat: What the backward pass recomputes to save memory: "none", "products" or
            "blocks", see `layers.remat`.
        scan: Whether equal blocks of the ViT, and equal layers of both decoders, are the
            body of a loop, which is compiled once, see `backbones.block_loop`.
        **size_changes: New values for fields of `ViTSize`, such as `depth`.

    Returns:
        The model, without parameters.

    Raises:
        ValueError: An unknown name, or a value that no model can have.
    """
    # The encoder of SimpleClick.
    size_config = get_wide_vit_size(size, **size_changes)
    embed, backbone = make_encoder(
        size_config, crop=crop, window=window, dtype=dtype, remat=remat, scan=scan
    )
    # Pixel decoder and mask decoder instead of pyramid and MLP head.
    neck, decoder = make_query_decoder(
        size_config,
        pixel_decoder=pixel_decoder,
        mask_decoder=mask_decoder,
        dtype=dtype,
        remat=remat,
        scan=scan,
    )
    return ClickModel(embed=embed, backbone=backbone, neck=neck, decoder=decoder)
