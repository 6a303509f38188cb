"""What every recipe begins with: the embedding and the ViT."""

import flax.linen as nn
import jax.numpy as jnp

from mst_jax.backbones.embed import ClickEmbed
from mst_jax.backbones.vit import ViT
from mst_jax.backbones.vit_sizes import Size
from mst_jax.layers.remat import check_remat


def read_dtype(dtype: str) -> jnp.dtype:
    """Reads the name of the products' type.

    Raises:
        ValueError: neither "float32" nor "bfloat16".
    """
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"model dtype is {dtype!r}, expected 'float32' or 'bfloat16'")
    return jnp.dtype(dtype)


def make_trunk(
    row: Size,
    *,
    crop: int,
    window: int,
    dtype: str,
    insert_at: tuple[int, ...] = (),
    insertions: tuple[nn.Module, ...] = (),
    remat: str = "none",
) -> tuple[ClickEmbed, ViT]:
    """Makes the embedding, which lends tokens if something is inserted, and the ViT.

    Args:
        row: of the table of sizes.
        crop: pixels; the learned positions cover a crop x crop picture.
        window: side of the attention windows in pixels; 0 = every block is global.
        dtype: of the products, "float32" or "bfloat16".
        insert_at: see `ViT`.
        insertions: see `ViT`.
        remat: see `ViT`.

    Raises:
        ValueError: an unknown dtype or remat, or sides that are not whole patches.
    """
    check_remat(remat)
    if crop % row.patch or window % row.patch or crop < row.patch or window < 0:
        raise ValueError(
            f"crop {crop} and window {window} are not whole {row.patch}-pixel patches"
        )
    kind = read_dtype(dtype)
    side = crop // row.patch
    embed = ClickEmbed(row.width, row.patch, (side, side), bool(insertions))
    backbone = ViT(
        depth=row.depth,
        num_heads=row.num_heads,
        window=window // row.patch,
        global_every=row.global_every,
        insert_at=insert_at,
        insertions=insertions,
        dtype=kind,
        remat=remat,
    )
    return embed, backbone
