import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.decoders.query_attention_mask import (
    downsample_click_disks,
    query_attention_mask,
)

NO_CLICK, CLICK = [1.0, -1.0], [-1.0, 1.0]
NOWHERE = ["....", "....", "....", "...."]
CORNER = ["##..", "#...", "....", "...."]
CENTER = ["....", ".##.", ".##.", "...."]
CORNER_AND_CENTER = ["##..", "###.", ".##.", "...."]
EVERYWHERE = ["####", "####", "####", "####"]


def cells_of(drawing):
    """Cells [h w] of a drawing, True on #."""
    return np.array([[cell == "#" for cell in row] for row in drawing])


@pytest.mark.parametrize(
    ("own_mask", "clicks", "query_class", "expected"),
    [
        (CORNER, NOWHERE, NO_CLICK, CORNER),
        (CORNER, NOWHERE, CLICK, CORNER),
        (CORNER, CENTER, NO_CLICK, CORNER),
        (CORNER, CENTER, CLICK, CORNER_AND_CENTER),
        (NOWHERE, CENTER, CLICK, CENTER),
        (NOWHERE, CENTER, NO_CLICK, EVERYWHERE),
        (NOWHERE, NOWHERE, CLICK, EVERYWHERE),
        (EVERYWHERE, CENTER, CLICK, EVERYWHERE),
    ],
)
def test_query_attends_to_its_mask_and_if_clicked_to_the_clicks(
    own_mask, clicks, query_class, expected
):
    # A mask of twice the size: every cell is 2x2 pixels.
    logits = np.kron(np.where(cells_of(own_mask), 0.5, -0.5), np.ones((2, 2)))
    may_attend = query_attention_mask(
        jnp.asarray(logits, jnp.float32)[None, None],
        jnp.asarray(query_class)[None, None],
        jnp.asarray(cells_of(clicks))[None],
    )
    np.testing.assert_array_equal(may_attend[0, 0], cells_of(expected))


def test_logits_are_resized_not_their_signs():
    # One 2x2 cell: one strong pixel outweighs three weak ones.
    logits = jnp.array([[[[4.0, -1.0, -4.0, 1.0], [-1.0, -1.0, 1.0, 1.0]]]])
    may_attend = query_attention_mask(
        logits, jnp.zeros((1, 1, 2)), jnp.zeros((1, 1, 2), bool)
    )
    np.testing.assert_array_equal(may_attend[0, 0], [[True, False]])


def test_queries_and_examples_have_their_own_masks():
    logits = jnp.array(
        [[[[1.0, -1.0]], [[-1.0, 1.0]]], [[[-1.0, -1.0]], [[1.0, -1.0]]]]
    )
    class_logits = jnp.array([[CLICK, NO_CLICK], [NO_CLICK, CLICK]])
    clicked_cells = jnp.array([[[False, True]], [[False, True]]])
    may_attend = query_attention_mask(logits, class_logits, clicked_cells)[:, :, 0]
    np.testing.assert_array_equal(
        may_attend, [[[True, True], [False, True]], [[True, True], [True, True]]]
    )


def test_no_gradient_flows():
    def total(logits):
        no_clicks = jnp.zeros((1, 2, 2), bool)
        may_attend = query_attention_mask(logits, jnp.zeros((1, 1, 2)), no_clicks)
        return jnp.where(may_attend, 1.0, 2.0).sum()

    gradient = jax.grad(total)(jnp.ones((1, 1, 4, 4)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 1, 4, 4)))


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (16, 16, ["....", "....", "..#.", "...."]),  # the middle of a 3x3 each time
        (17, 16, ["....", "....", "..#.", "..#."]),  # in two windows each time
        (9, 31, ["....", "...#", "...#", "...."]),
        (0, 0, ["#...", "....", "....", "...."]),
    ],
)
def test_one_pixel_touches_these_cells(row, column, expected):
    disks = jnp.zeros((1, 32, 32)).at[0, row, column].set(1.0)
    clicked_cells = downsample_click_disks(disks, 4, 4)[0]
    np.testing.assert_array_equal(clicked_cells, cells_of(expected))


def slow_max_pool(disk_map):
    """The largest of the 3x3 pixels around every second one, by its definition."""
    padded = np.pad(disk_map, 1)
    rows, columns = np.indices(disk_map.shape)[:, ::2, ::2]
    neighbors = [padded[rows + i, columns + j] for i in range(3) for j in range(3)]
    return np.max(neighbors, axis=0)


@pytest.mark.parametrize("num_halvings", [3, 4, 5])
def test_images_need_not_be_square(rng, num_halvings):
    disk_map = rng.random((96, 64)) < 0.01
    expected = disk_map
    for _ in range(num_halvings):
        expected = slow_max_pool(expected)
    disks = jnp.asarray(disk_map[None], jnp.float32)
    clicked_cells = downsample_click_disks(disks, *expected.shape)
    np.testing.assert_array_equal(clicked_cells[0], expected)


def test_patches_of_14_pixels():
    """Three halvings of 56 pixels give 7 cells, where the level has 8.

    Rows 20 to 30 become 10 to 15, 5 to 8 and 2 to 4; columns 41 to 51 become 5 and 6.
    """
    disks = jnp.zeros((1, 56, 56)).at[0, 20:31, 41:52].set(1.0)
    clicked_cells = downsample_click_disks(disks, 8, 8)
    expected = np.zeros((8, 8), bool)
    expected[2:6, 6:8] = True
    np.testing.assert_array_equal(clicked_cells[0], expected)
