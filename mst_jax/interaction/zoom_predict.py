"""Predict with zoom: crop the region of interest, run the model, paste the result."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int

from mst_jax.geometry import boxes
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.rollout import select_examples
from mst_jax.interaction.zoom import clicks_to_roi, grow_roi, next_roi
from mst_jax.structs import Clicks

# (image [b h w 3], clicks [b k], prev_mask [b h w]) -> logits [b h w]
ClickModelFn = Callable[[Array, Clicks, Array], Array]


def as_pytree(model: ClickModelFn) -> ClickModelFn:
    """Return the model as a JAX pytree, so that it can be an argument of jitted code.

    A plain function becomes a pytree without leaves. A model that is a pytree stays
    unchanged: its parameters can then be replaced without a new compilation.
    """
    return jax.tree_util.Partial(model) if jax.tree_util.all_leaves([model]) else model


def predict_with_zoom(
    model: ClickModelFn,
    image: Float[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predict the object of each image; safe under jit and vmap.

    Args:
        model: Any callable of the type `ClickModelFn`.
        image: [b h w 3] RGB, 0 to 1; smaller images fill the upper left corner.
        size: [b 2] height and width of each image without that padding.
        clicks: [b k] clicks in pixels of the image.
        prev_mask: [b h w] probability of the previous round; zeros before the first
            round and on padding.
        roi: [b 4] region of interest of the previous round, see `zoom.next_roi`; -1 =
            none yet.
        zoom: Zoom and test-time augmentation; with `zoom.size=None` the images must not
            be padded, because the network sees them unchanged.

    Returns:
        [b h w] float32 probability, 0 outside the region of interest, and the [b 4]
        region of interest, -1 without zoom. With `zoom.max_growths` the result is not
        reverse-mode differentiable.
    """
    roi = choose_roi(size, clicks, prev_mask, roi, zoom=zoom)
    return predict_in_roi(model, image, size, clicks, prev_mask, roi, zoom=zoom)


