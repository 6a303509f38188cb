"""MST-Adaptive: ViT with token selection, pixel decoder, click-aware mask decoder."""

from collections.abc import Mapping, Sequence
from typing import Any

from mst_jax.models.adaptiveclick import get_wide_vit_size, make_query_decoder
from mst_jax.models.click_model import ClickModel
from mst_jax.models.mst import MST_PATCH_SIZE, InsertionOptions, make_mst_encoder


def mst_adaptive(
    *,
    size: str = "base",
    release: str = "slim-448",
    crop: int = 448,
    insert_every: int | None = None,
    top_k: str = "straight_through",
    selection: Mapping[str, Any] | None = None,
    pixel_decoder: Mapping[str, Any] | None = None,
    mask_decoder: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    remat: str = "none",
    scan: bool = False,
    **size_changes: int | Sequence[int],
) -> ClickModel:
    """Build a ViT with token selection, a pixel decoder and click-aware queries.

    Source: the recipes `mst` and `adaptiveclick`; together they were never published.

    Args:
        size: Name of a size in `backbones.vit_sizes.VIT_SIZES`; patches have 16 pixels at
            every size.
        release: Name of a published form of token selection, see `mst`.
        crop: Side in pixels of the square image whose grid the learned positions have.
        insert_every: Number of blocks for each token selection, see `mst`.
        top_k: Name of the top-k estimator, see `mst`.
        selection: New values for fields of the release, see `mst`.
        pixel_decoder: New values for fields of `PixelDecoder`, see `adaptiveclick`.
        mask_decoder: New values for fields of `ClickAwareMaskDecoder`, see
            `adaptiveclick`.
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
    # The patches of MST, the pyramid widths of AdaptiveClick.
    size_changes = {"patch_size": MST_PATCH_SIZE, **size_changes}
    size_config = get_wide_vit_size(size, **size_changes)
    # The encoder of MST.
    insertion_options = InsertionOptions(release, insert_every, top_k, selection)
    embed, backbone = make_mst_encoder(
        size_config,
        insertion_options,
        crop=crop,
        dtype=dtype,
        remat=remat,
        scan=scan,
    )
    # The neck and the decoder of AdaptiveClick.
    neck, decoder = make_query_decoder(
        size_config,
        pixel_decoder=pixel_decoder,
        mask_decoder=mask_decoder,
        dtype=dtype,
        remat=remat,
        scan=scan,
    )
    return ClickModel(embed=embed, backbone=backbone, neck=neck, decoder=decoder)
