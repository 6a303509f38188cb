import numpy as np
import pytest

from mst_jax.layers.positions import sine_positions


def test_rows_first_then_columns_counted_from_one():
    rows, columns = 2, 4
    out = sine_positions(rows, columns, 4)
    # (sin, cos) of the row: half a turn, a whole one; of the column: quarters.
    np.testing.assert_allclose(out[:, 0, :2], [[0, -1], [0, 1]], atol=1e-5)
    np.testing.assert_allclose(
        out[0, :, 2:], [[1, 0], [0, -1], [-1, 0], [0, 1]], atol=1e-5
    )


def test_a_pair_has_one_angle_and_the_next_is_slower():
    out = sine_positions(1, 8, 8)[0, :, 4:]
    angle = np.pi / 4 * np.arange(1, 9)
    want = [np.sin(angle), np.cos(angle), np.sin(angle / 100), np.cos(angle / 100)]
    np.testing.assert_allclose(out, np.stack(want, -1), atol=1e-6)


def test_turning_the_picture_exchanges_the_halves():
    rows, columns = np.split(sine_positions(3, 5, 16), 2, axis=-1)
    turned = np.concatenate([columns, rows], axis=-1).swapaxes(0, 1)
    np.testing.assert_array_equal(sine_positions(5, 3, 16), turned)


def test_channels_that_make_no_pairs_are_refused():
    with pytest.raises(ValueError, match="6 channels; choose a multiple of 4"):
        sine_positions(2, 2, 6)
