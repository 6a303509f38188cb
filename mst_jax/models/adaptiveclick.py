"""AdaptiveClick: ViT, pixel decoder, click-aware mask decoder."""

from collections.abc import Mapping

from mst_jax import config_options
from mst_jax.backbones.vit_sizes import Size, pick
from mst_jax.decoders.click_aware_decoder import ClickQueries
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_trunk, read_dtype
from mst_jax.necks.pixel_decoder import PixelDecoder
from mst_jax.necks.simple_pyramid import SimplePyramid

HUGE_PYRAMID = (512, 1024, 2048, 4096)


def pick_wide(size: str, **changes: object) -> Size:
    """Returns a row of the table of sizes with the wider pyramid of AdaptiveClick.

    Source: the released configs: twice the maps of SimpleClick for base, twice that for
    huge; the other sizes are ours.

    Args:
        size: a row of `backbones.vit_sizes.SIZES`.
        **changes: numbers of the row to change.

    Raises:
        ValueError: an unknown size, or a number that cannot be.
    """
    twice = tuple(2 * width for width in pick(size).pyramid)
    wide = HUGE_PYRAMID if size == "huge" else twice
    return pick(size, **{"pyramid": wide, **changes})


def make_query_decoder(
    row: Size,
    *,
    pixels: Mapping[str, object],
    queries: Mapping[str, object],
    dtype: str,
    remat: str,
) -> dict[str, PixelDecoder | ClickQueries]:
    """Makes neck and decoder, both as wide as the row's head.

    Args:
        row: of the table of sizes.
        pixels: fields of `PixelDecoder` to change.
        queries: fields of `ClickQueries` to change.
        dtype: of the products.
        remat: see `layers.remat`.

    Raises:
        ValueError: an unknown field, or a width that cannot be divided.
    """
    kind, width = read_dtype(dtype), row.head
    neck = config_options.call(
        PixelDecoder,
        "config.model.pixels",
        **{"width": width, "hidden": 4 * width, **pixels},
        pyramid=SimplePyramid(row.pyramid, kind),
        dtype=kind,
        remat=remat,
    )
    decoder = config_options.call(
        ClickQueries,
        "config.model.queries",
        **{"hidden": 8 * width, **queries},
        dtype=kind,
        remat=remat,
    )
    for name, parts in (
        ("groups of the norms", neck.num_groups),
        ("heads of the pixel decoder", neck.num_heads),
        ("heads of the mask decoder", decoder.num_heads),
        ("quarters of the sine positions", 4),
    ):
        if parts < 1 or neck.width % parts:
            raise ValueError(
                f"{parts} {name} do not divide the width {neck.width}; change "
                "config.model.head or the numbers in config.model.pixels and queries"
            )
    return {"neck": neck, "decoder": decoder}


def adaptiveclick(
    *,
    size: str = "base",
    crop: int = 448,
    window: int = 224,
    pixels: Mapping[str, object] | None = None,
    queries: Mapping[str, object] | None = None,
    dtype: str = "float32",
    remat: str = "none",
    **changes: object,
) -> ClickModel:
    """Plain ViT with window attention, deformable pixel decoder, click-aware queries.

    Source: Lin et al., AdaptiveClick: Click-aware Transformer with Adaptive Focal Loss,
    arXiv 2305.04276. Without its decoder it is the recipe `simpleclick`.

    Args:
        size: a row of `backbones.vit_sizes.SIZES`; `head` is the width of both decoders.
        crop: pixels; the learned positions cover a crop x crop picture.
        window: side of the attention windows in pixels; 0 = every block is global.
        pixels: fields of `PixelDecoder` to change, such as `num_layers`.
        queries: fields of `ClickQueries` to change, such as `num_queries` or
            `sees_clicks`.
        dtype: of the products, "float32" or "bfloat16".
        remat: what is computed again for gradients to save memory: "none", "products"
            or "blocks", see `layers.remat`.
        **changes: numbers of the size's row to change, such as `depth` or `patch`.

    Raises:
        ValueError: an unknown name, or a value that cannot be.
    """
    row = pick_wide(size, **changes)
    embed, backbone = make_trunk(
        row, crop=crop, window=window, dtype=dtype, remat=remat
    )
    decoding = make_query_decoder(
        row, pixels=pixels or {}, queries=queries or {}, dtype=dtype, remat=remat
    )
    return ClickModel(embed=embed, backbone=backbone, **decoding)
