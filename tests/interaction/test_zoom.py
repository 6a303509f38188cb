import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.interaction.zoom import move_clicks, next_region
from mst_jax.structs import Clicks

SIZE = jnp.array([60, 80])
WHOLE = [0, 59, 0, 79]
choose = jax.jit(next_region, static_argnames="min_side")


def prob_of(*ends):
    top, bottom, left, right = ends
    return jnp.zeros((64, 96)).at[top : bottom + 1, left : right + 1].set(0.8)


def region_after(used, prob, clicks, *, min_side=10):
    return choose(jnp.array(used), prob, SIZE, clicks, min_side=min_side).tolist()


def clicks(*positive, negative=()):
    return Clicks.from_lists(positive, negative, num_slots=5)


def test_the_first_look_is_at_the_whole_picture():
    prob = prob_of(10, 19, 10, 19)
    assert region_after([-1] * 4, 0 * prob, clicks((15, 15))) == WHOLE
    assert region_after([-1] * 4, prob, clicks((15, 15))) == WHOLE


def test_the_region_is_the_grown_box_of_mask_and_positive_clicks():
    prob = prob_of(20, 29, 30, 49)  # 24.5 -+ 7 and 39.5 -+ 14, halves to even
    assert region_after(WHOLE, prob, clicks((25, 40))) == [18, 32, 26, 54]
    # A click outside stretches the box to row 34; a negative one does not.
    seen = clicks((34, 40), negative=[(50, 70)])
    assert region_after(WHOLE, prob, seen) == [16, 38, 26, 54]
    assert region_after(WHOLE, prob, clicks((25, 40)), min_side=40) == [4, 44, 20, 60]


@pytest.mark.parametrize("value, is_seen", [(0.495, False), (0.5, False), (0.51, True)])
def test_only_what_is_above_one_half_counts_for_the_box(value, is_seen):
    prob = prob_of(20, 29, 30, 49)
    region = region_after(WHOLE, prob.at[12, 22].set(value), clicks())
    # With the corner 20.5 -+ 12.6 and 35.5 -+ 19.6.
    assert region == ([8, 33, 16, 55] if is_seen else [18, 32, 26, 54])


def test_a_region_at_the_border_is_cut_and_not_shifted():
    assert region_after(WHOLE, prob_of(0, 9, 70, 79), clicks()) == [0, 12, 68, 79]


def test_an_empty_mask_brings_the_whole_picture_back():
    assert region_after([5, 9, 5, 9], prob_of(1, 0, 1, 0), clicks()) == WHOLE
    half = jnp.full((64, 96), 0.5)
    assert region_after([5, 9, 5, 9], half, clicks((30, 30))) == WHOLE


def test_a_region_that_still_fits_is_kept():
    used, prob = [18, 32, 25, 54], prob_of(20, 28, 30, 48)
    assert region_after(used, prob, clicks((25, 40))) == used
    # The last row counts as outside, for positive clicks only.
    lost = clicks((32, 40))
    assert region_after(used, prob, lost) != used
    assert region_after(used, prob, clicks(negative=[(32, 40)])) == used


@pytest.mark.parametrize("bottom, is_kept", [(25, True), (26, False)])
def test_less_than_half_an_overlap_is_too_little(bottom, is_kept):
    prob = prob_of(7, 12, 30, 39)
    wanted = [4, 14, 28, 42]
    assert region_after(WHOLE, prob, clicks()) == wanted
    used = [4, bottom, 28, 42]  # 11 of 22 rows, and 11 of 23
    assert region_after(used, prob, clicks()) == (used if is_kept else wanted)


def test_clicks_move_with_the_crop_and_may_land_outside():
    given = clicks((10, 20), (19, 39), negative=[(0, 60)])
    moved = move_clicks(given, jnp.array([10, 19, 20, 39]), side=40)
    np.testing.assert_allclose(moved.yx[:3], [[0, 0], [36, 38], [-40, 80]])
    np.testing.assert_array_equal(moved.label, given.label)


def test_clicks_outside_the_crop_may_be_dropped():
    given = clicks((10, 20), (19, 39), negative=[(0, 60), (20, 20), (10, 19)])
    moved = move_clicks(given, jnp.array([10, 19, 20, 39]), side=40, drop_outside=True)
    np.testing.assert_array_equal(moved.label, [1, 1, -1, -1, -1])
