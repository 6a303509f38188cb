"""A predictor with a drawn picture."""

import numpy as np

from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import bumps, draw_picture

IMAGE, TARGET = draw_picture()
QUICK = dict(zoom=48, zoom_min_side=16, mirror=True)
same = np.testing.assert_array_equal


def opened(model=bumps, image=IMAGE, **changes):
    predictor = Predictor(model, **{**QUICK, **changes})
    predictor.set_image(image)
    return predictor