def predict_in_roi(
    model: ClickModelFn,
    image: Float[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predict the object of each image in a given region of interest.

    The arguments and results are those of `predict_with_zoom`, but `roi` is the region
    that the network sees now; it is not used without zoom.
    """
    if zoom.size is not None and zoom.max_growths:
        crop_prob, roi = _predict_and_grow(
            model, image, size, clicks, prev_mask, roi, zoom=zoom
        )
    else:
        crop, roi_clicks = crop_at(image, clicks, prev_mask, roi, zoom=zoom)
        crop_prob = forward(model, crop, roi_clicks, flip_tta=zoom.flip_tta)
    if zoom.size is None:
        return crop_prob, roi
    return paste_roi(crop_prob, roi, *prev_mask.shape[1:]), roi


def _predict_and_grow(
    model: ClickModelFn,
    image: Float[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[Float[Array, "b i j"], Int[Array, "b 4"]]:
    """Predict in regions of interest that grow while they cut the mask.

    The arguments are those of `predict_with_zoom`; `roi` is the first region to predict
    in. Every pass has the same clicks and the same previous mask.

    Returns:
        [b i j] probability of each crop, and its [b 4] region of interest.
    """

    def should_continue(carry: tuple) -> Bool[Array, ""]:
        num_passes, is_active, *_ = carry
        return (num_passes <= zoom.max_growths) & is_active.any()

    # One loop for the first pass and the later ones: the network is compiled once.
    def predict_once(carry: tuple) -> tuple:
        num_passes, is_active, proposed_roi, last = carry
        crop, roi_clicks = crop_at(image, clicks, prev_mask, proposed_roi, zoom=zoom)
        crop_prob = forward(model, crop, roi_clicks, flip_tta=zoom.flip_tta)
        # An example whose mask is not cut keeps its result while the others grow.
        last = select_examples(is_active, (crop_prob, proposed_roi), last)
        grown_roi = grow_rois(*last, size)
        is_active = is_active & (grown_roi != last[1]).any(axis=1)
        return num_passes + 1, is_active, grown_roi, last

    no_prob = jnp.zeros((roi.shape[0], zoom.size, zoom.size), jnp.float32)
    is_active = jnp.ones(roi.shape[0], bool)
    start = (jnp.int32(0), is_active, roi, (no_prob, roi))
    return jax.lax.while_loop(should_continue, predict_once, start)[-1]


def crop_roi(
    image: Float[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[Float[Array, "b i j 4"], Clicks, Int[Array, "b 4"]]:
    """Crop the next region of interest, the first step of `predict_with_zoom`.

    The arguments are those of `predict_with_zoom`.

    Returns:
        [b i j 4] image and previous mask of the region of interest, resized to
        `zoom.size` pixels; the clicks in pixels of that crop; and the [b 4] region of
        interest. Without zoom the image and the clicks unchanged, and -1.
    """
    roi = choose_roi(size, clicks, prev_mask, roi, zoom=zoom)
    return (*crop_at(image, clicks, prev_mask, roi, zoom=zoom), roi)


def choose_roi(
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
) -> Int[Array, "b 4"]:
    """Choose the next region of interest of each image, see `zoom.next_roi`.

    The arguments are those of `predict_with_zoom`.

    Returns:
        [b 4] regions of interest; -1 without zoom.
    """
    if zoom.size is None:
        return jnp.full_like(roi, -1)
    choose_next = partial(next_roi, min_side=zoom.min_side)
    return jax.vmap(choose_next)(roi, prev_mask, size, clicks)


def crop_at(
    image: Float[Array, "b h w 3"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[Float[Array, "b i j 4"], Clicks]:
    """Crop a given region of interest of each image.

    Args:
        image: [b h w 3] RGB, 0 to 1.
        clicks: [b k] clicks in pixels of the image.
        prev_mask: [b h w] probability of the previous round.
        roi: [b 4] region of interest: top, bottom, left, right, inclusive.
        zoom: Zoom options; without zoom the region of interest is not used.

    Returns:
        [b i j 4] image and previous mask of the region of interest, and the clicks in
        pixels of that crop.
    """
    image_and_mask = jnp.concatenate([image, prev_mask[..., None]], axis=-1)
    if zoom.size is None:
        return image_and_mask, clicks
    crop = jax.vmap(partial(boxes.crop, side=zoom.size))(image_and_mask, roi)
    move_into_crop = partial(
        clicks_to_roi, side=zoom.size, drop_outside=zoom.drop_outside
    )
    return crop, jax.vmap(move_into_crop)(clicks, roi)


def grow_rois(
    crop_prob: Float[Array, "b i j"], roi: Int[Array, "b 4"], size: Int[Array, "b 2"]
) -> Int[Array, "b 4"]:
    """Grow the region of interest of each image where it cuts the mask.

    A result that differs from `roi` is the region of another forward pass, see
    `zoom.grow_roi`.

    Args:
        crop_prob: [b i j] probability of the crops.
        roi: [b 4] region of interest of each crop.
        size: [b 2] height and width of each image without padding.
    """
    return jax.vmap(grow_roi)(roi, crop_prob, size)


def forward(
    model: ClickModelFn,
    crop: Float[Array, "b i j 4"],
    clicks: Clicks,
    *,
    flip_tta: bool,
) -> Float[Array, "b i j"]:
    """Run the model on crops, the second step of `predict_with_zoom`.

    The crops of one batch may come from different images.

    Args:
        model: Any callable of the type `ClickModelFn`.
        crop: [b i j 4] image, 0 to 1, and previous mask, as `crop_roi` returns them.
        clicks: [b k] clicks in pixels of the crops.
        flip_tta: Average the logits with those of the flipped crops.

    Returns:
        [b i j] float32 probability.
    """
    compute_logits = _flip_tta_logits if flip_tta else _float32_logits
    logits = compute_logits(model, crop[..., :3], clicks, crop[..., 3])
    return jax.nn.sigmoid(logits)


def paste_roi(
    crop_prob: Float[Array, "b i j"], roi: Int[Array, "b 4"], height: int, width: int
) -> Float[Array, "b {height} {width}"]:
    """Paste crops into images of zeros, the last step of `predict_with_zoom`.

    Args:
        crop_prob: [b i j] probability of the crops.
        roi: [b 4] region of interest of each crop: top, bottom, left, right, inclusive.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
    """
    return jax.vmap(partial(boxes.paste, height=height, width=width))(crop_prob, roi)


def _float32_logits(
    model: ClickModelFn,
    image: Float[Array, "b h w 3"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
) -> Float[Array, "b h w"]:
    """Run the model; average and sigmoid of its logits are computed in float32."""
    return model(image, clicks, prev_mask).astype(jnp.float32)


def _flip_tta_logits(
    model: ClickModelFn,
    image: Float[Array, "b h w 3"],
    clicks: Clicks,
    prev_mask: Float[Array, "b h w"],
) -> Float[Array, "b h w"]:
    """Run the model once on images and flipped images, and average the logits.

    An image and its flipped copy are neighbors in the batch, so that both stay on one
    device when the batch is sharded.
    """
    # Pixel centers are whole numbers: column c of w columns flips to w - 1 - c.
    row, column = clicks.yx[..., 0], clicks.yx[..., 1]
    flipped_yx = jnp.stack([row, image.shape[2] - column - 1], axis=-1)
    logits = _float32_logits(
        model,
        _interleave(image, image[:, :, ::-1]),
        Clicks(
            _interleave(clicks.yx, flipped_yx), _interleave(clicks.label, clicks.label)
        ),
        _interleave(prev_mask, prev_mask[:, :, ::-1]),
    )
    unflipped, flipped = rearrange(logits, "(b two) h w -> two b h w", two=2)
    return (unflipped + flipped[:, :, ::-1]) / 2


def _interleave(first: Array, second: Array) -> Array:
    """Join two batches example by example: [2b ...]."""
    return rearrange([first, second], "two b ... -> (b two) ...")
