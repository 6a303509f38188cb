import numpy as np
import pytest

from mst_jax.layers.position_embedding import sine_position_embedding


def test_rows_come_before_columns_and_count_from_one():
    embedding = sine_position_embedding(2, 4, 4)
    # (sin, cos) of the row: half a turn, a whole one; of the column: quarters.
    np.testing.assert_allclose(embedding[:, 0, :2], [[0, -1], [0, 1]], atol=1e-5)
    np.testing.assert_allclose(
        embedding[0, :, 2:], [[1, 0], [0, -1], [-1, 0], [0, 1]], atol=1e-5
    )


def test_pair_has_one_angle_and_the_next_is_slower():
    column_part = sine_position_embedding(1, 8, 8)[0, :, 4:]
    angle = np.pi / 4 * np.arange(1, 9)
    expected = [np.sin(angle), np.cos(angle), np.sin(angle / 100), np.cos(angle / 100)]
    np.testing.assert_allclose(column_part, np.stack(expected, -1), atol=1e-6)


def test_transposing_the_grid_exchanges_the_halves():
    row_part, column_part = np.split(sine_position_embedding(3, 5, 16), 2, axis=-1)
    transposed = np.concatenate([column_part, row_part], axis=-1).swapaxes(0, 1)
    np.testing.assert_array_equal(sine_position_embedding(5, 3, 16), transposed)


def test_channels_must_be_a_multiple_of_four():
    with pytest.raises(ValueError, match="6 channels; choose a multiple of 4"):
        sine_position_embedding(2, 2, 6)
