from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.inference.compiled_prediction import predict_prob
from mst_jax.interaction.zoom_predict import (
    as_pytree,
    predict_in_roi,
    predict_with_zoom,
)
from mst_jax.structs import Clicks
from tests.helpers.analytic_network import analytic_model, draw_image
from tests.helpers.open_predictor import SMALL_ZOOM


@pytest.mark.parametrize("is_roi_given", [False, True])
def test_a_given_region_is_kept_and_another_one_is_chosen(is_roi_given):
    image, _ = draw_image()
    size, clicks = jnp.array([[60, 84]]), Clicks.from_lists([(20, 42)])
    clicks = Clicks(clicks.yx[None], clicks.label[None])
    prob, roi = jnp.zeros((1, 60, 84)), jnp.array([[10, 39, 20, 59]])
    arguments = (size, clicks, prob, roi)
    found, found_roi = predict_prob(
        as_pytree(analytic_model),
        *(jnp.asarray(image)[None], *arguments),
        zoom=SMALL_ZOOM,
        is_roi_given=is_roi_given,
    )
    # Without a mask the region that follows is the whole image.
    whole_image = [[0, 59, 0, 83]]
    assert found_roi.tolist() == (roi.tolist() if is_roi_given else whole_image)
    predict = predict_in_roi if is_roi_given else predict_with_zoom
    predict = jax.jit(partial(predict, analytic_model, zoom=SMALL_ZOOM))
    expected, _ = predict(jnp.asarray(image)[None] / 255.0, *arguments)
    np.testing.assert_allclose(found, expected, atol=1e-5)
