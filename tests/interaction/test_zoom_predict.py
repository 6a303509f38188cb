from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.interaction import zoom_predict
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import grow_rois
from mst_jax.structs import Clicks

# One program for each case compiles faster than its operations one by one.
predict_with_zoom = jax.jit(
    zoom_predict.predict_with_zoom, static_argnums=0, static_argnames="zoom"
)


def brightness(image, clicks, prev_mask):
    """Return logits that depend on the image and the previous mask only."""
    return 4 * image[..., 0] - 2 + prev_mask


def left_of_click(image, clicks, prev_mask):
    """Return logits that grow to the left of the first click: not symmetric."""
    column = jnp.arange(image.shape[2], dtype=jnp.float32)
    distance = clicks.yx[:, :1, 1] - column[None]
    return jnp.broadcast_to(distance[:, None], image.shape[:3])


@pytest.fixture
def scene(rng):
    image = jnp.asarray(rng.random((2, 24, 32, 3)), jnp.float32)
    clicks = Clicks(
        yx=jnp.array([[[5.0, 6.0], [-1, -1]], [[10.0, 20.0], [3.0, 3.0]]]),
        label=jnp.array([[1, -1], [1, 0]]),
    )
    size = jnp.array([[24, 32], [20, 30]])
    return image, size, clicks, jnp.zeros((2, 24, 32)), jnp.full((2, 4), -1)


def test_without_zoom_the_model_sees_the_image(scene):
    prob, roi = predict_with_zoom(
        brightness, *scene, zoom=ZoomOptions(size=None, flip_tta=False)
    )
    np.testing.assert_allclose(
        prob, jax.nn.sigmoid(4 * scene[0][..., 0] - 2), rtol=1e-6
    )
    np.testing.assert_array_equal(roi, scene[-1])


def test_flip_tta_averages_logits(scene):
    prob, _ = predict_with_zoom(
        left_of_click, *scene, zoom=ZoomOptions(size=None, flip_tta=True)
    )
    np.testing.assert_allclose(prob, 0.5, atol=1e-6)
    # A symmetric model predicts the same with and without flip.
    for size in (None, 16):
        with_flip = predict_with_zoom(
            brightness, *scene, zoom=ZoomOptions(size=size, flip_tta=True)
        )
        without_flip = predict_with_zoom(
            brightness, *scene, zoom=ZoomOptions(size=size, flip_tta=False)
        )
        jax.tree.map(
            partial(np.testing.assert_allclose, atol=1e-6), with_flip, without_flip
        )


def test_flip_tta_averages_logits_and_not_probabilities(scene):
    def left_half(image, clicks, prev_mask):
        is_left = jnp.arange(image.shape[2]) < image.shape[2] // 2
        return jnp.broadcast_to(jnp.where(is_left, 6.0, -2.0), prev_mask.shape)

    prob, _ = predict_with_zoom(
        left_half, *scene, zoom=ZoomOptions(size=None, flip_tta=True)
    )
    np.testing.assert_allclose(prob, jax.nn.sigmoid(2.0), rtol=1e-6)


def test_the_previous_mask_is_flipped_with_the_image(scene, rng):
    image, size, clicks, _, roi = scene
    prev_mask = jnp.asarray(rng.random((2, 24, 32)), jnp.float32)
    prob, _ = predict_with_zoom(
        lambda image, clicks, prev_mask: prev_mask,
        *(image, size, clicks, prev_mask, roi),
        zoom=ZoomOptions(size=None, flip_tta=True),
    )
    np.testing.assert_allclose(prob, jax.nn.sigmoid(prev_mask), rtol=1e-6)


def test_flip_tta_calls_the_model_once(scene):
    shapes = []

    def recording_model(image, clicks, prev_mask):
        shapes.append((image.shape, clicks.yx.shape, prev_mask.shape))
        return brightness(image, clicks, prev_mask)

    predict_with_zoom(recording_model, *scene, zoom=ZoomOptions(size=16, flip_tta=True))
    assert shapes == [((4, 16, 16, 3), (4, 2, 2), (4, 16, 16))]


