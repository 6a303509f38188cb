from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.annotation.serving import compiled_steps
from mst_jax.annotation.serving.compiled_steps import NetworkInput
from mst_jax.inference.click_session import Click, to_click_slots
from mst_jax.interaction.zoom_predict import as_pytree, predict_with_zoom
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import IMAGE, ZOOM

clicks_strategy = st.builds(
    Click, st.integers(0, 59), st.integers(0, 83), st.booleans()
)


def test_the_three_steps_equal_one_prediction_with_zoom():
    image = jnp.asarray(IMAGE)[None]
    size, roi = jnp.array([[60, 84]]), jnp.array([[5, 50, 8, 70]])
    prob = jnp.asarray(np.random.default_rng(0).random((1, 60, 84)), jnp.float32)
    clicks = to_click_slots((Click(20, 30, True), Click(2, 3, False)))
    predict = jax.jit(partial(predict_with_zoom, analytic_model, zoom=ZOOM))
    float_image = image / jnp.float32(255)
    expected_prob, expected_roi = predict(float_image, size, clicks, prob, roi)
    network_input, roi = compiled_steps.crop_roi(
        image, size, clicks, prob, roi, zoom=ZOOM
    )
    crop_prob = compiled_steps.forward(
        as_pytree(analytic_model), (network_input,), flip_tta=True
    )
    pasted_prob, mask = compiled_steps.paste_roi(
        crop_prob, roi, shape=(60, 84), has_zoom=True
    )
    np.testing.assert_array_equal(roi, expected_roi)
    np.testing.assert_allclose(pasted_prob, expected_prob, atol=1e-5)
    np.testing.assert_array_equal(mask, pasted_prob > 0.49)


@settings(max_examples=10)
@given(st.lists(clicks_strategy, min_size=4, max_size=4))
def test_batched_forward_equals_single_passes(clicks):
    def make_input(click: Click) -> NetworkInput:
        rng = np.random.default_rng(click.row)
        crop = jnp.asarray(rng.random((1, 48, 48, 4)), jnp.float32)
        return NetworkInput(crop, to_click_slots((click,)))

    forward = partial(compiled_steps.forward, as_pytree(analytic_model), flip_tta=True)
    inputs = [make_input(click) for click in clicks]
    batch_prob = forward(tuple(inputs))
    for network_input, prob in zip(inputs, batch_prob, strict=True):
        single_prob = forward((network_input,))[0]
        np.testing.assert_allclose(prob, single_prob, atol=1e-5)


def test_network_input_is_a_pytree():
    network_input = NetworkInput(jnp.zeros((1, 2, 2, 4)), to_click_slots(()))
    assert len(jax.tree.leaves(network_input)) == 3
