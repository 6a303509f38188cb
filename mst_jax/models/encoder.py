"""The encoder that all models share: the embedding and the vision transformer."""

import flax.linen as nn

from mst_jax.backbones.click_embed import ClickEmbed
from mst_jax.backbones.vit import ViT
from mst_jax.backbones.vit_sizes import ViTSize
from mst_jax.compute_dtype import parse_compute_dtype
from mst_jax.layers.remat import check_remat


def make_encoder(
    size_config: ViTSize,
    *,
    crop: int,
    window: int,
    dtype: str,
    insert_at: tuple[int, ...] = (),
    insertions: tuple[nn.Module, ...] = (),
    remat: str = "none",
    scan: bool = False,
) -> tuple[ClickEmbed, ViT]:
    """Make the embedding and the ViT of a size.

    Args:
        size_config: Widths and depths of the model.
        crop: Side in pixels of the square image whose grid the learned positions have.
        window: Side of the attention windows in pixels; 0: every block is global.
        dtype: Compute dtype of the matrix products, "float32" or "bfloat16".
        insert_at: Indices of the blocks before which `insertions` are called, see `ViT`.
        insertions: Modules called between blocks, such as `TokenSelection`. If there are
            any, the embedding returns multi-scale tokens for them.
        remat: What a block recomputes in the backward pass, see `layers.remat`.
        scan: Whether equal blocks are the body of a loop, see `backbones.block_loop`.

    Returns:
        The embedding and the ViT.

    Raises:
        ValueError: An unknown dtype or remat, or a side that is not in whole patches.
    """
    check_remat(remat)
    patch_size = size_config.patch_size
    is_whole = crop % patch_size == 0 and window % patch_size == 0
    if not is_whole or crop < patch_size or window < 0:
        next_multiple = patch_size * max(-(-crop // patch_size), 1)
        raise ValueError(
            f"crop {crop} and window {window} are not whole {patch_size}-pixel patches; "
            f"choose multiples of {patch_size}, such as a crop of {next_multiple}"
        )
    # The learned positions are resized to images of other sizes.
    grid_side = crop // patch_size
    embed = ClickEmbed(
        width=size_config.width,
        patch_size=patch_size,
        position_grid=(grid_side, grid_side),
        emits_multi_scale=bool(insertions),
    )
    backbone = ViT(
        depth=size_config.depth,
        num_heads=size_config.num_heads,
        window_size=window // patch_size,  # in tokens
        global_every=size_config.global_every,
        insert_at=insert_at,
        insertions=insertions,
        dtype=parse_compute_dtype(dtype),
        remat=remat,
        scan=scan,
    )
    return embed, backbone
