import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mst_jax.clicks.next_click import evaluation_click, training_click
from mst_jax.structs import Clicks

NO_CLICK = Clicks.empty(num_slots=4)
draw = jax.jit(jax.vmap(training_click, in_axes=(0, None, None, None, None)))
ask = jax.jit(evaluation_click)


def pictures(drawing):
    """Reads a drawing: # target, o predicted, @ both, ? ignored."""
    signs = np.array([list(row) for row in drawing.split()])
    prob = np.where(np.isin(signs, ["o", "@"]), 0.9, 0.1).astype(np.float32)
    return tuple(map(jnp.asarray, (prob, np.isin(signs, ["#", "@"]), signs != "?")))


def answer(drawing, clicks=NO_CLICK):
    place, label = ask(*pictures(drawing), clicks)
    return tuple(place.tolist()), int(label)


def test_a_missed_part_gets_a_positive_click_at_its_deepest_pixel():
    drawing = """
    ........
    .###....
    .###..o.
    .###....
    ........
    """
    assert answer(drawing) == ((2, 2), 1)


def test_a_wrong_part_gets_a_negative_click():
    drawing = """
    @@......
    @@..ooo.
    #...ooo.
    ....ooo.
    ........
    """
    assert answer(drawing) == ((2, 5), 0)


def test_equal_depths_are_negative_and_first_in_row_order():
    drawing = """
    ###..ooo
    ###..ooo
    ###..ooo
    ........
    ooo.....
    ooo.....
    ooo.....
    """
    assert answer(drawing) == ((1, 6), 0)


def test_the_border_of_the_picture_is_outside():
    drawing = """
    #####.
    #####.
    #####.
    #####.
    """
    assert answer(drawing) == ((1, 1), 1)


def test_depth_ends_at_ignored_pixels_and_at_the_other_error():
    drawing = """
    ###?###
    ##oooo#
    ##oooo#
    ##oooo#
    ###?###
    """
    assert answer(drawing) == ((2, 3), 0)
    clicked = Clicks.from_lists([], [(2, 3), (2, 4)], num_slots=4)
    # Wrong pixels left have depth 1; so has every missed one: a tie, negative.
    assert answer(drawing, clicked) == ((1, 2), 0)


def test_clicked_pixels_count_as_inside_but_are_not_chosen():
    drawing = """
    ###......
    ###......
    ###......
    """
    clicked = Clicks.from_lists([(1, 1)], num_slots=4)
    assert answer(drawing, clicked) == ((0, 0), 1)
    outside = Clicks.from_lists([(-2, -2), (50, 1)], num_slots=4)
    assert answer(drawing, outside) == ((1, 1), 1)


@pytest.mark.parametrize("clicked", [(1, 0.6), (0.6, 1.4)])
def test_a_click_between_pixels_forgets_the_nearest(clicked):
    drawing = """
    .....
    .###.
    .....
    """
    clicks = Clicks.from_lists([clicked], num_slots=4)
    assert answer(drawing, clicks) == ((1, 2), 1)


def test_an_empty_slot_forgets_nothing_whatever_it_holds():
    clicks = Clicks(yx=jnp.ones((4, 2)), label=NO_CLICK.label)
    assert answer("... .#. ...", clicks) == ((1, 1), 1)


def test_without_error_evaluation_clicks_the_corner_and_training_does_not():
    perfect = pictures("..@@ ..@@")
    place, label = evaluation_click(*perfect, NO_CLICK)
    assert place.tolist() == [0, 0] and label == 0
    _, label = training_click(jax.random.key(0), *perfect, NO_CLICK)
    assert label == -1


@pytest.mark.parametrize("value, label", [(0.4899, 1), (0.4901, 0)])
def test_the_threshold_is_0_49(value, label):
    prob = jnp.full((3, 3), value)
    target = jnp.full((3, 3), label == 1)
    assert evaluation_click(prob, target, jnp.ones((3, 3), bool), NO_CLICK)[1] == label


def test_training_draws_evenly_from_the_deeper_half():
    drawing = """
    #######.......
    #######.ooo...
    #######.ooo...
    #######.ooo...
    #######.......
    #######.......
    #######.......
    """
    keys = jax.random.split(jax.random.key(0), 4500)
    places, labels = draw(keys, *pictures(drawing), NO_CLICK)
    assert (labels == 1).all()
    counts = np.zeros((7, 14))
    np.add.at(counts, tuple(np.asarray(places).T), 1)
    # Depth 4 in the middle: deeper than 2 are the nine pixels around it.
    inner = np.zeros((7, 14), bool)
    inner[2:5, 2:5] = True
    assert not counts[~inner].any()
    np.testing.assert_allclose(counts[inner], 500, atol=4 * 21)


def test_equal_depths_are_negative_in_training_too():
    keys = jax.random.split(jax.random.key(0), 20)
    places, labels = draw(keys, *pictures("##.oo ##.oo"), NO_CLICK)
    assert not labels.any()
    assert (places[:, 1] >= 3).all()


def by_scipy(prob, target, valid, clicked):
    """The published rule, with exact distances."""
    depths = []
    for region in (target & (prob <= 0.49), ~target & (prob > 0.49)):
        apart = ndimage.distance_transform_edt(np.pad(region & valid, 1)) ** 2
        apart = np.rint(apart[1:-1, 1:-1])
        apart[tuple(clicked.T)] = 0
        depths.append(apart)
    is_positive = depths[0].max() > depths[1].max()
    depth = depths[0] if is_positive else depths[1]
    return np.argwhere(depth == depth.max())[0], int(is_positive)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.5, 1.5, 3.0]))
def test_evaluation_clicks_as_the_published_rule(seed, scale):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, 24, 31)), (0, scale, scale))
    prob = 1 / (1 + np.exp(-20 * smooth[0])).astype(np.float32)
    target, valid = smooth[1] > 0, rng.random((24, 31)) < 0.98
    clicked = rng.integers(0, 24, (3, 2))
    clicks = Clicks.from_lists(clicked[:1].tolist(), clicked[1:].tolist(), num_slots=4)
    place, label = ask(*map(jnp.asarray, (prob, target, valid)), clicks)
    expected_place, expected_label = by_scipy(prob, target, valid, clicked)
    np.testing.assert_array_equal(place, expected_place)
    assert label == expected_label
