import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.data.synthetic import scenes


def test_hidden_objects_lose_their_label_and_numbers_close_up():
    labels = np.zeros((10, 10), np.uint16)
    labels[:4], labels[4, :3], labels[5:9] = 1, 2, 4
    expected = np.zeros((10, 10), np.uint16)
    expected[:4], expected[5:9] = 1, 2
    np.testing.assert_array_equal(scenes._keep_visible(labels), expected)


def test_the_largest_object_is_kept_even_if_tiny():
    labels = np.array([[0, 1, 1, 2]], np.uint16)
    np.testing.assert_array_equal(scenes._keep_visible(labels), [[0, 1, 1, 0]])


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_scene_is_a_picture_with_numbered_objects(seed):
    image, labels = scenes.draw_scene(np.random.default_rng(seed), size=48)
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    found = np.unique(labels)
    np.testing.assert_array_equal(found[found > 0], np.arange(1, labels.max() + 1))
    again, _ = scenes.draw_scene(np.random.default_rng(seed), size=48)
    np.testing.assert_array_equal(image, again)


def test_scenes_hold_small_and_large_objects_that_hide_one_another():
    drawn = [scenes.draw_scene(np.random.default_rng(k), size=96) for k in range(40)]
    shares = np.concatenate([np.bincount(m.ravel())[1:] / m.size for _, m in drawn])
    assert len(shares) / len(drawn) > 3.0
    assert (shares < 0.02).mean() > 0.15 and (shares > 0.1).mean() > 0.1
    assert np.mean([m.max() > 0 for _, m in drawn]) == 1.0


def test_objects_can_be_told_from_what_surrounds_them():
    """Mean colours on both sides of borders differ in most scenes."""
    changes = []
    for k in range(30):
        image, labels = scenes.draw_scene(np.random.default_rng(k), size=96)
        for label in range(1, labels.max() + 1):
            inside = image[labels == label].mean(0)
            changes.append(np.abs(inside - image[labels == 0].mean(0)).max())
    assert np.mean(np.array(changes) > 10) > 0.9
