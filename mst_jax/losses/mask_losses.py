"""The mask losses by name, each reduced to one value for each example."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax import config_options
from mst_jax.losses.adaptive_focal import adaptive_focal_loss
from mst_jax.losses.cross_entropy import (
    balanced_cross_entropy_loss,
    binary_cross_entropy_loss,
    weighted_cross_entropy_loss,
)
from mst_jax.losses.focal import focal_loss, normalized_focal_loss, poly_loss
from mst_jax.losses.region_losses import dice_loss, soft_iou_loss

# (logits [*b h w], labels [*b h w], *, where [*b h w], **options) -> [*b]
MaskLoss = Callable[..., Float[Array, "*b"]]

PIXEL_AXES = (-2, -1)

# Keyword-only arguments of a loss that describe its arrays; a config cannot give them.
ARRAY_ARGUMENTS = ("where", "axis", "axis_name")


def as_mask_loss(loss_fn: Callable[..., Array]) -> MaskLoss:
    """Reduce a loss of pixels to one value for each example.

    Args:
        loss_fn: (logits, labels, *, where, ...) -> a value for each pixel or each
            example. If it takes `axis`, it gets the last two axes. The labels may be
            the logits of a teacher.

    Returns:
        (logits [*b h w], labels, *, where, **options) -> [*b]. A loss of pixels becomes
        its mean over the pixels that count, 0 if there are none. The options are those
        of `loss_fn`, see `loss_options`.
    """
    takes_axis = "axis" in inspect.signature(loss_fn).parameters
    axis_option = {"axis": PIXEL_AXES} if takes_axis else {}

    # `wraps` keeps the signature of `loss_fn`, from which the options are read.
    @functools.wraps(loss_fn)
    def mask_loss(
        logits: Float[Array, "*b h w"],
        labels: Bool[Array, "*b h w"] | Float[Array, "*b h w"],
        *,
        where: Bool[Array, "*b h w"],
        **options: Any,
    ) -> Float[Array, "*b"]:
        values = loss_fn(logits, labels, where=where, **axis_option, **options)
        # Region losses have one value for each example already.
        if values.ndim < logits.ndim:
            return values
        return values.sum(PIXEL_AXES) / jnp.maximum(where.sum(PIXEL_AXES), 1)

    return mask_loss


def loss_options(loss_fn: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that a config may give a loss, with their defaults.

    Args:
        loss_fn: Loss with keyword-only options.

    Returns:
        Name -> default of each keyword-only argument but those in `ARRAY_ARGUMENTS`.
    """
    defaults = config_options.keyword_defaults(loss_fn)
    return {key: defaults[key] for key in defaults if key not in ARRAY_ARGUMENTS}


MASK_LOSSES: dict[str, MaskLoss] = {
    "bce": as_mask_loss(binary_cross_entropy_loss),
    "weighted_bce": as_mask_loss(weighted_cross_entropy_loss),
    "balanced_bce": as_mask_loss(balanced_cross_entropy_loss),
    "focal": as_mask_loss(focal_loss),
    "poly": as_mask_loss(poly_loss),
    "normalized_focal": as_mask_loss(normalized_focal_loss),
    "adaptive_focal": as_mask_loss(adaptive_focal_loss),
    "soft_iou": as_mask_loss(soft_iou_loss),
    "dice": as_mask_loss(dice_loss),
}
