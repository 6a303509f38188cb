import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.data.synthetic import scenes


def test_hidden_objects_lose_their_label_and_the_rest_is_renumbered():
    labels = np.zeros((10, 10), np.uint16)
    labels[:4], labels[4, :3], labels[5:9] = 1, 2, 4
    expected = np.zeros((10, 10), np.uint16)
    expected[:4], expected[5:9] = 1, 2
    np.testing.assert_array_equal(scenes._relabel_visible(labels), expected)


def test_the_largest_object_is_visible_even_if_tiny():
    labels = np.array([[0, 1, 1, 2]], np.uint16)
    np.testing.assert_array_equal(scenes._relabel_visible(labels), [[0, 1, 1, 0]])


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_scene_has_consecutive_labels_and_is_reproducible(seed):
    image, labels = scenes.draw_scene(np.random.default_rng(seed), size=48)
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    label_values = np.unique(labels)
    np.testing.assert_array_equal(
        label_values[label_values > 0], np.arange(1, labels.max() + 1)
    )
    repeated_image, _ = scenes.draw_scene(np.random.default_rng(seed), size=48)
    np.testing.assert_array_equal(image, repeated_image)


def test_scenes_have_small_and_large_objects():
    scene_list = [
        scenes.draw_scene(np.random.default_rng(scene_seed), size=96)
        for scene_seed in range(40)
    ]
    area_fractions = np.concatenate(
        [
            np.bincount(label_map.ravel())[1:] / label_map.size
            for _, label_map in scene_list
        ]
    )
    assert len(area_fractions) / len(scene_list) > 3.0
    assert (area_fractions < 0.02).mean() > 0.15 and (area_fractions > 0.1).mean() > 0.1
    assert np.mean([label_map.max() > 0 for _, label_map in scene_list]) == 1.0


def test_objects_differ_in_color_from_their_background():
    """Compare mean colors of object and background, which differ in most scenes."""
    color_changes = []
    for scene_seed in range(30):
        image, labels = scenes.draw_scene(np.random.default_rng(scene_seed), size=96)
        for label in range(1, labels.max() + 1):
            mean_color = image[labels == label].mean(0)
            color_changes.append(np.abs(mean_color - image[labels == 0].mean(0)).max())
    assert np.mean(np.array(color_changes) > 10) > 0.9
