import dataclasses
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.annotation.serving.compiled_steps import DeviceImage, MaskState
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.inference.click_session import Click
from mst_jax.inference.predictor import Predictor
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.models.load import TrainedModel, load
from mst_jax.models.mst import mst
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import IMAGE, ZOOM
from tests.helpers.compile_events import compile_events
from tests.helpers.random_models import random_params
from tests.helpers.small_checkpoint import write_checkpoint

CLICKS = (Click(20, 42, True), Click(50, 75, True), Click(3.5, 4, False))
SMALL_MST = {
    **{"size": "nano", "crop": 32, "depth": 2, "width": 16, "num_heads": 2},
    **{"pyramid_widths": (8,) * 4, "decoder_width": 8, "patch_size": 8},
}
same = np.testing.assert_array_equal


def make_clicks(
    engine: InferenceEngine, device_image: DeviceImage, clicks: tuple[Click, ...]
) -> list[MaskState]:
    """Return the state of an object after each click."""
    states = [engine.empty_state(device_image)]
    for index in range(len(clicks)):
        prediction = engine.predict(device_image, clicks[: index + 1], states[-1])
        states.append(engine.paste_prediction(device_image, prediction))
    return states[1:]


@pytest.mark.parametrize(
    "zoom",
    [
        ZOOM,
        ZoomOptions(size=None, flip_tta=False),
        dataclasses.replace(ZOOM, max_growths=2),
    ],
    ids=str,
)
def test_clicks_give_the_masks_of_the_predictor(zoom):
    engine, predictor = (
        InferenceEngine(analytic_model, zoom=zoom),
        Predictor(analytic_model, zoom=zoom),
    )
    predictor.set_image(IMAGE)
    states = make_clicks(engine, engine.load_image(IMAGE), CLICKS)
    for click, state in zip(CLICKS, states, strict=True):
        same(state.mask, predictor.click(*click))
        prob = np.asarray(state.prob)[0, :60, :84]
        np.testing.assert_allclose(prob, predictor.prob, atol=1e-5)


def predict_everywhere(image, clicks, prev_mask):
    """Return logits of an object that fills the crop."""
    return jnp.full(prev_mask.shape, 5.0)


@pytest.mark.parametrize("max_growths", [0, 1, 2])
def test_region_grows_where_it_cuts_the_mask_as_in_the_predictor(max_growths):
    zoom = ZoomOptions(size=48, min_side=8, flip_tta=False, max_growths=max_growths)
    engine, predictor = (
        InferenceEngine(predict_everywhere, zoom=zoom),
        Predictor(predict_everywhere, zoom=zoom),
    )
    predictor.set_image(IMAGE)
    device_image = engine.load_image(IMAGE)
    # A previous mask of a few pixels gives a small region.
    mask = np.zeros((60, 84), bool)
    mask[19:22, 41:44] = True
    predictor.load_mask(mask)
    state = engine.state_from_mask(device_image, mask)
    prediction = engine.predict(device_image, CLICKS[:1], state)
    state = engine.paste_prediction(device_image, prediction)
    same(state.mask, predictor.click(*CLICKS[0]))
    heights = {0: 8, 1: 17, 2: 36}
    assert state.mask.any(1).sum() >= heights[max_growths]


def test_loaded_mask_is_corrected_as_by_the_predictor(engine):
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    predictor = Predictor(analytic_model, zoom=ZOOM)
    predictor.set_image(IMAGE)
    device_image = engine.load_image(IMAGE)
    state = engine.state_from_mask(device_image, mask)
    same(state.mask, predictor.load_mask(mask))
    prediction = engine.predict(device_image, CLICKS[:1], state)
    corrected = engine.paste_prediction(device_image, prediction)
    same(corrected.mask, predictor.click(*CLICKS[0]))


def test_no_click_waits_for_the_compiler(engine):
    engine.compile_sizes((60, 84))
    with compile_events() as events:
        device_images = [
            engine.load_image(np.roll(IMAGE, k, axis=0)) for k in range(11)
        ]
        clicks = tuple(Click(20.0 + k, 40.0, True) for k in range(8))
        with ThreadPoolExecutor(11) as pool:
            concurrent_states = list(
                pool.map(
                    lambda image: make_clicks(engine, image, clicks), device_images
                )
            )
        num_compiled = len(events)
        # A program that is new shows that the list grows.
        jax.jit(lambda x: x * 3)(len(IMAGE))
    assert num_compiled == 0 and len(events) == 1
    for device_image, states in zip(device_images, concurrent_states, strict=True):
        expected_states = make_clicks(engine, device_image, clicks)
        for state, expected in zip(states, expected_states, strict=True):
            np.testing.assert_allclose(state.prob, expected.prob, atol=1e-5)


def test_new_image_size_does_not_compile_the_network_again():
    engine = InferenceEngine(analytic_model, zoom=ZOOM)
    engine.request_sizes((60, 84), (200, 84))
    assert engine.programs.progress() == ([], 4 + 2)
    engine.compile_required(60, 84)
    assert engine.programs.compiled == ["batch of 1", "images up to 128x128"]
    engine.compile_sizes((60, 84), (200, 84))
    assert engine.programs.num_pending == 0 and len(engine.programs.compiled) == 6
    engine.compile_required(128, 250)
    assert engine.programs.compiled[-1] == "images up to 128x256"


def test_zoom_size_that_the_network_does_not_accept_is_an_error(tmp_path):
    model = load(write_checkpoint(tmp_path / "model"))
    with pytest.raises(ValueError, match="patch"):
        InferenceEngine(model, zoom=ZoomOptions(size=33))
    engine = InferenceEngine(model, zoom=ZoomOptions(size=None))
    assert engine.accepts_size(32, 48) and not engine.accepts_size(33, 48)


def test_token_boxes_are_those_of_the_predictor():
    module = mst(**SMALL_MST)
    config = {"model": {"name": "mst", "size": "nano"}}
    model = TrainedModel(random_params(module), module, FrozenConfigDict(config))
    zoom = ZoomOptions(size=32, min_side=8, flip_tta=False)
    engine, predictor = InferenceEngine(model, zoom=zoom), Predictor(model, zoom=zoom)
    assert engine.has_token_selection and engine.model_name == "mst nano"
    predictor.set_image(IMAGE)
    device_image, num_tokens = engine.load_image(IMAGE), 0
    for index, state in enumerate(make_clicks(engine, device_image, CLICKS)):
        predictor.click(*CLICKS[index])
        scales = engine.token_boxes(device_image, CLICKS[: index + 1], state)
        expected_scales = predictor.selected_tokens()[-1]
        for token_boxes, expected in zip(scales, expected_scales, strict=True):
            num_tokens += len(expected.boxes)
            np.testing.assert_allclose(token_boxes.boxes, expected.boxes, atol=1e-4)
            np.testing.assert_allclose(token_boxes.scores, expected.scores, atol=1e-4)
    assert num_tokens > 0


def test_zoom_options_default_to_those_of_the_model():
    module = mst(**SMALL_MST | {"depth": 1})
    config = {"model": {"name": "mst"}, "zoom": {"size": 32, "min_side": 8}}
    model = TrainedModel(random_params(module), module, FrozenConfigDict(config))
    engine = InferenceEngine(model)
    other_zoom = dataclasses.replace(ZOOM, size=32, min_side=8)
    expected = InferenceEngine(model, zoom=other_zoom)
    masks = [
        make_clicks(each, each.load_image(IMAGE), CLICKS)[-1].mask
        for each in (engine, expected)
    ]
    same(*masks)
