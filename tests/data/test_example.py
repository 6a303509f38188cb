import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.example import (
    IGNORE_LABEL,
    ObjectId,
    list_objects,
    make_target_sample,
)

LAYERS = np.array(
    [
        [[0, 1, 1], [7, 7, 0], [7, IGNORE_LABEL, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 3]],
    ],
    np.uint16,
)
IMAGE = np.zeros((3, 3, 3), np.uint8)
SEVEN, ONE, CORNER = ObjectId(0, 7), ObjectId(0, 1), ObjectId(1, 3)


def test_objects_are_listed_by_layer_and_label():
    objects = list_objects(LAYERS)
    assert objects == [(0, 1, 2), (0, 7, 3), (1, 3, 1)]
    assert objects[1].object_id == SEVEN


def test_background_and_ignored_pixels_are_no_objects():
    assert list_objects(np.array([[[0, IGNORE_LABEL]]], np.uint16)) == []


def test_target_others_and_valid_partition_the_layer():
    sample = make_target_sample(IMAGE, LAYERS, [SEVEN], visible_layers=[0])
    np.testing.assert_array_equal(sample.target, [[0, 0, 0], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(sample.valid, [[1, 1, 1], [1, 1, 1], [1, 0, 1]])


def test_several_objects_make_one_target():
    sample = make_target_sample(IMAGE, LAYERS, [SEVEN, ONE], visible_layers=[0])
    np.testing.assert_array_equal(sample.target, [[0, 1, 1], [1, 1, 0], [1, 0, 0]])
    assert not sample.others.any()


def test_excluded_object_is_one_of_the_others():
    sample = make_target_sample(
        IMAGE, LAYERS, [SEVEN, CORNER], excluded_ids=[ONE], visible_layers=[0, 1]
    )
    np.testing.assert_array_equal(sample.target, [[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    overlapping = np.stack([np.ones((3, 3), np.uint16), LAYERS[0]])
    sample = make_target_sample(
        IMAGE,
        overlapping,
        [ObjectId(0, 1)],
        excluded_ids=[ObjectId(1, 7)],
        visible_layers=[0, 1],
    )
    np.testing.assert_array_equal(sample.target, [[1, 1, 1], [0, 0, 1], [0, 1, 1]])
    np.testing.assert_array_equal(sample.others, ~sample.target)


def test_visible_layers_decide_which_objects_are_others_and_which_pixels_are_valid():
    sample = make_target_sample(IMAGE, LAYERS, [CORNER], visible_layers=[0, 1])
    np.testing.assert_array_equal(sample.others, [[0, 1, 1], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(sample.valid, [[1, 1, 1], [1, 1, 1], [1, 0, 1]])
    alone = make_target_sample(IMAGE, LAYERS, [CORNER], visible_layers=[1])
    assert alone.valid.all() and not alone.others.any()


def test_target_is_valid_where_another_layer_ignores():
    layers = np.array([[[IGNORE_LABEL, IGNORE_LABEL]], [[5, 0]]], np.uint16)
    image = np.zeros((1, 2, 3), np.uint8)
    sample = make_target_sample(image, layers, [ObjectId(1, 5)], visible_layers=[0, 1])
    np.testing.assert_array_equal(sample.valid, [[1, 0]])
    np.testing.assert_array_equal(sample.target, [[1, 0]])


@given(seed=st.integers(0, 2**32 - 1))
def test_every_valid_pixel_is_background_or_in_one_object(seed):
    rng = np.random.default_rng(seed)
    layers = rng.choice(np.array([0, 1, 2, 300, IGNORE_LABEL], np.uint16), (2, 5, 6))
    image = np.zeros((5, 6, 3), np.uint8)
    num_targets = np.zeros((2, 5, 6), int)
    for layer, label, area in list_objects(layers):
        sample = make_target_sample(
            image, layers, [ObjectId(layer, label)], visible_layers=[layer]
        )
        assert sample.target.sum() == area > 0
        assert not (sample.target & (sample.others | ~sample.valid)).any()
        num_targets[layer] += sample.target
    np.testing.assert_array_equal(num_targets, (layers > 0) & (layers != IGNORE_LABEL))
