"""Losses: pure functions of arrays that need nothing but jax."""

from mst_jax.losses.focal import normalized_focal_loss

__all__ = ["normalized_focal_loss"]
