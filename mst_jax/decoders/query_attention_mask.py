"""Where a query may look: at what it took for its mask, and at what was clicked."""

import math

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float

from mst_jax.geometry.resize import resize_pixel_centres


def clicked_cells(
    disks: Float[Array, "b h w"], height: int, width: int
) -> Bool[Array, "b i j"]:
    """Finds the cells of a coarser grid that a disk touches.

    The maximum over 3x3 pixels, every second one kept, as often as it takes: a disk
    grows by up to a cell at each, so that even a small one reaches the coarsest grid.
    Departure: a grid that is no power of two coarser (patches of 14 pixels) takes the
    nearest number of halvings and is then resized bilinearly.

    Source: Lin et al., AdaptiveClick, Section III-C; as released.

    Args:
        disks: [b h w] 1 on disks, 0 elsewhere, at the size of the picture.
        height: rows of the grid.
        width: columns of the grid.
    """
    x = disks[..., None]
    for _ in range(round(math.log2(disks.shape[1] / height))):
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    return resize_pixel_centres(x, height, width)[..., 0] >= 0.5


def may_look(
    mask_logits: Float[Array, "b q h w"],
    class_logits: Float[Array, "b q 2"],
    clicked: Bool[Array, "b i j"],
) -> Bool[Array, "b q i j"]:
    """Lets each query look where its own mask was positive or where the user clicked.

    A query sees the clicks only if it takes itself for the clicked object. With nowhere
    to look it looks everywhere. No gradient flows through it.

    Source: Cheng et al., Mask2Former, CVPR 2022, Eq. 2 and 3; Lin et al., AdaptiveClick,
    Section III-C.

    Args:
        mask_logits: [b q h w] of the heads before.
        class_logits: [b q 2] of the heads before: no click, click.
        clicked: [b i j] cells that the queries of class 1 see besides; all False leaves
            the clicks out.

    Returns:
        [b q i j] True where a query may look.
    """
    x = jax.lax.stop_gradient(mask_logits)[..., None]
    own = resize_pixel_centres(x, *clicked.shape[1:])[..., 0] >= 0.0
    is_click = class_logits.argmax(-1) == 1
    seen = own | (is_click[..., None, None] & clicked[:, None])
    return seen | ~seen.any((-2, -1), keepdims=True)
