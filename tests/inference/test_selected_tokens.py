import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.inference.click_session import Click, to_click_slots
from mst_jax.inference.predictor import Predictor
from mst_jax.inference.selected_tokens import (
    COARSE_COLOR,
    FINE_COLOR,
    TokenBoxes,
    draw_token_boxes,
    to_token_boxes,
    token_boxes_of_scales,
)
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.models.load import TrainedModel
from mst_jax.models.mst import mst
from mst_jax.models.simpleclick import simpleclick
from mst_jax.structs import SelectedTokens, TokenSelectionOutput
from tests.helpers.random_models import random_params

SMALL = dict(
    size="nano",
    crop=32,
    depth=2,
    width=16,
    num_heads=2,
    pyramid_widths=(8,) * 4,
    decoder_width=8,
    patch_size=8,
)


def make_tokens(index, selected, num_tokens):
    return SelectedTokens(
        scores=jnp.linspace(0, 1, num_tokens),
        index=jnp.asarray(index),
        selected=jnp.asarray(selected),
        tokens=jnp.zeros((len(index), 1)),
    )


def test_boxes_lie_in_the_roi():
    """A 16x16 crop with 4x4 tokens of an ROI 8 high and 32 wide, from (10, 20)."""
    tokens = make_tokens([5, 15, 0], [True, True, False], 16)
    roi = np.array([10, 17, 20, 51])
    boxes = to_token_boxes(tokens, roi, crop_size=(16, 16))
    np.testing.assert_allclose(boxes.boxes, [[12, 28, 14, 36], [16, 44, 18, 52]])
    np.testing.assert_allclose(boxes.scores, [5 / 15, 1.0], atol=1e-6)


def test_without_zoom_boxes_are_in_image_pixels():
    """8x16 pixels, tokens of 4: two rows of four."""
    boxes = to_token_boxes(
        make_tokens([6], [True], 8), np.array([0, 7, 0, 15]), crop_size=(8, 16)
    )
    np.testing.assert_array_equal(boxes.boxes, [[4, 8, 8, 12]])


def make_selection(fine, coarse):
    return TokenSelectionOutput(click=None, fine=fine, coarse=coarse, fused=None)


def test_boxes_of_both_scales_lie_in_the_roi():
    """A 16x16 crop of an 8x8 ROI: fine tokens 4 by 4, coarse ones 2 by 2."""
    selection = make_selection(
        make_tokens([6], [True], 16), make_tokens([1], [True], 4)
    )
    roi = np.array([0, 7, 4, 11])
    fine, coarse = token_boxes_of_scales(
        selection, roi, image_size=(8, 16), zoom_size=16
    )
    np.testing.assert_array_equal(fine.boxes, [[2, 8, 4, 10]])
    np.testing.assert_array_equal(coarse.boxes, [[0, 8, 4, 12]])


def test_boxes_of_both_scales_lie_in_the_whole_image():
    """8x16 pixels without zoom: fine tokens of 2 pixels, coarse ones of 4."""
    selection = make_selection(
        make_tokens([6], [True], 32), make_tokens([1], [True], 8)
    )
    fine, coarse = token_boxes_of_scales(selection, image_size=(8, 16))
    np.testing.assert_array_equal(fine.boxes, [[0, 12, 2, 14]])
    np.testing.assert_array_equal(coarse.boxes, [[0, 4, 4, 8]])


def test_a_fine_token_is_tinted_by_its_score():
    image = np.full((8, 8, 3), 100, np.uint8)
    coarse = TokenBoxes(np.zeros((0, 4)), np.zeros(0))
    for score in (0.0, 0.5, 1.0):
        fine = TokenBoxes(np.array([[1.0, 1, 7, 7]]), np.array([score]))
        drawn = draw_token_boxes(image, fine, coarse)
        share = 0.55 * score
        want = np.rint((1 - share) * 100 + share * np.array(FINE_COLOR))
        np.testing.assert_array_equal(drawn[2:6, 2:6], np.broadcast_to(want, (4, 4, 3)))
        assert (drawn[[1, 6], 1:7] == FINE_COLOR).all() and (
            drawn[1:7, [1, 6]] == FINE_COLOR
        ).all()
        assert (drawn[[0, 7]] == 100).all() and (drawn[:, [0, 7]] == 100).all()


