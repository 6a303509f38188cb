import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import IGNORED, Place, list_objects, open_target

LAYERS = np.array(
    [
        [[0, 1, 1], [7, 7, 0], [7, IGNORED, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 3]],
    ],
    np.uint16,
)
IMAGE = np.zeros((3, 3, 3), np.uint8)
SEVEN, ONE, CORNER = Place(0, 7), Place(0, 1), Place(1, 3)


def test_objects_are_listed_by_layer_and_label():
    assert list_objects(LAYERS) == [(0, 1, 2), (0, 7, 3), (1, 3, 1)]


def test_a_picture_of_background_and_ignored_pixels_has_no_object():
    assert list_objects(np.array([[[0, IGNORED]]], np.uint16)) == []


def test_target_others_and_valid_part_the_layer():
    sample = open_target(IMAGE, LAYERS, [SEVEN], seen=[0])
    np.testing.assert_array_equal(sample.target, [[0, 0, 0], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(sample.valid, [[1, 1, 1], [1, 1, 1], [1, 0, 1]])


def test_several_labels_make_one_target():
    sample = open_target(IMAGE, LAYERS, [SEVEN, ONE], seen=[0])
    np.testing.assert_array_equal(sample.target, [[0, 1, 1], [1, 1, 0], [1, 0, 0]])
    assert not sample.others.any()


def test_what_is_left_out_of_the_target_is_another_object():
    sample = open_target(IMAGE, LAYERS, [SEVEN, CORNER], left_out=[ONE], seen=[0, 1])
    np.testing.assert_array_equal(sample.target, [[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    overlapping = np.stack([np.ones((3, 3), np.uint16), LAYERS[0]])
    sample = open_target(
        IMAGE, overlapping, [Place(0, 1)], left_out=[Place(1, 7)], seen=[0, 1]
    )
    np.testing.assert_array_equal(sample.target, [[1, 1, 1], [0, 0, 1], [0, 1, 1]])
    np.testing.assert_array_equal(sample.others, ~sample.target)


def test_all_layers_that_are_seen_say_what_others_there_are_and_what_counts():
    sample = open_target(IMAGE, LAYERS, [CORNER], seen=[0, 1])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(sample.valid, [[1, 1, 1], [1, 1, 1], [1, 0, 1]])
    alone = open_target(IMAGE, LAYERS, [CORNER], seen=[1])
    assert alone.valid.all() and not alone.others.any()


def test_the_target_counts_where_another_layer_ignores():
    layers = np.array([[[IGNORED, IGNORED]], [[5, 0]]], np.uint16)
    image = np.zeros((1, 2, 3), np.uint8)
    sample = open_target(image, layers, [Place(1, 5)], seen=[0, 1])
    np.testing.assert_array_equal(sample.valid, [[1, 0]])
    np.testing.assert_array_equal(sample.target, [[1, 0]])


@given(seed=st.integers(0, 2**32 - 1))
def test_every_valid_pixel_is_background_or_in_one_object(seed):
    rng = np.random.default_rng(seed)
    layers = rng.choice(np.array([0, 1, 2, 300, IGNORED], np.uint16), (2, 5, 6))
    image = np.zeros((5, 6, 3), np.uint8)
    covered = np.zeros((2, 5, 6), int)
    for layer, label, area in list_objects(layers):
        place = Place(layer, label)
        sample = open_target(image, layers, [place], seen=[layer])
        assert sample.target.sum() == area > 0
        assert not (sample.target & (sample.others | ~sample.valid)).any()
        covered[layer] += sample.target
    np.testing.assert_array_equal(covered, (layers > 0) & (layers != IGNORED))
