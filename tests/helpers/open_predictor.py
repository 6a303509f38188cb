"""A predictor with a synthetic image."""

import dataclasses

import numpy as np

from mst_jax.inference.predictor import Predictor
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_image

IMAGE, TARGET = draw_image()
SMALL_ZOOM = ZoomOptions(size=48, min_side=16)
assert_same = np.testing.assert_array_equal


def open_predictor(model=analytic_model, image=IMAGE, **zoom_changes):
    """Open an image in a predictor; changes are fields of `ZoomOptions`."""
    zoom = dataclasses.replace(SMALL_ZOOM, **zoom_changes)
    predictor = Predictor(model, zoom=zoom)
    predictor.set_image(image)
    return predictor
