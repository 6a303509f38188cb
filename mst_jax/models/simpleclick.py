"""The plain model: ViT, pyramid, MLP head."""

from mst_jax.backbones.vit_sizes import pick
from mst_jax.decoders.mlp_head import MLPHead
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_trunk, read_dtype
from mst_jax.necks.simple_pyramid import SimplePyramid


def simpleclick(
    *,
    size: str = "base",
    crop: int = 448,
    window: int = 224,
    dropout: float = 0.1,
    dtype: str = "float32",
    remat: str = "none",
    **changes: object,
) -> ClickModel:
    """Plain ViT with window attention, simple feature pyramid, MLP head.

    Source: Liu et al., SimpleClick, ICCV 2023, Table 1.

    Args:
        size: a row of `backbones.vit_sizes.SIZES`.
        crop: pixels; the learned positions cover a crop x crop picture.
        window: side of the attention windows in pixels; 0 = every block is global.
        dropout: share of the head's channels that training drops.
        dtype: of the products, "float32" or "bfloat16".
        remat: what is computed again for gradients to save memory: "none", "products"
            or "blocks", see `layers.remat`.
        **changes: numbers of the size's row to change, such as `depth` or `patch`.

    Raises:
        ValueError: an unknown size, or a value that cannot be.
    """
    row = pick(size, **changes)
    embed, backbone = make_trunk(
        row, crop=crop, window=window, dtype=dtype, remat=remat
    )
    kind = read_dtype(dtype)
    return ClickModel(
        embed=embed,
        backbone=backbone,
        neck=SimplePyramid(row.pyramid, kind),
        decoder=MLPHead(row.head, dropout, kind),
    )