def test_the_first_roi_is_the_whole_image(scene):
    prob, roi = predict_with_zoom(
        brightness, *scene, zoom=ZoomOptions(size=16, flip_tta=False)
    )
    np.testing.assert_array_equal(roi, [[0, 23, 0, 31], [0, 19, 0, 29]])
    assert (prob[0] > 0).all() and (prob[1, :20, :30] > 0).all()
    assert not prob[1, 20:].any() and not prob[1, :, 30:].any()


def test_later_rois_are_close_and_the_rest_is_zero(scene):
    image, size, clicks, prev_mask, roi = scene
    prev_mask = prev_mask.at[:, 4:11, 4:20].set(0.9)
    roi = jnp.array([[0, 23, 0, 31], [0, 19, 0, 29]])
    prob, roi = predict_with_zoom(
        brightness,
        image,
        size,
        clicks,
        prev_mask,
        roi,
        zoom=ZoomOptions(size=64, min_side=4),
    )
    # Rows 7 -+ 4.9; columns 11.5 -+ 11.2, or with the click at column 20 12 -+ 11.9.
    np.testing.assert_array_equal(roi, [[2, 12, 0, 23], [2, 12, 0, 24]])
    for prob_map, (top, bottom, left, right) in zip(prob, roi, strict=True):
        inside = np.zeros((24, 32), bool)
        inside[top : bottom + 1, left : right + 1] = True
        np.testing.assert_array_equal(prob_map > 0, inside)


def test_the_previous_mask_is_cropped_with_the_image_and_not_rounded(scene):
    image, size, clicks, prev_mask, _ = scene
    prev_mask = prev_mask.at[:, 6:10, 6:14].set(0.7)
    roi = jnp.array([[2, 13, 2, 17]] * 2)

    def return_prev_mask(image, clicks, prev_mask):
        return prev_mask

    prob, next_roi = predict_with_zoom(
        return_prev_mask,
        image,
        size,
        clicks,
        prev_mask,
        roi,
        zoom=ZoomOptions(size=128, min_side=12),
    )
    np.testing.assert_array_equal(next_roi[0], roi[0])
    # The corners of a crop are pixel centers, so constant areas stay unchanged.
    np.testing.assert_allclose(prob[0, 7:9, 7:13], jax.nn.sigmoid(0.7), rtol=1e-5)
    np.testing.assert_allclose(prob[0, 3:5, 3:5], 0.5, rtol=1e-5)


def test_clicks_move_into_the_crop(scene):
    @jax.jit
    def clicks_of_the_model(*scene):
        click_yx = []

        def recording_model(image, clicks, prev_mask):
            click_yx.append(clicks.yx)
            return brightness(image, clicks, prev_mask)

        zoom_predict.predict_with_zoom(
            recording_model, *scene, zoom=ZoomOptions(size=16)
        )
        return click_yx[0]

    unflipped, flipped = clicks_of_the_model(*scene)[:2, 0]
    np.testing.assert_allclose(unflipped, [16 * 5 / 24, 16 * 6 / 32], rtol=1e-6)
    np.testing.assert_allclose(flipped, [16 * 5 / 24, 15 - 16 * 6 / 32], rtol=1e-6)


@pytest.fixture
def cut_scene():
    """Return two images whose bright objects are larger than the current regions.

    The first object fills columns 4 to 27 of rows 6 to 17, the second one rows 8 to 11.
    """
    image = np.full((2, 24, 32, 3), 0.1, np.float32)
    image[0, 6:18, 4:28] = 0.9
    image[1, 8:12, 8:12] = 0.9
    clicks = Clicks(yx=jnp.array([[[10.0, 14.0]]] * 2), label=jnp.array([[1]] * 2))
    prev_mask = np.zeros((2, 24, 32), np.float32)
    prev_mask[:, 8:14, 10:18] = 0.9
    roi = jnp.array([[5, 18, 6, 21]] * 2)
    size = jnp.array([[24, 32], [24, 32]])
    return jnp.asarray(image), size, clicks, jnp.asarray(prev_mask), roi


