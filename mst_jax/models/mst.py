"""MST: ViT with token selection, pyramid, MLP head."""

import dataclasses
from collections.abc import Mapping

from mst_jax import config_options
from mst_jax.backbones.vit_sizes import Size, pick
from mst_jax.decoders.mlp_head import MLPHead
from mst_jax.layers.remat import with_remat
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_trunk, read_dtype
from mst_jax.necks.simple_pyramid import SimplePyramid
from mst_jax.tokens.selection import TokenSelection
from mst_jax.tokens.top_k import TOP_K

MST_PATCH = 16  # at every size: 8, 16 and 32 pixels in all releases


@dataclasses.dataclass(frozen=True)
class Release:
    """One published form of token selection; see `TokenSelection` for the fields.

    Attributes:
        opens: does a selection stand before the first block of each group of blocks, or
            before the last?
    """

    opens: bool
    score_heads: int
    fuse_heads: int
    expert_hidden: int
    mlp_hidden: int
    reduce: int
    one_of: int
    threshold: float | None
    attends: bool
    gain: float
    ends_with_mlp: bool


# Xu et al., MST: the released programs and weights, which differ from each other.
RELEASES = {
    "slim-448": Release(False, 4, 4, 1, 1, 4, 16, 0.65, True, 1.0, False),
    "448": Release(False, 6, 8, 4, 4, 4, 8, 0.65, True, 0.0, True),
    "224": Release(True, 8, 8, 4, 1, 1, 8, None, False, 0.0, True),
    "1024": Release(True, 8, 8, 4, 1, 4, 8, None, False, 0.0, True),
    "224-large": Release(True, 8, 8, 4, 1, 4, 8, None, False, 0.0, False),
}


def make_selections(
    row: Size,
    *,
    release: str,
    every: int | None,
    selection: Mapping[str, object],
    top_k: str,
    dtype: str,
    remat: str,
) -> dict[str, tuple]:
    """Makes the insertions of a ViT and their places, as arguments for `make_trunk`.

    Args:
        row: of the table of sizes.
        release: a row of `RELEASES`.
        every: blocks in a group, each of which has one selection; None: 8 in a ViT of
            more than 12 blocks, else a third of its depth.
        selection: fields of the row and their new values.
        top_k: a name in `tokens.top_k.TOP_K`.
        dtype: of the products.
        remat: see `layers.remat`.

    Raises:
        ValueError: an unknown name, a value that does not fit, or no place.
    """
    if release not in RELEASES or top_k not in TOP_K:
        raise ValueError(
            f"no token selection {release!r} with top-k {top_k!r}; choose one of "
            f"{', '.join(RELEASES)} and one of {', '.join(TOP_K)}"
        )
    values = dataclasses.asdict(RELEASES[release]) | dict(selection)
    fields = config_options.call(Release, "config.model.selection", **values)
    for field in dataclasses.fields(fields):
        value = getattr(fields, field.name)
        if field.type is int and (type(value) is not int or value < 1):
            raise ValueError(
                f"{field.name} of config.model.selection is {value!r}, expected a whole "
                "number from 1"
            )
    for heads in (fields.score_heads, fields.fuse_heads):
        if row.width % heads:
            raise ValueError(
                f"{heads} heads of the token selection do not divide the width "
                f"{row.width}; set score_heads and fuse_heads in config.model.selection"
            )
    if row.patch % 2:
        raise ValueError(
            f"patch is {row.patch}, expected an even number: fine tokens have half of it"
        )
    if every is None:
        every = 8 if row.depth > 12 else max(row.depth // 3, 1)
    if not 1 <= every <= row.depth:
        raise ValueError(
            f"one token selection for {every} blocks does not fit into {row.depth} "
            "blocks; set config.model.every"
        )
    places = tuple(range(0 if fields.opens else every - 1, row.depth, every))
    values = dataclasses.asdict(fields)
    del values["opens"]
    kind = read_dtype(dtype)
    # One module a place: a module that is used again shares its parameters.
    make_selection = with_remat(TokenSelection, remat)
    insertions = tuple(
        make_selection(patch=row.patch, top_k=top_k, dtype=kind, **values)
        for _ in places
    )
    return {"insert_at": places, "insertions": insertions}


def mst(
    *,
    size: str = "base",
    release: str = "slim-448",
    crop: int = 448,
    every: int | None = None,
    top_k: str = "straight_through",
    selection: Mapping[str, object] | None = None,
    dropout: float = 0.1,
    dtype: str = "float32",
    remat: str = "none",
    **changes: object,
) -> ClickModel:
    """ViT with token selection and global attention, simple feature pyramid, MLP head.

    Source: Xu et al., MST: Adaptive Multi-Scale Tokens Guided Interactive Segmentation,
    arXiv 2401.04403; departures of the releases from the paper as in `RELEASES`.
    Departure: the smallest pictures choose one token of each scale, never none.

    Args:
        size: a row of `backbones.vit_sizes.SIZES`; patches have 16 pixels at every size.
        release: a row of `RELEASES`.
        crop: pixels; the learned positions cover a crop x crop picture.
        every: blocks in a group, each of which has one token selection; None: 8 in a
            ViT of more than 12 blocks, else a third of its depth.
        top_k: how tokens are chosen, a name in `tokens.top_k.TOP_K`.
        selection: numbers of the release's row to change.
        dropout: share of the head's channels that training drops.
        dtype: of the products, "float32" or "bfloat16".
        remat: what is computed again for gradients to save memory: "none", "products"
            or "blocks", see `layers.remat`.
        **changes: numbers of the size's row to change, such as `depth` or `patch`.

    Raises:
        ValueError: an unknown name, or a value that cannot be.
    """
    row = pick(size, **{"patch": MST_PATCH, **changes})
    kind = read_dtype(dtype)
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
    return ClickModel(
        embed=embed,
        backbone=backbone,
        neck=SimplePyramid(row.pyramid, kind),
        decoder=MLPHead(row.head, dropout, kind),
    )