def test_coarse_tokens_are_outlined():
    image = np.full((8, 8, 3), 100, np.uint8)
    fine = TokenBoxes(np.array([[0.0, 0, 2, 2]]), np.array([1.0]))
    coarse = TokenBoxes(np.array([[2.0, 2, 8, 8]]), np.array([0.5]))
    drawn = draw_token_boxes(image, fine, coarse)
    changed = (drawn != image).any(-1)
    want = np.zeros((8, 8), bool)
    want[:2, :2] = True
    want[2:, 2:] = True
    want[3:7, 3:7] = False
    np.testing.assert_array_equal(changed, want)
    assert tuple(drawn[2, 5]) == COARSE_COLOR and (image == 100).all()


@pytest.fixture(scope="module")
def model():
    module = mst(**SMALL)
    config = FrozenConfigDict(dict(zoom=dict(size=32, min_side=8, flip_tta=False)))
    return TrainedModel(random_params(module), module, config)


def test_a_predictor_returns_the_tokens_of_its_model(model):
    predictor = Predictor(model)
    rng = np.random.default_rng(0)
    predictor.set_image(rng.integers(0, 256, (40, 60, 3), np.uint8))
    with pytest.raises(ValueError, match="no click yet, so no token is selected"):
        predictor.selected_tokens()
    predictor.click(20, 30)
    selections = predictor.selected_tokens()
    assert len(selections) == 2
    for fine, coarse in selections:
        # 8x8 fine tokens, one of 16 selected, and 2x2 coarse ones, at least one selected.
        assert len(fine.boxes) <= 4 and len(coarse.boxes) <= 1
        for boxes, height in ((fine.boxes, 5.0), (coarse.boxes, 20.0)):
            np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], height)
            assert (boxes >= 0).all() and (boxes <= [40, 60, 40, 60]).all()


def test_the_tokens_are_those_of_the_next_forward_pass(model):
    """It sees the clicks and the mask; tokens of 4 pixels, 16 in a row."""
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    predictor = Predictor(model, zoom=ZoomOptions(size=None, flip_tta=False))
    predictor.set_image(image)
    predictor.click(9, 40)
    state = predictor.session.current
    outputs = model.forward(
        jnp.float32(image[None]) / 255, to_click_slots(state.clicks), state.prob
    )
    boxes = [fine for fine, _ in predictor.selected_tokens()]
    assert sum(len(fine.boxes) for fine in boxes) > 0
    for fine, selection in zip(boxes, outputs.selections, strict=True):
        index = np.asarray(selection.fine.index)[np.asarray(selection.fine.selected)]
        want = np.asarray(selection.fine.scores)[0, index]
        np.testing.assert_allclose(fine.scores, want, atol=1e-4)
        corners = 4.0 * np.stack(np.divmod(index, 16), axis=-1)
        np.testing.assert_array_equal(fine.boxes[:, :2], corners)


def test_forward_returns_the_logits_of_a_call_and_the_selections(model):
    # The size and the slots of the test above: one program runs in both.
    image, prev_mask = jnp.full((1, 32, 64, 3), 0.5), jnp.zeros((1, 32, 64))
    clicks = to_click_slots((Click(9.0, 9.0, True),))
    outputs = model.forward(image, clicks, prev_mask)
    np.testing.assert_array_equal(outputs.logits, model(image, clicks, prev_mask))
    assert len(outputs.selections) == 2


def test_a_model_without_token_selection_is_refused():
    module = simpleclick(**SMALL | {"depth": 1}, window=0)
    model = TrainedModel(random_params(module), module, FrozenConfigDict({}))
    predictor = Predictor(model, zoom=ZoomOptions(32, 8, flip_tta=False))
    predictor.set_image(np.zeros((32, 32, 3), np.uint8))
    predictor.click(3, 3)
    with pytest.raises(ValueError, match="this model selects no tokens"):
        predictor.selected_tokens()
    zoom = ZoomOptions(size=None, flip_tta=False)
    other = Predictor(lambda image, clicks, prev_mask: prev_mask, zoom=zoom)
    other.set_image(np.zeros((8, 8, 3), np.uint8))
    other.click(3, 3)
    with pytest.raises(ValueError, match=r"use a model from mst_jax\.load"):
        other.selected_tokens()
