from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.interaction.zoom_predict import predict
from mst_jax.structs import Clicks


def brightness(image, clicks, previous):
    """Logits that only tell what was shown."""
    return 4 * image[..., 0] - 2 + previous


def left_of_click(image, clicks, previous):
    """On the left of the first click, the more the nearer: not symmetric."""
    column = jnp.arange(image.shape[2], dtype=jnp.float32)
    apart = clicks.yx[:, :1, 1] - column[None]
    return jnp.broadcast_to(apart[:, None], image.shape[:3])


@pytest.fixture
def scene(rng):
    image = jnp.asarray(rng.random((2, 24, 32, 3)), jnp.float32)
    clicks = Clicks(
        yx=jnp.array([[[5.0, 6.0], [-1, -1]], [[10.0, 20.0], [3.0, 3.0]]]),
        label=jnp.array([[1, -1], [1, 0]]),
    )
    size = jnp.array([[24, 32], [20, 30]])
    return image, size, clicks, jnp.zeros((2, 24, 32)), jnp.full((2, 4), -1)


def test_without_zoom_the_model_sees_the_picture(scene):
    prob, region = predict(brightness, *scene, zoom=None, mirror=False)
    np.testing.assert_allclose(
        prob, jax.nn.sigmoid(4 * scene[0][..., 0] - 2), rtol=1e-6
    )
    np.testing.assert_array_equal(region, scene[-1])


def test_the_mirrored_look_averages_logits(scene):
    prob, _ = predict(left_of_click, *scene, zoom=None, mirror=True)
    np.testing.assert_allclose(prob, 0.5, atol=1e-6)
    # A model that does not know left from right gains nothing from the mirror.
    for zoom in (None, 16):
        twice = predict(brightness, *scene, zoom=zoom, mirror=True)
        once = predict(brightness, *scene, zoom=zoom, mirror=False)
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), twice, once)


def test_the_mirrored_look_averages_logits_and_not_probabilities(scene):
    def left_half(image, clicks, previous):
        is_left = jnp.arange(image.shape[2]) < image.shape[2] // 2
        return jnp.broadcast_to(jnp.where(is_left, 6.0, -2.0), previous.shape)

    prob, _ = predict(left_half, *scene, zoom=None, mirror=True)
    np.testing.assert_allclose(prob, jax.nn.sigmoid(2.0), rtol=1e-6)


def test_the_previous_mask_is_mirrored_with_the_picture(scene, rng):
    image, size, clicks, _, region = scene
    previous = jnp.asarray(rng.random((2, 24, 32)), jnp.float32)
    prob, _ = predict(
        lambda image, clicks, previous: previous,
        *(image, size, clicks, previous, region),
        zoom=None,
        mirror=True,
    )
    np.testing.assert_allclose(prob, jax.nn.sigmoid(previous), rtol=1e-6)


def test_the_mirror_asks_the_model_once(scene):
    shapes = []

    def note(image, clicks, previous):
        shapes.append((image.shape, clicks.yx.shape, previous.shape))
        return brightness(image, clicks, previous)

    predict(note, *scene, zoom=16, mirror=True)
    assert shapes == [((4, 16, 16, 3), (4, 2, 2), (4, 16, 16))]


def test_the_first_look_with_zoom_is_at_the_whole_picture(scene):
    prob, region = predict(brightness, *scene, zoom=16, mirror=False)
    np.testing.assert_array_equal(region, [[0, 23, 0, 31], [0, 19, 0, 29]])
    assert (prob[0] > 0).all() and (prob[1, :20, :30] > 0).all()
    assert not prob[1, 20:].any() and not prob[1, :, 30:].any()


def test_later_looks_are_close_and_the_rest_is_zero(scene):
    image, size, clicks, previous, region = scene
    previous = previous.at[:, 4:11, 4:20].set(0.9)
    region = jnp.array([[0, 23, 0, 31], [0, 19, 0, 29]])
    prob, region = predict(
        brightness, image, size, clicks, previous, region, zoom=64, zoom_min_side=4
    )
    # Rows 7 -+ 4.9; columns 11.5 -+ 11.2, or with the click at column 20 12 -+ 11.9.
    np.testing.assert_array_equal(region, [[2, 12, 0, 23], [2, 12, 0, 24]])
    for one, (top, bottom, left, right) in zip(prob, region, strict=True):
        inside = np.zeros((24, 32), bool)
        inside[top : bottom + 1, left : right + 1] = True
        np.testing.assert_array_equal(one > 0, inside)


def test_the_previous_mask_is_cropped_with_the_picture_and_not_rounded(scene):
    image, size, clicks, previous, _ = scene
    previous = previous.at[:, 6:10, 6:14].set(0.7)
    region = jnp.array([[2, 13, 2, 17]] * 2)

    def tell_previous(image, clicks, previous):
        return previous

    prob, used = predict(
        tell_previous, image, size, clicks, previous, region, zoom=128, zoom_min_side=12
    )
    np.testing.assert_array_equal(used[0], region[0])
    # The corners of a crop are pixel centres, so flat parts come back as they were.
    np.testing.assert_allclose(prob[0, 7:9, 7:13], jax.nn.sigmoid(0.7), rtol=1e-5)
    np.testing.assert_allclose(prob[0, 3:5, 3:5], 0.5, rtol=1e-5)


def test_clicks_move_into_the_crop(scene):
    image, size, clicks, previous, region = scene
    seen = []

    def note(image, clicks, previous):
        seen.append(clicks.yx)
        return brightness(image, clicks, previous)

    predict(note, image, size, clicks, previous, region, zoom=16)
    straight, mirrored = seen[0][0, 0], seen[0][1, 0]
    np.testing.assert_allclose(straight, [16 * 5 / 24, 16 * 6 / 32], rtol=1e-6)
    np.testing.assert_allclose(mirrored, [16 * 5 / 24, 15 - 16 * 6 / 32], rtol=1e-6)
