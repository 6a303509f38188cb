import dataclasses

import jax.numpy as jnp
import numpy as np

from mst_jax.annotation.serving.region_cropper import RegionCropper
from mst_jax.inference.click_session import Click
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.annotation_client import IMAGE, ZOOM

CLICKS = (Click(20.0, 40.0, True),)


def test_first_region_is_the_whole_image_and_does_not_grow(engine):
    cropper = RegionCropper(dataclasses.replace(ZOOM, max_growths=2))
    device_image = engine.load_image(IMAGE)
    state = engine.empty_state(device_image)
    network_input, roi = cropper.crop_next(device_image, CLICKS, state)
    assert np.asarray(roi).tolist() == [[0, 59, 0, 83]]
    same_input = cropper.crop_at(device_image, CLICKS, state, roi)
    # Two programs: equal but for the rounding of numbers up to 1.
    np.testing.assert_allclose(same_input.crop, network_input.crop, rtol=0, atol=2e-7)
    prob = np.ones(network_input.crop.shape[1:3], np.float32)
    np.testing.assert_array_equal(cropper.grow(device_image, prob, roi), roi)


def test_region_grows_at_the_sides_that_cut_the_mask(engine):
    cropper = RegionCropper(dataclasses.replace(ZOOM, max_growths=2))
    device_image = engine.load_image(IMAGE)
    roi = jnp.array([[20, 39, 30, 49]], jnp.int32)
    prob = np.zeros((48, 48), np.float32)
    prob[0, 10:40] = 1.0
    grown = np.asarray(cropper.grow(device_image, prob, roi))[0].tolist()
    assert grown[0] < 20 and grown[1:] == [39, 30, 49]


def test_without_zoom_nothing_grows():
    zoom = ZoomOptions(size=None, flip_tta=False, max_growths=2)
    assert RegionCropper(zoom).max_growths == 0
