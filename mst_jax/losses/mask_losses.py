"""Every mask loss in one form, by name: logits, target, valid -> one value an example."""

import functools
import inspect
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax.losses.adaptive_focal import adaptive_focal_loss
from mst_jax.losses.cross_entropy import (
    balanced_cross_entropy_loss,
    binary_cross_entropy_loss,
    weighted_cross_entropy_loss,
)
from mst_jax.losses.focal import focal_loss, normalized_focal_loss, poly_loss
from mst_jax.losses.region_losses import dice_loss, soft_iou_loss

MaskLoss = Callable[..., Float[Array, "*b"]]

PIXELS = (-2, -1)


def in_mask_form(loss: Callable[..., Array]) -> MaskLoss:
    """Gives a loss of pixels the form of a mask loss, with the options that are left.

    Args:
        loss: (logits, targets, *, where, ...) -> a value for each pixel or each example;
            if it takes `axis`, it gets the last two. Targets may be a teacher's logits.

    Returns:
        (logits [*b h w], target, valid, **options) -> [*b]; a loss of pixels becomes its
        mean over the valid ones, 0 if there are none.
    """
    parameters = inspect.signature(loss).parameters
    fixed = {"axis": PIXELS} if "axis" in parameters else {}

    @functools.wraps(loss)
    def mask_loss(
        logits: Float[Array, "*b h w"],
        target: Bool[Array, "*b h w"] | Float[Array, "*b h w"],
        valid: Bool[Array, "*b h w"],
        **options: object,
    ) -> Float[Array, "*b"]:
        each = loss(logits, target, where=valid, **fixed, **options)
        if each.ndim < logits.ndim:
            return each
        return each.sum(PIXELS) / jnp.maximum(valid.sum(PIXELS), 1)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arrays = [inspect.Parameter(name, kind) for name in ("logits", "target", "valid")]
    ours = ("axis", "where")
    options = [p for p in list(parameters.values())[2:] if p.name not in ours]
    mask_loss.__signature__ = inspect.Signature([*arrays, *options])
    return mask_loss


MASK_LOSSES: dict[str, MaskLoss] = {
    "bce": in_mask_form(binary_cross_entropy_loss),
    "weighted_bce": in_mask_form(weighted_cross_entropy_loss),
    "balanced_bce": in_mask_form(balanced_cross_entropy_loss),
    "focal": in_mask_form(focal_loss),
    "poly": in_mask_form(poly_loss),
    "normalized_focal": in_mask_form(normalized_focal_loss),
    "adaptive_focal": in_mask_form(adaptive_focal_loss),
    "soft_iou": in_mask_form(soft_iou_loss),
    "dice": in_mask_form(dice_loss),
}
