"""MST: ViT with token selection, simple feature pyramid, MLP head."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mst_jax import config_options
from mst_jax.backbones.click_embed import ClickEmbed
from mst_jax.backbones.vit import ViT
from mst_jax.backbones.vit_sizes import ViTSize, get_vit_size
from mst_jax.compute_dtype import parse_compute_dtype
from mst_jax.decoders.mlp_head import MLPHead
from mst_jax.layers.remat import with_remat
from mst_jax.models.click_model import ClickModel
from mst_jax.models.encoder import make_encoder
from mst_jax.name_choices import list_choices
from mst_jax.necks.simple_pyramid import SimplePyramid
from mst_jax.tokens.selection import TOP_K_ESTIMATORS, TokenSelection

# At every size: fine, base and coarse tokens have 8, 16 and 32 pixels in all releases.
MST_PATCH_SIZE = 16


@dataclasses.dataclass(frozen=True)
class MSTRelease:
    """One published form of token selection; see `TokenSelection` for the fields.

    Attributes:
        insert_first: True: a token selection stands before the first block of each group
            of blocks; False: before the last.
    """

    insert_first: bool
    score_heads: int
    fuse_heads: int
    expert_ratio: int
    mlp_ratio: int
    pool_size: int
    keep_ratio: float
    threshold: float | None
    self_attend_clicks: bool
    layer_scale_init: float
    use_mlp: bool

    def __post_init__(self) -> None:
        """Check the ranges of the values.

        Raises:
            ValueError: A count that is not positive, or a ratio out of range.
        """
        for field in dataclasses.fields(self):
            field_value = getattr(self, field.name)
            if field.type is int and field_value < 1:
                raise ValueError(
                    f"{field.name} is {field_value!r}, expected a whole number from 1"
                )
        if not 0 < self.keep_ratio <= 1:
            raise ValueError(
                f"keep_ratio is {self.keep_ratio!r}, expected a fraction of the tokens, "
                "more than 0 and at most 1"
            )


# Xu et al., MST: the released programs and weights, which differ from each other.
MST_RELEASES = {
    "slim-448": MSTRelease(False, 4, 4, 1, 1, 4, 1 / 16, 0.65, True, 1.0, False),
    "448": MSTRelease(False, 6, 8, 4, 4, 4, 1 / 8, 0.65, True, 0.0, True),
    "224": MSTRelease(True, 8, 8, 4, 1, 1, 1 / 8, None, False, 0.0, True),
    "1024": MSTRelease(True, 8, 8, 4, 1, 4, 1 / 8, None, False, 0.0, True),
    "224-large": MSTRelease(True, 8, 8, 4, 1, 4, 1 / 8, None, False, 0.0, False),
}


@dataclasses.dataclass(frozen=True)
class InsertionOptions:
    """Which token selections are inserted in the ViT, and where.

    Attributes:
        release: Name of a published form in `MST_RELEASES`.
        insert_every: Number of blocks in a group, each of which has one token selection;
            None: 8 in a ViT of more than 12 blocks, else a third of its depth.
        top_k: Name of the top-k estimator in `tokens.selection.TOP_K_ESTIMATORS`.
        selection: New values for fields of `MSTRelease`; None: no changes.
    """

    release: str
    insert_every: int | None
    top_k: str
    selection: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            ValueError: An unknown release or top-k estimator.
        """
        for key, name, known in (
            ("release", self.release, MST_RELEASES),
            ("top_k", self.top_k, TOP_K_ESTIMATORS),
        ):
            if name not in known:
                raise ValueError(
                    f"{key} of the token selection is {name!r}; "
                    f"{list_choices(name, known)}"
                )

    def resolve_release(self) -> MSTRelease:
        """Return the release with the changes of `selection`.

        Raises:
            ValueError: An unknown field, or a value that no token selection can have.
        """
        # A user who sets one field keeps the others of the release.
        release_values = dataclasses.asdict(MST_RELEASES[self.release])
        release_values |= self.selection or {}
        return config_options.options_from_config(
            MSTRelease, "config.model.selection", release_values
        )

    def block_indices(self, depth: int) -> tuple[int, ...]:
        """Return the indices of the blocks before which a token selection stands.

        Args:
            depth: Number of blocks of the ViT.

        Raises:
            ValueError: Groups of blocks that do not fit into the ViT.
        """
        insert_every = self.insert_every
        if insert_every is None:
            insert_every = 8 if depth > 12 else max(depth // 3, 1)
        if not 1 <= insert_every <= depth:
            raise ValueError(
                f"one token selection for {insert_every} blocks does not fit into "
                f"{depth} blocks; set config.model.insert_every"
            )
        # Before the first block of each group, or before its last.
        insert_first = self.resolve_release().insert_first
        return tuple(
            range(0 if insert_first else insert_every - 1, depth, insert_every)
        )


def make_mst_encoder(
    size_config: ViTSize,
    insertion_options: InsertionOptions,
    *,
    crop: int,
    dtype: str,
    remat: str,
    scan: bool,
) -> tuple[ClickEmbed, ViT]:
    """Make the embedding and a ViT of global attention with token selections.

    Args:
        size_config: Widths and depths of the model.
        insertion_options: Which token selections are inserted, and where.
        crop: Side in pixels of the square image whose grid the learned positions have.
        dtype: Compute dtype of the matrix products, "float32" or "bfloat16".
        remat: What the backward pass recomputes, see `layers.remat`.
        scan: Whether equal blocks are the body of a loop.

    Returns:
        The embedding, which returns multi-scale tokens, and the ViT.

    Raises:
        ValueError: An unknown name, or a value that does not fit the size.
    """
    release_fields = insertion_options.resolve_release()
    # 1. Check the release against the size.
    for num_heads in (release_fields.score_heads, release_fields.fuse_heads):
        if size_config.width % num_heads:
            raise ValueError(
                f"{num_heads} heads of the token selection do not divide the width "
                f"{size_config.width}; set score_heads and fuse_heads in "
                "config.model.selection"
            )
    if size_config.patch_size % 2:
        raise ValueError(
            f"patch_size is {size_config.patch_size}, expected an even number: fine "
            "tokens have half of it"
        )
    insert_at = insertion_options.block_indices(size_config.depth)
    # 2. One module for each index: modules used twice would share their parameters.
    selection_fields = dataclasses.asdict(release_fields)
    # It describes the position of a module, not its computation.
    del selection_fields["insert_first"]
    selection_class = with_remat(TokenSelection, remat, in_loop=scan)
    insertions = tuple(
        selection_class(
            patch_size=size_config.patch_size,
            top_k=insertion_options.top_k,
            dtype=parse_compute_dtype(dtype),
            **selection_fields,
        )
        for _ in insert_at
    )
    # 3. All blocks attend globally (window 0).
    return make_encoder(
        size_config,
        crop=crop,
        window=0,
        dtype=dtype,
        insert_at=insert_at,
        insertions=insertions,
        remat=remat,
        scan=scan,
    )


def mst(
    *,
    size: str = "base",
    release: str = "slim-448",
    crop: int = 448,
    insert_every: int | None = None,
    top_k: str = "straight_through",
    selection: Mapping[str, Any] | None = None,
    dropout: float = 0.1,
    dtype: str = "float32",
    remat: str = "none",
    scan: bool = False,
    **size_changes: int | Sequence[int],
) -> ClickModel:
    """Build a ViT with token selection, a simple feature pyramid and an MLP head.

    Source: Xu et al., MST: Adaptive Multi-Scale Tokens Guided Interactive Segmentation,
    arXiv 2401.04403; departures of the releases from the paper as in `MST_RELEASES`.
    Departure: on the smallest images one token of each scale is selected, never none.

    Args:
        size: Name of a size in `backbones.vit_sizes.VIT_SIZES`; patches have 16 pixels at
            every size.
        release: Name of a published form of token selection in `MST_RELEASES`.
        crop: Side in pixels of the square image whose grid the learned positions have.
        insert_every: Number of blocks in a group, each of which has one token selection;
            None: 8 in a ViT of more than 12 blocks, else a third of its depth.
        top_k: Name of the top-k estimator in `tokens.selection.TOP_K_ESTIMATORS`.
        selection: New values for fields of the release, see `MSTRelease`.
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
        ValueError: An unknown name, or a value that no model can have.
    """
    # 1. The size, with the patches of MST unless the user changes them.
    size_config = get_vit_size(size, **{"patch_size": MST_PATCH_SIZE, **size_changes})
    # 2. The encoder with token selections.
    insertion_options = InsertionOptions(release, insert_every, top_k, selection)
    embed, backbone = make_mst_encoder(
        size_config,
        insertion_options,
        crop=crop,
        dtype=dtype,
        remat=remat,
        scan=scan,
    )
    # 3. Neck and decoder as in SimpleClick.
    compute_dtype = parse_compute_dtype(dtype)
    return ClickModel(
        embed=embed,
        backbone=backbone,
        neck=SimplePyramid(size_config.pyramid_widths, compute_dtype),
        decoder=MLPHead(size_config.decoder_width, dropout, compute_dtype),
    )
