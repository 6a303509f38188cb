"""Click-aware masked attention: the cells that each query may attend to."""

import math

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float

from mst_jax.geometry.resize import resize_pixel_centers


def downsample_click_disks(
    click_disks: Float[Array, "b h w"], height: int, width: int
) -> Bool[Array, "b i j"]:
    """Find the cells of a coarser grid that a click disk touches.

    Max pooling over 3x3 pixels with stride 2, as often as needed. A disk grows by up to
    one cell at each step, so that even a small one reaches the coarsest grid.
    Departure: a grid that is not coarser by a power of two (patches of 14 pixels) takes
    the nearest number of halvings and is then resized bilinearly.

    Source: Lin et al., AdaptiveClick, Section III-C; as released.

    Args:
        click_disks: [b h w] 1 on disks, 0 elsewhere, at the size of the image.
        height: Number of rows of the grid.
        width: Number of columns of the grid.

    Returns:
        [b i j] True on cells that a disk touches.
    """
    pooled_disks = click_disks[..., None]
    num_halvings = round(math.log2(click_disks.shape[1] / height))
    for _ in range(num_halvings):
        pooled_disks = nn.max_pool(
            pooled_disks,
            (3, 3),
            strides=(2, 2),
            padding=((1, 1), (1, 1)),  # pyright: ignore[reportArgumentType]
        )
    # Changes nothing where the halvings gave the size of the grid.
    return resize_pixel_centers(pooled_disks, height, width)[..., 0] >= 0.5


def query_attention_mask(
    mask_logits: Float[Array, "b q h w"],
    class_logits: Float[Array, "b q 2"],
    clicked_cells: Bool[Array, "b i j"],
) -> Bool[Array, "b q i j"]:
    """Compute where each query may attend: on its predicted mask and on the clicks.

    A query attends to the clicked cells only if it classifies itself as clicked. A
    query whose mask and clicks are empty attends everywhere. No gradient flows through
    the attention mask.

    Source: Cheng et al., Mask2Former, CVPR 2022, Eq. 2 and 3; Lin et al.,
    AdaptiveClick, Section III-C.

    Args:
        mask_logits: [b q h w] masks predicted before this layer.
        class_logits: [b q 2] class logits predicted before this layer: not the clicked
            object, the clicked object.
        clicked_cells: [b i j] True on cells that queries of class 1 attend to as well;
            all False ignores the clicks.

    Returns:
        [b q i j] True where a query may attend.
    """
    # 1. Masked attention: the cells where the query's own mask is positive. Logits are
    # resized, not their signs.
    resizable_logits = jax.lax.stop_gradient(mask_logits)[..., None]
    on_own_mask = (
        resize_pixel_centers(resizable_logits, *clicked_cells.shape[1:])[..., 0] >= 0.0
    )
    # 2. Click attention: the clicked cells, for queries that are of class 1.
    is_clicked_query = class_logits.argmax(-1) == 1
    on_clicks = is_clicked_query[..., None, None] & clicked_cells[:, None]
    # 3. A query with nothing to attend to attends everywhere, so that no softmax is empty.
    may_attend = on_own_mask | on_clicks
    return may_attend | ~may_attend.any((-2, -1), keepdims=True)
