"""MST and AdaptiveClick in one: token selection in the ViT, click-aware queries on it."""

from collections.abc import Mapping

from mst_jax.models.adaptiveclick import make_query_decoder, pick_wide
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_trunk
from mst_jax.models.mst import MST_PATCH, make_selections


def mst_adaptive(
    *,
    size: str = "base",
    release: str = "slim-448",
    crop: int = 448,
    every: int | None = None,
    top_k: str = "straight_through",
    selection: Mapping[str, object] | None = None,
    pixels: Mapping[str, object] | None = None,
    queries: Mapping[str, object] | None = None,
    dtype: str = "float32",
    remat: str = "none",
    **changes: object,
) -> ClickModel:
    """ViT with token selection and global attention, pixel decoder, click-aware queries.

    Source: the recipes `mst` and `adaptiveclick`; together they were never published.

    Args:
        size: a row of `backbones.vit_sizes.SIZES`; patches have 16 pixels at every size.
        release: see `mst`.
        crop: pixels; the learned positions cover a crop x crop picture.
        every: see `mst`.
        top_k: see `mst`.
        selection: see `mst`.
        pixels: see `adaptiveclick`.
        queries: see `adaptiveclick`.
        dtype: of the products, "float32" or "bfloat16".
        remat: what is computed again for gradients to save memory: "none", "products"
            or "blocks", see `layers.remat`.
        **changes: numbers of the size's row to change, such as `depth` or `patch`.

    Raises:
        ValueError: an unknown name, or a value that cannot be.
    """
    row = pick_wide(size, **{"patch": MST_PATCH, **changes})
    selections = make_selections(
        row,
        release=release,
        every=every,
        selection=selection or {},
        top_k=top_k,
        dtype=dtype,
        remat=remat,
    )
    embed, backbone = make_trunk(
        row, crop=crop, window=0, dtype=dtype, remat=remat, **selections
    )
    decoding = make_query_decoder(
        row, pixels=pixels or {}, queries=queries or {}, dtype=dtype, remat=remat
    )
    return ClickModel(embed=embed, backbone=backbone, **decoding)
