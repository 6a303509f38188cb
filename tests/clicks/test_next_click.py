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
sample_clicks = jax.jit(jax.vmap(training_click, in_axes=(0, None, None, None, None)))
evaluation_click_jit = jax.jit(evaluation_click)


def parse_drawing(drawing):
    """Parse a drawing: # target, o predicted, @ both, ? ignored."""
    signs = np.array([list(row) for row in drawing.split()])
    prob = np.where(np.isin(signs, ["o", "@"]), 0.9, 0.1).astype(np.float32)
    return tuple(map(jnp.asarray, (prob, np.isin(signs, ["#", "@"]), signs != "?")))


def click_for(drawing, clicks=NO_CLICK):
    click_yx, label = evaluation_click_jit(*parse_drawing(drawing), clicks)
    return tuple(click_yx.tolist()), int(label)


def test_a_false_negative_region_gets_a_positive_click_at_its_center():
    drawing = """
    ........
    .###....
    .###..o.
    .###....
    ........
    """
    assert click_for(drawing) == ((2, 2), 1)


def test_a_false_positive_region_gets_a_negative_click():
    drawing = """
    @@......
    @@..ooo.
    #...ooo.
    ....ooo.
    ........
    """
    assert click_for(drawing) == ((2, 5), 0)


def test_equal_distances_give_a_negative_click_first_in_row_order():
    drawing = """
    ###..ooo
    ###..ooo
    ###..ooo
    ........
    ooo.....
    ooo.....
    ooo.....
    """
    assert click_for(drawing) == ((1, 6), 0)


def test_the_border_of_the_image_counts_as_outside():
    drawing = """
    #####.
    #####.
    #####.
    #####.
    """
    assert click_for(drawing) == ((1, 1), 1)


def test_distances_end_at_ignored_pixels_and_at_the_other_error():
    drawing = """
    ###?###
    ##oooo#
    ##oooo#
    ##oooo#
    ###?###
    """
    assert click_for(drawing) == ((2, 3), 0)
    clicked = Clicks.from_lists([], [(2, 3), (2, 4)], num_slots=4)
    # The false positives left are at distance 1, as is every false negative: a tie.
    assert click_for(drawing, clicked) == ((1, 2), 0)


def test_clicked_pixels_count_as_inside_but_are_not_clicked_again():
    drawing = """
    ###......
    ###......
    ###......
    """
    clicked = Clicks.from_lists([(1, 1)], num_slots=4)
    assert click_for(drawing, clicked) == ((0, 0), 1)
    outside = Clicks.from_lists([(-2, -2), (50, 1)], num_slots=4)
    assert click_for(drawing, outside) == ((1, 1), 1)


@pytest.mark.parametrize("clicked", [(1, 0.6), (0.6, 1.4)])
def test_a_click_between_pixels_clears_the_nearest(clicked):
    drawing = """
    .....
    .###.
    .....
    """
    clicks = Clicks.from_lists([clicked], num_slots=4)
    assert click_for(drawing, clicks) == ((1, 2), 1)


def test_an_empty_slot_clears_nothing():
    clicks = Clicks(yx=jnp.ones((4, 2)), label=NO_CLICK.label)
    assert click_for("... .#. ...", clicks) == ((1, 1), 1)


def test_without_error_evaluation_clicks_the_corner_and_training_does_not():
    perfect = parse_drawing("..@@ ..@@")
    click_yx, label = evaluation_click_jit(*perfect, NO_CLICK)
    assert click_yx.tolist() == [0, 0] and label == 0
    _, label = jax.jit(training_click)(jax.random.key(0), *perfect, NO_CLICK)
    assert label == -1


@pytest.mark.parametrize("value, label", [(0.4899, 1), (0.4901, 0)])
def test_the_threshold_is_0_49(value, label):
    prob = jnp.full((3, 3), value)
    target = jnp.full((3, 3), label == 1)
    valid = jnp.ones((3, 3), bool)
    assert evaluation_click_jit(prob, target, valid, NO_CLICK)[1] == label


def test_training_samples_uniformly_from_the_inner_half():
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
    clicks_yx, labels = sample_clicks(keys, *parse_drawing(drawing), NO_CLICK)
    assert (labels == 1).all()
    counts = np.zeros((7, 14))
    np.add.at(counts, tuple(np.asarray(clicks_yx).T), 1)
    # Distance 4 in the middle: the nine pixels around it exceed 2.
    inner = np.zeros((7, 14), bool)
    inner[2:5, 2:5] = True
    assert not counts[~inner].any()
    np.testing.assert_allclose(counts[inner], 500, atol=4 * 21)


def test_equal_distances_give_negative_clicks_in_training_too():
    keys = jax.random.split(jax.random.key(0), 20)
    clicks_yx, labels = sample_clicks(keys, *parse_drawing("##.oo ##.oo"), NO_CLICK)
    assert not labels.any()
    assert (clicks_yx[:, 1] >= 3).all()


def reference_click(prob, target, valid, clicked):
    """The published rule, with exact distances."""
    distances = []
    for region in (target & (prob <= 0.49), ~target & (prob > 0.49)):
        squared = ndimage.distance_transform_edt(np.pad(region & valid, 1)) ** 2
        squared = np.rint(squared[1:-1, 1:-1])
        squared[tuple(clicked.T)] = 0
        distances.append(squared)
    is_positive = distances[0].max() > distances[1].max()
    distance = distances[0] if is_positive else distances[1]
    return np.argwhere(distance == distance.max())[0], int(is_positive)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.5, 1.5, 3.0]))
def test_evaluation_clicks_follow_the_published_rule(seed, scale):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, 24, 31)), (0, scale, scale))
    prob = 1 / (1 + np.exp(-20 * smooth[0])).astype(np.float32)
    target, valid = smooth[1] > 0, rng.random((24, 31)) < 0.98
    clicked = rng.integers(0, 24, (3, 2))
    clicks = Clicks.from_lists(clicked[:1].tolist(), clicked[1:].tolist(), num_slots=4)
    click_yx, label = evaluation_click_jit(
        *map(jnp.asarray, (prob, target, valid)), clicks
    )
    expected_yx, expected_label = reference_click(prob, target, valid, clicked)
    np.testing.assert_array_equal(click_yx, expected_yx)
    assert label == expected_label
