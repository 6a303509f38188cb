"""Losses as pure functions of arrays; they need no library but jax and jaxtyping."""

from mst_jax.losses.adaptive_focal import adaptive_focal_loss
from mst_jax.losses.cross_entropy import (
    balanced_cross_entropy_loss,
    binary_cross_entropy_loss,
    weighted_cross_entropy_loss,
)
from mst_jax.losses.focal import focal_loss, normalized_focal_loss, poly_loss
from mst_jax.losses.region_losses import dice_loss, soft_iou_loss

__all__ = [
    "adaptive_focal_loss",
    "balanced_cross_entropy_loss",
    "binary_cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "normalized_focal_loss",
    "poly_loss",
    "soft_iou_loss",
    "weighted_cross_entropy_loss",
]
