"""The loss of the token scores, and targets sampled at the size of the tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.losses import token_score as token_score_module
from mst_jax.losses.token_score import sample_cell_corners, token_cell_side
from tests.helpers.token_selections import (
    GOLDEN,
    GOLDEN_TARGET,
    golden_selections,
    make_scored_selection,
)

# Compiled whole: operations one by one would be compiled one by one.
token_score = jax.jit(token_score_module.token_score, static_argnames="form")

# Four fine tokens of 2 x 2 pixels; one coarse token of 4 x 4.
TARGET = jnp.array([[[1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]]], bool)
MASK = jnp.array(
    [
        [1, 1, 0, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
    ],
    bool,
)


@pytest.mark.parametrize("form, suffix", [("focal", ""), ("squared", "_224")])
def test_value_matches_the_published_program(form, suffix):
    values, counts = token_score(golden_selections(suffix), GOLDEN_TARGET, form=form)
    np.testing.assert_array_equal(counts, [6, 6])
    np.testing.assert_allclose(values.sum() / counts.sum(), GOLDEN[form], rtol=1e-6)


def test_two_scales_match_hand_computation():
    # Top-left pixels of the fine tokens: inside, outside, inside, outside; coarse: inside.
    selection = make_scored_selection([[0.5, 0.5, 0.8, 0.2]], [[0.25]])
    values, counts = token_score((selection,), TARGET)
    log = np.log
    fine = (
        0.25 * 0.5**2 * -log(0.5)
        + 0.75 * 0.5**2 * -log(0.5)
        + 0.25 * 0.2**2 * -log(0.8)
        + 0.75 * 0.2**2 * -log(0.8)
    ) / 4
    coarse = 0.25 * 0.75**2 * -log(0.25)
    np.testing.assert_allclose(values, [fine + coarse], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])
    values, counts = token_score((selection, selection), TARGET, form="squared")
    fine = (0.25 + 0.25 + 0.04 + 0.04) / 4
    np.testing.assert_allclose(values, [2 * (fine + 0.75**2)], rtol=1e-6)
    np.testing.assert_array_equal(counts, [4])


@pytest.mark.parametrize("form", ["focal", "squared"])
def test_example_without_a_positive_click_does_not_count(form):
    fine, coarse = jnp.array([[0.5, 0.1, 0.8, 0.2]]), jnp.array([[0.25]])
    single = token_score((make_scored_selection(fine, coarse),), TARGET, form=form)
    fine, coarse = (jnp.concatenate([x, 0 * x]) for x in (fine, coarse))
    target = jnp.concatenate([TARGET, TARGET])
    values, counts = token_score(
        (make_scored_selection(fine, coarse),), target, form=form
    )
    np.testing.assert_array_equal(values, [single[0][0], 0])
    np.testing.assert_array_equal(counts, [2, 0])

    def score_sum(fine):
        return token_score((make_scored_selection(fine, coarse),), target, form=form)[
            0
        ].sum()

    gradient = jax.grad(score_sum)(fine)
    np.testing.assert_array_equal(gradient[1], np.zeros(4))
    assert abs(gradient[0]).min() > 0


@pytest.mark.parametrize("form", ["focal", "squared"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_scores_of_0_and_1_have_finite_values_and_gradients(form, dtype):
    def score_sum(scores):
        values, _ = token_score(
            (make_scored_selection(scores, scores[:, :1]),), TARGET, form=form
        )
        return values.sum()

    value, gradient = jax.jit(jax.value_and_grad(score_sum))(
        jnp.array([[0, 0, 1, 1]], dtype)
    )
    assert value.dtype == jnp.float32
    assert np.isfinite(value) and np.isfinite(np.float32(gradient)).all()


def test_invalid_tokens_are_left_out():
    valid = jnp.ones((1, 4, 4), bool).at[0, 0, 2].set(False)  # corner of fine token 1
    fine = jnp.array([[0.5, 0.9, 0.8, 0.3]])
    values, counts = token_score(
        (make_scored_selection(fine, [[1.0]]),), TARGET, where=valid, form="squared"
    )
    np.testing.assert_allclose(values, [(0.25 + 0.04 + 0.09) / 3], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])
    values, counts = token_score(
        (make_scored_selection(fine, [[0.5]]),), TARGET, where=valid & False
    )
    np.testing.assert_array_equal((values, counts), [[0], [0]])


focal_score = jax.jit(
    lambda fine, target: token_score(
        (make_scored_selection(fine, fine[:, :1]),), target
    )
)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_examples_are_independent_and_better_scores_cost_less(seed):
    rng = np.random.default_rng(seed)
    scores = jnp.asarray(rng.uniform(0.05, 0.95, (3, 4)), jnp.float32)
    target = jnp.asarray(rng.random((3, 4, 4)) < 0.5)
    values, counts = focal_score(scores, target)
    for i in range(3):
        repeated = [jnp.stack([x[i]] * 3) for x in (scores, target)]
        np.testing.assert_allclose(focal_score(*repeated)[0][0], values[i], rtol=1e-5)
    in_target = target[:, ::2, ::2].reshape(3, 4)
    better_values, _ = focal_score(
        jnp.where(in_target, scores + 0.05, scores - 0.05), target
    )
    assert (better_values < values).all() and (values > 0).all() and (counts == 2).all()


def test_unknown_form_is_rejected():
    with pytest.raises(ValueError, match="'mean' is unknown; known: focal, squared"):
        token_score((make_scored_selection([[1.0]], [[1.0]]),), TARGET, form="mean")


def test_cell_has_the_value_of_its_top_left_pixel_and_incomplete_cells_are_dropped():
    np.testing.assert_array_equal(
        sample_cell_corners(MASK[None], cell_side=2), [[True, False, False, True]]
    )
    np.testing.assert_array_equal(
        sample_cell_corners(MASK[None, :4], cell_side=4), [[True]]
    )
    np.testing.assert_array_equal(
        sample_cell_corners(MASK[None], cell_side=1)[0], MASK.ravel()
    )


def test_cells_of_wide_images_come_row_by_row():
    mask = jnp.zeros((1, 4, 6), bool).at[0, 2, 4].set(True)
    np.testing.assert_array_equal(
        sample_cell_corners(mask, cell_side=2),
        [[False, False, False, False, False, True]],
    )


@pytest.mark.parametrize(
    "height, width, num_tokens, side",
    [(448, 448, 3136, 8), (448, 448, 196, 32), (64, 96, 6, 32), (32, 32, 1, 32)],
)
def test_token_cell_side(height, width, num_tokens, side):
    assert token_cell_side(jnp.zeros((1, height, width), bool), num_tokens) == side


def test_target_of_another_size_is_rejected():
    with pytest.raises(ValueError, match="6 tokens do not divide an image of 64x64"):
        token_cell_side(jnp.zeros((1, 64, 64), bool), 6)
    with pytest.raises(ValueError, match="3136 tokens do not divide an image of 16x16"):
        token_cell_side(jnp.zeros((1, 16, 16), bool), 3136)
