import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.decoders.query_attention_mask import clicked_cells, may_look

NO_CLICK, CLICK = [1.0, -1.0], [-1.0, 1.0]
NOWHERE = ["....", "....", "....", "...."]
CORNER = ["##..", "#...", "....", "...."]
CENTRE = ["....", ".##.", ".##.", "...."]
BOTH = ["##..", "###.", ".##.", "...."]
EVERYWHERE = ["####", "####", "####", "####"]


def drawn(picture):
    return np.array([[cell == "#" for cell in row] for row in picture])


@pytest.mark.parametrize(
    ("mask", "clicks", "takes_itself", "sees"),
    [
        (CORNER, NOWHERE, NO_CLICK, CORNER),
        (CORNER, NOWHERE, CLICK, CORNER),
        (CORNER, CENTRE, NO_CLICK, CORNER),
        (CORNER, CENTRE, CLICK, BOTH),
        (NOWHERE, CENTRE, CLICK, CENTRE),
        (NOWHERE, CENTRE, NO_CLICK, EVERYWHERE),
        (NOWHERE, NOWHERE, CLICK, EVERYWHERE),
        (EVERYWHERE, CENTRE, CLICK, EVERYWHERE),
    ],
)
def test_a_query_sees_its_mask_and_the_clicks_if_it_is_one(
    mask, clicks, takes_itself, sees
):
    # A mask of twice the size: every cell is 2x2 pixels.
    logits = np.kron(np.where(drawn(mask), 0.5, -0.5), np.ones((2, 2)))
    got = may_look(
        jnp.asarray(logits, jnp.float32)[None, None],
        jnp.asarray(takes_itself)[None, None],
        jnp.asarray(drawn(clicks))[None],
    )
    np.testing.assert_array_equal(got[0, 0], drawn(sees))


def test_the_logits_are_resized_not_their_signs():
    # One 2x2 cell: one strong pixel outweighs three weak ones.
    logits = jnp.array([[[[4.0, -1.0, -4.0, 1.0], [-1.0, -1.0, 1.0, 1.0]]]])
    seen = may_look(logits, jnp.zeros((1, 1, 2)), jnp.zeros((1, 1, 2), bool))
    np.testing.assert_array_equal(seen[0, 0], [[True, False]])


def test_queries_and_examples_do_not_share_what_they_see():
    logits = jnp.array(
        [[[[1.0, -1.0]], [[-1.0, 1.0]]], [[[-1.0, -1.0]], [[1.0, -1.0]]]]
    )
    classes = jnp.array([[CLICK, NO_CLICK], [NO_CLICK, CLICK]])
    clicked = jnp.array([[[False, True]], [[False, True]]])
    seen = may_look(logits, classes, clicked)[:, :, 0]
    np.testing.assert_array_equal(
        seen, [[[True, True], [False, True]], [[True, True], [True, True]]]
    )


def test_no_gradient_flows():
    def total(logits):
        clicked = jnp.zeros((1, 2, 2), bool)
        seen = may_look(logits, jnp.zeros((1, 1, 2)), clicked)
        return jnp.where(seen, 1.0, 2.0).sum()

    gradient = jax.grad(total)(jnp.ones((1, 1, 4, 4)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 1, 4, 4)))


@pytest.mark.parametrize(
    ("row", "column", "picture"),
    [
        (16, 16, ["....", "....", "..#.", "...."]),  # the middle of a 3x3 each time
        (17, 16, ["....", "....", "..#.", "..#."]),  # in two windows each time
        (9, 31, ["....", "...#", "...#", "...."]),
        (0, 0, ["#...", "....", "....", "...."]),
    ],
)
def test_one_pixel_touches_these_cells(row, column, picture):
    disks = jnp.zeros((1, 32, 32)).at[0, row, column].set(1.0)
    np.testing.assert_array_equal(clicked_cells(disks, 4, 4)[0], drawn(picture))


def halve(picture):
    """The largest of the 3x3 pixels around every second one, by its definition."""
    around = np.pad(picture, 1)
    rows, columns = np.indices(picture.shape)[:, ::2, ::2]
    return np.max(
        [around[rows + i, columns + j] for i in range(3) for j in range(3)], axis=0
    )


@pytest.mark.parametrize("halvings", [3, 4, 5])
def test_pictures_need_not_be_square(rng, halvings):
    picture = rng.random((96, 64)) < 0.01
    want = picture
    for _ in range(halvings):
        want = halve(want)
    got = clicked_cells(jnp.asarray(picture[None], jnp.float32), *want.shape)
    np.testing.assert_array_equal(got[0], want)


def test_patches_of_14_pixels():
    """Three halvings of 56 pixels give 7 cells, where the level has 8.

    Rows 20 to 30 become 10 to 15, 5 to 8 and 2 to 4; columns 41 to 51 become 5 and 6.
    """
    disks = jnp.zeros((1, 56, 56)).at[0, 20:31, 41:52].set(1.0)
    got = clicked_cells(disks, 8, 8)
    want = np.zeros((8, 8), bool)
    want[2:6, 6:8] = True
    np.testing.assert_array_equal(got[0], want)
