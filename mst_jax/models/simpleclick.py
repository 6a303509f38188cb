"""SimpleClick: plain ViT, simple feature pyramid, MLP head."""

from collections.abc import Sequence

from mst_jax.backbones.vit_sizes import get_vit_size
from mst_jax.compute_dtype import parse_compute_dtype
from mst_jax.decoders.mlp_head import MLPHead
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_encoder
from mst_jax.necks.simple_pyramid import SimplePyramid


def simpleclick(
    *,
    size: str = "base",
    crop: int = 448,
    window: int = 224,
    dropout: float = 0.1,
    dtype: str = "float32",
    remat: str = "none",
    scan: bool = False,
    **size_changes: int | Sequence[int],
) -> ClickModel:
    """Build a plain ViT with window attention, a simple feature pyramid and an MLP head.

    Source: Liu et al., SimpleClick, ICCV 2023, Table 1.

    Args:
        size: Name of a size in `backbones.vit_sizes.VIT_SIZES`.
        crop: Side in pixels of the square image whose grid the learned positions have.
        window: Side of the attention windows in pixels; 0: every block is global.
        dropout: Fraction of the head's channels that training drops.
        dtype: Compute dtype of the matrix products, "float32" or "bfloat16".
        remat: What the backward pass recomputes to save memory: "none", "products" or
            "blocks", see `layers.remat`.
        scan: Whether equal blocks of the ViT are the body of a loop, which is compiled
            once, see `backbones.block_loop`.
        **size_changes: New values for fields of `ViTSize`, such as `depth`.

    Returns:
        The model, without parameters.

    Raises:
        ValueError: An unknown size or field, or a value that no model can have.
    """
    size_config = get_vit_size(size, **size_changes)
    embed, backbone = make_encoder(
        size_config, crop=crop, window=window, dtype=dtype, remat=remat, scan=scan
    )
    # Neck and decoder have the widths of the same size.
    compute_dtype = parse_compute_dtype(dtype)
    return ClickModel(
        embed=embed,
        backbone=backbone,
        neck=SimplePyramid(size_config.pyramid_widths, compute_dtype),
        decoder=MLPHead(size_config.decoder_width, dropout, compute_dtype),
    )
