import dataclasses

import numpy as np
import pytest

from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import analytic_model
from tests.helpers.open_predictor import IMAGE, TARGET, open_predictor


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda p: p.click(60, 0), "row 60, column 0 lies outside .* 60 rows and 84"),
        (lambda p: p.click(0, 84), "outside the image"),
        (lambda p: p.click(-0.5, 3), "outside the image"),
        (lambda p: p.click(float("nan"), 3), "row nan, column 3 lies outside"),
        (lambda p: p.click(3, float("inf")), "outside the image"),
        (lambda p: p.finish(), "the mask is empty"),
        (lambda p: p.load_mask(TARGET[1:]), r"mask is \[59, 84\], expected \[60, 84\]"),
        (lambda p: p.load_mask(TARGET & False), "mask is empty"),
        (lambda p: p.load_mask(np.full(TARGET.shape, np.nan)), "not finite numbers"),
        (lambda p: p.set_image(IMAGE / 255), "image is float64 .* expected uint8"),
        (lambda p: p.set_image(IMAGE[..., 0]), r"image is uint8 \[60, 84\]"),
        (lambda p: p.set_image(IMAGE[:0]), r"expected uint8 \[h w 3\]"),
        (lambda p: p.predict([[84, 0]], [1]), "row 0, column 84 lies outside"),
        (lambda p: p.predict([[np.nan, 0]], [1]), "column nan lies outside"),
        (lambda p: p.predict([[1, 1]], [-1]), "expected 1 or 0 each"),
        (lambda p: p.predict([], []), "at least one point"),
        (
            lambda p: p.predict([[1, 1]], [1], mask_input=np.ones((2, 4, 4))),
            "mask_input is",
        ),
        (lambda p: p.predict(), "there is no prompt"),
        (lambda p: p.predict([[1, 1]]), r"point_labels \[\], expected"),
        (lambda p: p.predict(mask_input=np.ones((4, 4))), "there is no prompt"),
        (lambda p: p.predict(box=[30, 2, 20, 9]), "x0 < x1"),
        (
            lambda p: p.predict(box=[200, 2, 220, 9]),
            "lies outside the image of 60 rows",
        ),
        (lambda p: p.click(3, 3, -1), "positive is -1, expected True or 1"),
        (lambda p: p.click(3, 3, "negative"), "positive is 'negative', expected"),
        (lambda p: p.click(3, 3, None), "positive is None"),
        (lambda p: p.click(3, 3, 0.5), "positive is 0.5"),
        (lambda p: p.click(3, 3, [True]), "positive is "),
        (lambda p: p.set_image(IMAGE, "GRB"), "image_format is 'GRB', expected 'RGB'"),
        (lambda p: p.load_mask(0.5 * TARGET + 0.1), "more than two values"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(action, message):
    predictor = open_predictor()
    before = predictor.session
    with pytest.raises(ValueError, match=message) as raised:
        action(predictor)
    assert "\n" not in str(raised.value)
    assert predictor.session is before


@pytest.mark.parametrize(
    "action",
    [
        lambda p: p.click(0, 0),
        lambda p: p.undo(),
        lambda p: p.redo(),
        lambda p: p.reset(),
        lambda p: p.finish(),
        lambda p: p.load_mask(TARGET),
        lambda p: p.predict([[0, 0]], [1]),
        lambda p: p.mask,
    ],
)
def test_every_action_needs_an_image(action):
    with pytest.raises(ValueError, match="call set_image first"):
        action(Predictor(analytic_model))


def test_a_model_that_rejects_an_image_changes_nothing():
    def patch_model(image, clicks, prev_mask):
        if image.shape[1] % 16:
            raise ValueError("image is 60x84, not a multiple of the 16-pixel patch")
        return analytic_model(image, clicks, prev_mask)

    predictor = open_predictor(patch_model, size=None)
    with pytest.raises(ValueError, match="16-pixel patch"):
        predictor.click(3, 3)
    assert len(predictor.clicks) == 0


def test_a_session_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        open_predictor().session.height = 3
