"""Every mask loss in one form, by name: logits, target, valid -> one value an example."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax.losses.adaptive import adaptive_focal_loss
from mst_jax.losses.cross_entropy import (
    balanced_cross_entropy_loss,
    binary_cross_entropy_loss,
    weighted_cross_entropy_loss,
)
from mst_jax.losses.focal import focal_loss, normalized_focal_loss, poly_loss
from mst_jax.losses.overlap import dice_loss, soft_iou_loss

MaskLoss = Callable[..., Float[Array, "*b"]]

PIXELS = (-2, -1)


def mean_of_pixels(loss: Callable[..., Array], **fixed: object) -> MaskLoss:
    """The mean of a loss of pixels over the valid ones; 0 if there are none."""

    @functools.wraps(loss)
    def mean(
        logits: Float[Array, "*b h w"],
        target: Bool[Array, "*b h w"],
        valid: Bool[Array, "*b h w"],
        **options: object,
    ) -> Float[Array, "*b"]:
        each = loss(logits, target, where=valid, **fixed, **options)
        return each.sum(PIXELS) / jnp.maximum(valid.sum(PIXELS), 1)

    return mean


def of_whole_masks(loss: Callable[..., Array]) -> MaskLoss:
    """A loss that has one value an example by itself."""

    @functools.wraps(loss)
    def whole(
        logits: Float[Array, "*b h w"],
        target: Bool[Array, "*b h w"],
        valid: Bool[Array, "*b h w"],
        **options: object,
    ) -> Float[Array, "*b"]:
        return loss(logits, target, axis=PIXELS, where=valid, **options)

    return whole


# Options are the keyword arguments of the loss, but for `axis` and `where`.
MASK_LOSSES: dict[str, MaskLoss] = {
    "bce": mean_of_pixels(binary_cross_entropy_loss),
    "weighted_bce": mean_of_pixels(weighted_cross_entropy_loss),
    "balanced_bce": mean_of_pixels(balanced_cross_entropy_loss, axis=PIXELS),
    "focal": mean_of_pixels(focal_loss),
    "poly": mean_of_pixels(poly_loss),
    "normalized_focal": mean_of_pixels(normalized_focal_loss, axis=PIXELS),
    "adaptive_focal": mean_of_pixels(adaptive_focal_loss, axis=PIXELS),
    "soft_iou": of_whole_masks(soft_iou_loss),
    "dice": of_whole_masks(dice_loss),
}
