import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.inference.click_session import in_slots
from mst_jax.inference.predictor import Predictor
from mst_jax.inference.selected_tokens import (
    COARSE,
    FINE,
    Cells,
    both_scales,
    draw_cells,
    to_cells,
)
from mst_jax.models.load import TrainedModel
from mst_jax.models.mst import mst
from mst_jax.models.simpleclick import simpleclick
from mst_jax.structs import Chosen, Clicks, TokenChoice
from tests.models.test_simpleclick import drawn_params

SMALL = dict(
    size="nano",
    crop=32,
    depth=2,
    width=16,
    num_heads=2,
    pyramid=(8,) * 4,
    head=8,
    patch=8,
)


def chosen(index, kept, num_tokens):
    return Chosen(
        scores=jnp.linspace(0, 1, num_tokens),
        index=jnp.asarray(index),
        kept=jnp.asarray(kept),
        tokens=jnp.zeros((len(index), 1)),
    )


def test_tokens_lie_where_the_network_saw_them():
    """A 16x16 view with 4x4 tokens of a region 8 high and 32 wide, from (10, 20)."""
    tokens = chosen([5, 15, 0], [True, True, False], 16)
    region = np.array([10, 17, 20, 51])
    cells = to_cells(tokens, region, seen=(16, 16))
    np.testing.assert_allclose(cells.boxes, [[12, 28, 14, 36], [16, 44, 18, 52]])
    np.testing.assert_allclose(cells.scores, [5 / 15, 1.0], atol=1e-6)


def test_a_picture_seen_as_it_is_keeps_its_pixels():
    """8x16 pixels, tokens of 4: two rows of four."""
    cells = to_cells(chosen([6], [True], 8), np.array([0, 7, 0, 15]), seen=(8, 16))
    np.testing.assert_array_equal(cells.boxes, [[4, 8, 8, 12]])


def choice(fine, coarse):
    return TokenChoice(click=None, fine=fine, coarse=coarse, fused=None)


def test_both_scales_lie_in_the_region_seen():
    """16x16 pixels seen of 8x8: fine tokens 4 by 4, coarse ones 2 by 2."""
    both = choice(chosen([6], [True], 16), chosen([1], [True], 4))
    region = np.array([0, 7, 4, 11])
    fine, coarse = both_scales(both, region, whole=(8, 16), zoom=16)
    np.testing.assert_array_equal(fine.boxes, [[2, 8, 4, 10]])
    np.testing.assert_array_equal(coarse.boxes, [[0, 8, 4, 12]])


def test_both_scales_lie_in_the_whole_picture():
    """8x16 pixels as they are: fine tokens of 2 pixels, coarse ones of 4."""
    both = choice(chosen([6], [True], 32), chosen([1], [True], 8))
    fine, coarse = both_scales(both, whole=(8, 16))
    np.testing.assert_array_equal(fine.boxes, [[0, 12, 2, 14]])
    np.testing.assert_array_equal(coarse.boxes, [[0, 4, 4, 8]])


def test_a_fine_cell_is_tinted_by_its_score():
    image = np.full((8, 8, 3), 100, np.uint8)
    coarse = Cells(np.zeros((0, 4)), np.zeros(0))
    for score in (0.0, 0.5, 1.0):
        fine = Cells(np.array([[1.0, 1, 7, 7]]), np.array([score]))
        picture = draw_cells(image, fine, coarse)
        share = 0.55 * score
        want = np.rint((1 - share) * 100 + share * np.array(FINE))
        np.testing.assert_array_equal(
            picture[2:6, 2:6], np.broadcast_to(want, (4, 4, 3))
        )
        assert (picture[[1, 6], 1:7] == FINE).all() and (
            picture[1:7, [1, 6]] == FINE
        ).all()
        assert (picture[[0, 7]] == 100).all() and (picture[:, [0, 7]] == 100).all()


