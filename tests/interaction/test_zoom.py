import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.interaction.zoom import clicks_to_roi, grow_roi, next_roi
from mst_jax.structs import Clicks

SIZE = jnp.array([60, 80])
WHOLE_IMAGE = [0, 59, 0, 79]
next_roi_jit = jax.jit(next_roi, static_argnames="min_side")


def prob_of_box(*box):
    top, bottom, left, right = box
    return jnp.zeros((64, 96)).at[top : bottom + 1, left : right + 1].set(0.8)


def roi_after(current, prob, clicks, *, min_side=10):
    return next_roi_jit(
        jnp.array(current), prob, SIZE, clicks, min_side=min_side
    ).tolist()


def make_clicks(*positive, negative=()):
    return Clicks.from_lists(positive, negative, num_slots=5)


def test_the_first_roi_is_the_whole_image():
    prob = prob_of_box(10, 19, 10, 19)
    assert roi_after([-1] * 4, 0 * prob, make_clicks((15, 15))) == WHOLE_IMAGE
    assert roi_after([-1] * 4, prob, make_clicks((15, 15))) == WHOLE_IMAGE


def test_the_roi_is_the_expanded_box_of_mask_and_positive_clicks():
    prob = prob_of_box(20, 29, 30, 49)  # 24.5 -+ 7 and 39.5 -+ 14, halves to even
    assert roi_after(WHOLE_IMAGE, prob, make_clicks((25, 40))) == [18, 32, 26, 54]
    # A click outside extends the box to row 34; a negative one does not.
    more_clicks = make_clicks((34, 40), negative=[(50, 70)])
    assert roi_after(WHOLE_IMAGE, prob, more_clicks) == [16, 38, 26, 54]
    assert roi_after(WHOLE_IMAGE, prob, make_clicks((25, 40)), min_side=40) == [
        4,
        44,
        20,
        60,
    ]


@pytest.mark.parametrize("value, counts", [(0.495, False), (0.5, False), (0.51, True)])
def test_only_what_is_above_one_half_counts_for_the_box(value, counts):
    prob = prob_of_box(20, 29, 30, 49)
    roi = roi_after(WHOLE_IMAGE, prob.at[12, 22].set(value), make_clicks())
    # With the corner 20.5 -+ 12.6 and 35.5 -+ 19.6.
    assert roi == ([8, 33, 16, 55] if counts else [18, 32, 26, 54])


def test_an_roi_at_the_border_is_clipped_and_not_shifted():
    assert roi_after(WHOLE_IMAGE, prob_of_box(0, 9, 70, 79), make_clicks()) == [
        0,
        12,
        68,
        79,
    ]


def test_an_empty_mask_gives_the_whole_image():
    assert (
        roi_after([5, 9, 5, 9], prob_of_box(1, 0, 1, 0), make_clicks()) == WHOLE_IMAGE
    )
    half = jnp.full((64, 96), 0.5)
    assert roi_after([5, 9, 5, 9], half, make_clicks((30, 30))) == WHOLE_IMAGE


def test_an_roi_that_still_fits_stays():
    current, prob = [18, 32, 25, 54], prob_of_box(20, 28, 30, 48)
    assert roi_after(current, prob, make_clicks((25, 40))) == current
    # The last row counts as outside, for positive clicks only.
    outside = make_clicks((32, 40))
    assert roi_after(current, prob, outside) != current
    assert roi_after(current, prob, make_clicks(negative=[(32, 40)])) == current


@pytest.mark.parametrize("bottom, stays", [(25, True), (26, False)])
def test_an_roi_with_less_than_half_an_overlap_is_replaced(bottom, stays):
    prob = prob_of_box(7, 12, 30, 39)
    proposal = [4, 14, 28, 42]
    assert roi_after(WHOLE_IMAGE, prob, make_clicks()) == proposal
    current = [4, bottom, 28, 42]  # 11 of 22 rows, and 11 of 23
    assert roi_after(current, prob, make_clicks()) == (current if stays else proposal)


def test_clicks_move_into_the_crop_and_may_lie_outside():
    clicks = make_clicks((10, 20), (19, 39), negative=[(0, 60)])
    moved = clicks_to_roi(clicks, jnp.array([10, 19, 20, 39]), side=40)
    np.testing.assert_allclose(moved.yx[:3], [[0, 0], [36, 38], [-40, 80]])
    np.testing.assert_array_equal(moved.label, clicks.label)


def test_clicks_outside_the_crop_may_be_dropped():
    clicks = make_clicks((10, 20), (19, 39), negative=[(0, 60), (20, 20), (10, 19)])
    moved = clicks_to_roi(
        clicks, jnp.array([10, 19, 20, 39]), side=40, drop_outside=True
    )
    np.testing.assert_array_equal(moved.label, [1, 1, -1, -1, -1])


def grown_roi(roi, mask):
    prob = jnp.where(jnp.asarray(mask), 0.9, 0.1)
    return grow_roi(jnp.array(roi), prob, SIZE).tolist()


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(4, 8), slice(4, 8), [20, 39, 30, 49]),  # inside: nothing moves
        (slice(0, 8), slice(4, 8), [10, 39, 30, 49]),  # top: half of 20 rows
        (slice(4, 12), slice(4, 8), [20, 49, 30, 49]),
        (slice(4, 8), slice(0, 8), [20, 39, 20, 49]),
        (slice(4, 8), slice(4, 12), [20, 39, 30, 59]),
        (slice(0, 12), slice(0, 12), [10, 49, 20, 59]),
    ],
)
def test_sides_that_cut_the_mask_move_outward(rows, columns, expected):
    mask = np.zeros((12, 12), bool)
    mask[rows, columns] = True
    assert grown_roi([20, 39, 30, 49], mask) == expected


def test_a_side_at_the_border_of_the_image_stays():
    everything = np.ones((12, 12), bool)
    assert grown_roi(WHOLE_IMAGE, everything) == WHOLE_IMAGE
    # 80 columns: the right side reaches the border, the others move by half of 20, 76.
    assert grown_roi([0, 19, 2, 77], everything) == [0, 29, 0, 79]


def test_a_few_pixels_on_a_side_do_not_cut_the_mask():
    mask = np.zeros((300, 300), bool)
    mask[0, 100:102] = True
    assert grown_roi([20, 39, 30, 49], mask) == [20, 39, 30, 49]
    mask[0, 100:103] = True
    assert grown_roi([20, 39, 30, 49], mask) == [10, 39, 30, 49]
