"""Fixed sine-cosine position embedding of a grid."""

import numpy as np
from jaxtyping import Float

# Ratio of the longest to the shortest wavelength ("temperature" in DETR).
SINE_TEMPERATURE = 10000.0


def sine_position_embedding(
    height: int, width: int, num_channels: int
) -> Float[np.ndarray, "h w c"]:
    """Compute sines and cosines of a cell's row, then of its column.

    Cells are counted from 1 and scaled so that the whole side is one turn. Pairs
    (sin, cos) follow each other, with longer and longer wavelengths. The result is a
    constant of the compiled program.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
    Appendix A.4, in the normalized form of the released code.

    Args:
        height: Number of rows of the grid.
        width: Number of columns of the grid.
        num_channels: Number of channels of the embedding, a multiple of 4. The first
            half encodes the row, the second half the column.

    Returns:
        [h w c] float32 embedding.

    Raises:
        ValueError: The number of channels is not a multiple of 4.
    """
    if num_channels % 4:
        raise ValueError(
            f"sine position embedding of {num_channels} channels; "
            "choose a multiple of 4"
        )
    axis_channels = num_channels // 2
    axis_shape = (height, width, axis_channels)
    # Every row has one vector, repeated over the columns, and the other way round.
    row_part = _sine_cosine_pairs(height, axis_channels)[:, None]
    column_part = _sine_cosine_pairs(width, axis_channels)[None]
    return np.concatenate(
        [
            np.broadcast_to(row_part, axis_shape),
            np.broadcast_to(column_part, axis_shape),
        ],
        axis=-1,
    ).astype(np.float32)


def _sine_cosine_pairs(num_cells: int, num_channels: int) -> Float[np.ndarray, "n c"]:
    """Return pairs (sin, cos) for each of the cells along one axis, in float64."""
    # 1e-6 as in the released code.
    scaled_position = 2 * np.pi * np.arange(1, num_cells + 1) / (num_cells + 1e-6)
    relative_wavelength = SINE_TEMPERATURE ** (
        2 * np.arange(num_channels // 2) / num_channels
    )
    wave_angle = scaled_position[:, None] / relative_wavelength
    sine_cosine_pairs = np.stack([np.sin(wave_angle), np.cos(wave_angle)], axis=-1)
    return sine_cosine_pairs.reshape(num_cells, num_channels)
