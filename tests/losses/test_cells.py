import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.cells import read_cells, token_side

PICTURE = jnp.array(
    [
        [1, 1, 0, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
    ],
    bool,
)


def test_a_cell_has_the_value_of_its_top_left_pixel_and_parts_of_cells_none():
    np.testing.assert_array_equal(
        read_cells(PICTURE[None], side=2), [[True, False, False, True]]
    )
    np.testing.assert_array_equal(read_cells(PICTURE[None, :4], side=4), [[True]])
    np.testing.assert_array_equal(read_cells(PICTURE[None], side=1)[0], PICTURE.ravel())


def test_cells_of_wide_pictures_come_row_by_row():
    picture = jnp.zeros((1, 4, 6), bool).at[0, 2, 4].set(True)
    np.testing.assert_array_equal(
        read_cells(picture, side=2), [[False, False, False, False, False, True]]
    )


@pytest.mark.parametrize(
    "height, width, num_tokens, side",
    [(448, 448, 3136, 8), (448, 448, 196, 32), (64, 96, 6, 32), (32, 32, 1, 32)],
)
def test_the_side_of_a_token(height, width, num_tokens, side):
    assert token_side(jnp.zeros((1, height, width), bool), num_tokens) == side


def test_a_target_of_another_size_is_refused():
    with pytest.raises(ValueError, match="6 tokens do not cut a picture of 64x64"):
        token_side(jnp.zeros((1, 64, 64), bool), 6)
    with pytest.raises(ValueError, match="3136 tokens do not cut a picture of 16x16"):
        token_side(jnp.zeros((1, 16, 16), bool), 3136)
