import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import IGNORED, Example, list_objects, open_target

LAYERS = np.array(
    [
        [[0, 1, 1], [7, 7, 0], [7, IGNORED, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 3]],
    ],
    np.uint16,
)
EXAMPLE = Example("x", np.zeros((3, 3, 3), np.uint8), LAYERS)


def test_objects_are_listed_by_layer_and_label():
    assert list_objects(LAYERS) == [(0, 1, 2), (0, 7, 3), (1, 3, 1)]


def test_a_picture_of_background_and_ignored_pixels_has_no_object():
    assert list_objects(np.array([[[0, IGNORED]]], np.uint16)) == []


def test_target_others_and_valid_part_the_layer():
    sample = open_target(EXAMPLE, layer=0, labels=(7,))
    np.testing.assert_array_equal(sample.target, [[0, 0, 0], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(sample.valid, [[1, 1, 1], [1, 1, 1], [1, 0, 1]])


def test_several_labels_make_one_target():
    sample = open_target(EXAMPLE, layer=0, labels=(7, 1))
    np.testing.assert_array_equal(sample.target, [[0, 1, 1], [1, 1, 0], [1, 0, 0]])
    assert not sample.others.any()


@given(seed=st.integers(0, 2**32 - 1))
def test_every_valid_pixel_is_background_or_in_one_object(seed):
    rng = np.random.default_rng(seed)
    layers = rng.choice(np.array([0, 1, 2, 300, IGNORED], np.uint16), (2, 5, 6))
    example = Example("x", np.zeros((5, 6, 3), np.uint8), layers)
    covered = np.zeros((2, 5, 6), int)
    for layer, label, area in list_objects(layers):
        sample = open_target(example, layer=layer, labels=(label,))
        assert sample.target.sum() == area > 0
        assert not (sample.target & (sample.others | ~sample.valid)).any()
        covered[layer] += sample.target
    np.testing.assert_array_equal(covered, (layers > 0) & (layers != IGNORED))