def test_coarse_cells_are_outlined():
    image = np.full((8, 8, 3), 100, np.uint8)
    fine = Cells(np.array([[0.0, 0, 2, 2]]), np.array([1.0]))
    coarse = Cells(np.array([[2.0, 2, 8, 8]]), np.array([0.5]))
    picture = draw_cells(image, fine, coarse)
    changed = (picture != image).any(-1)
    want = np.zeros((8, 8), bool)
    want[:2, :2] = True
    want[2:, 2:] = True
    want[3:7, 3:7] = False
    np.testing.assert_array_equal(changed, want)
    assert tuple(picture[2, 5]) == COARSE and (image == 100).all()


@pytest.fixture(scope="module")
def model():
    module = mst(**SMALL)
    config = FrozenConfigDict(dict(evaluation=dict(zoom=32, zoom_min_side=8)))
    return TrainedModel(drawn_params(module), module, config)


def test_a_predictor_says_what_its_model_chose(model):
    predictor = Predictor(model, mirror=False)
    rng = np.random.default_rng(0)
    predictor.set_image(rng.integers(0, 256, (40, 60, 3), np.uint8))
    with pytest.raises(ValueError, match="no click yet, so no token is chosen"):
        predictor.chosen()
    predictor.click(20, 30)
    selections = predictor.chosen()
    assert len(selections) == 2
    for fine, coarse in selections:
        # 8x8 fine tokens, one of 16 chosen, and 2x2 coarse ones, one chosen at least.
        assert len(fine.boxes) <= 4 and len(coarse.boxes) <= 1
        for boxes, height in ((fine.boxes, 5.0), (coarse.boxes, 20.0)):
            np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], height)
            assert (boxes >= 0).all() and (boxes <= [40, 60, 40, 60]).all()


def test_the_choice_is_that_of_the_next_look(model):
    """It knows the clicks and the mask; tokens of 4 pixels, 16 in a row."""
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    predictor = Predictor(model, zoom=None, mirror=False)
    predictor.set_image(image)
    predictor.click(9, 40)
    now = predictor.session.present
    outputs = model.look(jnp.float32(image[None]) / 255, in_slots(now.clicks), now.prob)
    cells = [fine for fine, _ in predictor.chosen()]
    assert sum(len(fine.boxes) for fine in cells) > 0
    for fine, choice in zip(cells, outputs.choices, strict=True):
        index = np.asarray(choice.fine.index)[np.asarray(choice.fine.kept)]
        want = np.asarray(choice.fine.scores)[0, index]
        np.testing.assert_allclose(fine.scores, want, atol=1e-4)
        corners = 4.0 * np.stack(np.divmod(index, 16), axis=-1)
        np.testing.assert_array_equal(fine.boxes[:, :2], corners)


def test_a_model_says_all_or_its_logits_alone(model):
    image, previous = jnp.full((1, 32, 32, 3), 0.5), jnp.zeros((1, 32, 32))
    clicks = Clicks(yx=jnp.full((1, 1, 2), 9.0), label=jnp.ones((1, 1), int))
    outputs = model.look(image, clicks, previous)
    np.testing.assert_array_equal(outputs.logits, model(image, clicks, previous))
    assert len(outputs.choices) == 2


def test_a_model_without_selection_says_so():
    module = simpleclick(**SMALL, window=0)
    model = TrainedModel(drawn_params(module), module, FrozenConfigDict({}))
    predictor = Predictor(model, zoom=32, zoom_min_side=8, mirror=False)
    predictor.set_image(np.zeros((32, 32, 3), np.uint8))
    predictor.click(3, 3)
    with pytest.raises(ValueError, match="this model chooses no tokens"):
        predictor.chosen()
    other = Predictor(lambda image, clicks, previous: previous, zoom=None, mirror=False)
    other.set_image(np.zeros((8, 8, 3), np.uint8))
    other.click(3, 3)
    with pytest.raises(ValueError, match="only a model of `load` tells"):
        other.chosen()