def bright(image, clicks, prev_mask):
    return 20 * (image[..., 0] - 0.5)


def predict_cut_scene(cut_scene, model=bright, **changes):
    zoom = ZoomOptions(size=64, min_side=4, flip_tta=False, **changes)
    prob, roi = predict_with_zoom(model, *cut_scene, zoom=zoom)
    return np.asarray(prob) > 0.49, np.asarray(roi)


def test_a_cut_mask_is_whole_after_the_region_has_grown(cut_scene):
    target = np.asarray(cut_scene[0][..., 0]) > 0.5
    mask, roi = predict_cut_scene(cut_scene)
    assert (mask[0] != target[0]).any() and roi[0].tolist() == [5, 18, 6, 21]
    mask, roi = predict_cut_scene(cut_scene, max_growths=1)
    np.testing.assert_array_equal(mask[0], target[0])
    # Left and right cut the mask and move by half of 16 columns, as far as possible.
    assert roi[0].tolist() == [5, 18, 0, 29]


def test_an_example_that_is_not_cut_does_not_depend_on_one_that_is(cut_scene):
    without, roi = predict_cut_scene(cut_scene)
    grown, grown_roi = predict_cut_scene(cut_scene, max_growths=2)
    np.testing.assert_array_equal(grown[1], without[1])
    np.testing.assert_array_equal(grown_roi[1], roi[1])
    # Alone it gives the same result.
    alone = jax.tree.map(lambda leaf: leaf[1:], cut_scene)
    np.testing.assert_array_equal(predict_cut_scene(alone, max_growths=2)[0], grown[1:])


@pytest.mark.parametrize(("max_growths", "num_passes"), [(0, 1), (1, 2), (2, 3)])
def test_the_region_grows_a_limited_number_of_times(cut_scene, max_growths, num_passes):
    passes = []

    def everywhere(image, clicks, prev_mask):
        jax.debug.callback(lambda: passes.append(True))
        return jnp.ones(prev_mask.shape)

    # A region of 10 x 10 pixels in an image of 96 x 128.
    prev_mask = jnp.zeros((1, 96, 128)).at[:, 43:50, 63:70].set(0.9)
    clicks = Clicks(yx=jnp.array([[[46.0, 66.0]]]), label=jnp.array([[1]]))
    size, roi = jnp.array([[96, 128]]), jnp.array([[42, 51, 62, 71]])
    scene = (jnp.zeros((1, 96, 128, 3)), size, clicks, prev_mask, roi)
    predict_cut_scene(scene, everywhere, max_growths=max_growths)
    jax.effects_barrier()
    assert len(passes) == num_passes


def test_growing_equals_a_prediction_at_the_grown_region(cut_scene):
    """The page runs the steps one by one: crop, forward pass, growth."""
    zoom = ZoomOptions(size=64, min_side=4, flip_tta=False)

    @partial(jax.jit, static_argnums=0)
    def predict_in_steps(max_growths, image, size, clicks, prev_mask, roi):
        crop, roi_clicks, roi = zoom_predict.crop_roi(
            image, size, clicks, prev_mask, roi, zoom=zoom
        )
        for _ in range(max_growths):
            crop_prob = zoom_predict.forward(bright, crop, roi_clicks, flip_tta=False)
            roi = grow_rois(crop_prob, roi, size)
            crop, roi_clicks = zoom_predict.crop_at(
                image, clicks, prev_mask, roi, zoom=zoom
            )
        crop_prob = zoom_predict.forward(bright, crop, roi_clicks, flip_tta=False)
        return zoom_predict.paste_roi(crop_prob, roi, 24, 32), roi

    for max_growths in (1, 2):
        prob, roi = predict_in_steps(max_growths, *cut_scene)
        mask, grown_roi = predict_cut_scene(cut_scene, max_growths=max_growths)
        np.testing.assert_array_equal(prob > 0.49, mask)
        np.testing.assert_array_equal(roi, grown_roi)
