"""Multi-scale deformable attention (Deformable DETR).

A cell is a pixel of a feature map. Axes: b batch, n queries (or cells, where there are no
queries), m cells of all levels, a heads, d channels of a head, l levels, p sampling points
of a head on a level.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.level_sampling import LevelSizes, sample_levels
from mst_jax.layers.dense import Dense
from mst_jax.layers.remat import name_saved_result


def cell_centers(level_sizes: LevelSizes) -> Float[np.ndarray, "n 2"]:
    """Return the center of every cell, the reference points of Deformable DETR.

    Args:
        level_sizes: Rows and columns of each level.

    Returns:
        [n 2] float32 (row, column), level by level and row by row; a level spans 0 to
        1.
    """
    level_centers = [
        (np.indices(size) + 0.5) / np.reshape(size, (2, 1, 1)) for size in level_sizes
    ]
    flat_centers = [rearrange(grid, "yx h w -> (h w) yx") for grid in level_centers]
    return np.concatenate(flat_centers).astype(np.float32)


def initial_sampling_offsets(
    num_heads: int, num_levels: int, num_points: int
) -> Float[np.ndarray, "a l p 2"]:
    """Return initial offsets: one direction per head, one distance per point.

    Source: Zhu et al., Deformable DETR, ICLR 2021, Appendix A.4. With eight heads the
    directions are those of the eight neighbors.

    Args:
        num_heads: Number of attention heads.
        num_levels: Number of pyramid levels, which all have the same offsets.
        num_points: Number of sampling points of a head on each level.

    Returns:
        [a l p 2] float32 (row, column) offsets in cells.
    """
    head_angle = 2 * np.pi * np.arange(num_heads) / num_heads
    head_directions = np.stack([np.sin(head_angle), np.cos(head_angle)], axis=-1)
    # Scaled from the circle to the square: diagonal neighbors are at (1, 1).
    head_directions /= np.abs(head_directions).max(axis=-1, keepdims=True)
    point_distances = np.arange(1, num_points + 1)[:, None]
    sampling_offsets = (head_directions[:, None, None] * point_distances).astype(
        np.float32
    )
    return np.broadcast_to(sampling_offsets, (num_heads, num_levels, num_points, 2))


class DeformableAttention(nn.Module):
    """Attend to a few sampling points per level, at positions predicted from the query.

    Source: Zhu et al., Deformable DETR, ICLR 2021, Section 4.1. Sampling points and
    attention weights are float32 for every compute dtype.

    Attributes:
        num_heads: Number of attention heads; must divide the width of the query.
        num_points: Number of sampling points of a head on each level.
        dtype: Compute dtype of the value and output projections.
    """

    num_heads: int = 8
    num_points: int = 4
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        inputs_q: Float[Array, "b n c"],
        inputs_v: Float[Array, "b m c"],
        *,
        reference_points_yx: Float[np.ndarray, "n 2"],
        level_sizes: LevelSizes,
    ) -> Float[Array, "b n c"]:
        """Sample all levels around the reference point of each query.

        Args:
            inputs_q: [b n c] query tokens, with their position embedding.
            inputs_v: [b m c] cells of all levels, level by level and row by row.
            reference_points_yx: [n 2] (row, column) of each query; a level spans 0 to
                1.
            level_sizes: Rows and columns of each level.

        Returns:
            [b n c] the attended values.

        Raises:
            ValueError: The width is not a multiple of `num_heads`.
        """
        width = inputs_q.shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"{self.num_heads} heads do not divide the width {width}; "
                "choose a width that is a multiple of the number of heads"
            )
        # 1. Sampling offsets and attention weights of each head, level and point. New
        # modules have constant offsets and equal weights.
        samples_shape = (self.num_heads, len(level_sizes), self.num_points)
        first_offsets = initial_sampling_offsets(*samples_shape)
        sampling_offsets = Dense(
            (*samples_shape, 2),
            kernel_init=nn.initializers.zeros,
            bias_init=lambda _, shape, dtype: jnp.asarray(
                first_offsets.reshape(shape), dtype
            ),
            name="offsets",
        )(inputs_q.astype(jnp.float32))
        weight_logits = Dense(
            samples_shape, kernel_init=nn.initializers.zeros, name="weights"
        )(inputs_q.astype(jnp.float32))
        # The softmax runs over all levels and points of a head.
        attention_weights = jax.nn.softmax(weight_logits, axis=(-2, -1))
        # 2. Sampling points in cells of each level, around the reference point.
        reference_cells = (
            reference_points_yx[:, None] * np.asarray(level_sizes, np.float32) - 0.5
        )
        sampling_points = (
            jnp.asarray(reference_cells[None, :, None, :, None]) + sampling_offsets
        )
        # 3. Sample the projected values and mix the heads.
        values = Dense(
            (self.num_heads, width // self.num_heads), dtype=self.dtype, name="value"
        )(inputs_v)
        sampled_values = sample_levels(
            values, sampling_points, attention_weights, level_sizes=level_sizes
        )
        # A backward pass that computes the layer again does not sample again.
        sampled_values = name_saved_result(sampled_values).astype(self.dtype)
        return Dense(width, axis=(-2, -1), dtype=self.dtype, name="out")(sampled_values)
