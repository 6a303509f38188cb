"""The contrastive token loss: published value, small cases, independence."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.losses import token_contrast as token_contrast_module
from mst_jax.losses.token_contrast import CONTRAST_FORMS
from mst_jax.structs import TokenSelectionOutput
from tests.helpers.token_selections import (
    GOLDEN,
    GOLDEN_TARGET,
    golden_selections,
    make_selected_tokens,
)

# Compiled whole: operations one by one would be compiled one by one.
token_contrast = jax.jit(token_contrast_module.token_contrast, static_argnames="form")

# Sixteen fine tokens of one pixel, four coarse tokens of 2 x 2.
TARGET = jnp.array([[[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]], bool)
NO_TOKENS = np.zeros((1, 0, 2), np.float32), np.zeros((1, 0), int)
CLICK = jnp.zeros((1, 2))


def make_selection(fine, coarse=NO_TOKENS, *, click=CLICK, selected=None, fused=None):
    """Make a selection of fine and coarse tokens, each (tokens, index), on 4 x 4 pixels."""
    fine = make_selected_tokens(*fine, num_tokens=16, selected=selected)
    coarse = make_selected_tokens(*coarse, num_tokens=4)
    fused = jnp.zeros_like(fine.tokens) if fused is None else jnp.asarray(fused)
    return TokenSelectionOutput(click, fine, coarse, fused)


def softplus(x):
    return np.log1p(np.exp(x))


def test_value_matches_the_published_program():
    values, counts = token_contrast(golden_selections(), GOLDEN_TARGET, form="slim-448")
    np.testing.assert_array_equal(counts, [3, 3])
    np.testing.assert_allclose(values.sum() / 6, GOLDEN["contrast"], rtol=1e-6)


# Inside: (3, 4) and (0, 5); outside: (0, 1).
THREE_TOKENS = [[[3.0, 4.0], [0.0, 1.0], [0.0, 5.0]]], [[0, 10, 4]]


def test_distances_match_hand_computation():
    # d+ = (5 + 5) / 2 and d- = 1.
    values, counts = token_contrast((make_selection(THREE_TOKENS),), TARGET)
    np.testing.assert_allclose(values, [softplus(5 - 1)], rtol=1e-6)
    np.testing.assert_array_equal(counts, [1])
    # Along the other axis: d+ = (3 + sqrt(16 + 25)) / 2, d- = (0 + 1) / 2.
    values, counts = token_contrast((make_selection(THREE_TOKENS),), TARGET, form="448")
    expected = softplus((3 + np.sqrt(41)) / 2 - 0.5)
    np.testing.assert_allclose(values, [expected], rtol=1e-6)
    np.testing.assert_array_equal(counts, [1])


def test_distances_are_to_the_click_token():
    click = jnp.array([[3.0, 5.0]])
    values, _ = token_contrast((make_selection(THREE_TOKENS, click=click),), TARGET)
    np.testing.assert_allclose(values, [softplus((1 + 3) / 2 - 5)], rtol=1e-6)


def test_224_forms_use_the_fused_tokens():
    fused = [[[2.0, 0.0], [0.0, 7.0], [0.0, 4.0]]]
    values, counts = token_contrast(
        (make_selection(THREE_TOKENS, fused=fused),), TARGET, form="224"
    )
    np.testing.assert_allclose(values, [softplus(3 - 7)], rtol=1e-5)
    np.testing.assert_array_equal(counts, [1])


INSIDE, OUTSIDE = ([[[3.0, 4.0]]], [[0]]), ([[[0.0, 1.0]]], [[10]])
# Coarse token 0 begins inside, 3 outside: its only object pixel is its last.
COARSE = [[[0.0, 2.0], [0.0, 6.0]]], [[3, 0]]


def test_coarse_term_counts_only_where_the_fine_term_does():
    fine = softplus(5 - 1)
    coarse = softplus(6 - 2)
    values, counts = token_contrast((make_selection(THREE_TOKENS, COARSE),), TARGET)
    np.testing.assert_allclose(values, [fine + coarse], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])
    for single_side in (INSIDE, OUTSIDE):
        values, counts = token_contrast((make_selection(single_side, COARSE),), TARGET)
        np.testing.assert_array_equal((values, counts), [[0], [0]])


def test_each_token_selection_counts_on_its_own():
    both = make_selection(INSIDE, COARSE), make_selection(THREE_TOKENS, COARSE)
    values, counts = token_contrast(both, TARGET)
    np.testing.assert_allclose(values, [2 * softplus(4)], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])


@pytest.mark.parametrize("form", CONTRAST_FORMS)
@pytest.mark.parametrize("target", [TARGET | True, TARGET & False])
def test_full_and_empty_targets_count_nothing(form, target):
    selections = (make_selection(THREE_TOKENS, COARSE, fused=THREE_TOKENS[0]),)
    values, counts = token_contrast(selections, target, form=form)
    np.testing.assert_array_equal((values, counts), [[0], [0]])


@pytest.mark.parametrize("form", ["tokens", "slim-448"])
def test_without_a_positive_click_there_is_no_count_and_no_gradient(form):
    # No token is selected, so all tokens are zero, as the click token is.
    def contrast_sum(tokens, click):
        none = jnp.zeros((1, 3), bool)
        fine = make_selection(
            (tokens, THREE_TOKENS[1]), COARSE, click=click, selected=none
        )
        values, counts = token_contrast((fine,), TARGET, form=form)
        return values.sum(), counts

    zeros = jnp.zeros((1, 3, 2))
    gradients, counts = jax.grad(contrast_sum, (0, 1), has_aux=True)(zeros, CLICK)
    np.testing.assert_array_equal(counts, [0])
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_tokens_selected_without_a_click_do_not_count():
    selection = make_selection(THREE_TOKENS)
    unscored = dataclasses.replace(selection.fine, scores=jnp.zeros((1, 16)))
    selection = dataclasses.replace(selection, fine=unscored)
    values, counts = token_contrast((selection,), TARGET)
    np.testing.assert_array_equal((values, counts), [[0], [0]])


def test_224_forms_count_a_dropped_token_if_another_example_selected_its_slot():
    # Slot 2 is dropped in the first example only, slot 3 in both.
    tokens = np.zeros((2, 4, 2), np.float32)
    tokens[:, 0], tokens[:, 1], tokens[1, 2] = (3, 4), (0, 1), (6, 8)
    selected = jnp.array([[True, True, False, False], [True, True, True, False]])
    fine = tokens, [[0, 10, 1, 4]] * 2
    coarse = np.zeros((2, 0, 2), np.float32), np.zeros((2, 0), int)
    both = make_selection(fine, coarse, selected=selected, click=jnp.zeros((2, 2)))
    target = jnp.concatenate([TARGET, TARGET])
    separate_values, _ = token_contrast((both,), target)
    np.testing.assert_allclose(
        separate_values, softplus([5 - 1, (5 + 10) / 2 - 1]), rtol=1e-6
    )
    both = dataclasses.replace(both, fused=jnp.asarray(tokens))
    shared_values, _ = token_contrast((both,), target, form="224")
    expected = softplus([(5 + 0) / 2 - 1, (5 + 10) / 2 - 1])
    np.testing.assert_allclose(shared_values, expected, rtol=1e-6)


def test_224_forms_sample_the_coarse_target_on_the_wrong_grid():
    # Images of 224: 7 x 7 coarse tokens, 8 x 8 cells of 28 pixels. Token 7 begins row 1;
    # cell 7 ends row 0, and its corner is pixel (0, 196).
    fine = make_selected_tokens([[[0.0, 1.0], [0.0, 3.0]]], [[0, 783]], num_tokens=784)
    coarse = make_selected_tokens([[[0.0, 2.0], [0.0, 6.0]]], [[7, 8]], num_tokens=49)
    selections = (TokenSelectionOutput(CLICK, fine, coarse, fine.tokens),)
    at_28 = jnp.zeros((1, 224, 224), bool).at[0, 0, 0].set(True).at[0, 0, 196].set(True)
    at_32 = jnp.zeros((1, 224, 224), bool).at[0, 0, 0].set(True).at[0, 32, 0].set(True)
    both = softplus(1 - 3) + softplus(2 - 6)
    for form, target, expected in (
        ("224", at_28, (both, 2)),
        ("224", at_32, (softplus(1 - 3), 1)),
        ("tokens", at_28, (softplus(1 - 3), 1)),
        ("tokens", at_32, (both, 2)),
    ):
        values, counts = token_contrast(selections, target, form=form)
        np.testing.assert_allclose((values[0], counts[0]), expected, rtol=1e-5)


def test_224_forms_sample_the_coarse_target_at_seven_eighths_of_any_patch():
    """Coarse tokens of 16 pixels, 2 x 2; cells of 14, so that none is missing."""
    fine = make_selected_tokens([[[0.0, 1.0], [0.0, 3.0]]], [[0, 63]], num_tokens=64)
    coarse = make_selected_tokens([[[0.0, 2.0], [0.0, 6.0]]], [[1, 3]], num_tokens=4)
    selections = (TokenSelectionOutput(CLICK, fine, coarse, fine.tokens),)
    target = jnp.zeros((1, 32, 32), bool).at[0, 0, 0].set(True).at[0, 0, 14].set(True)
    values, counts = token_contrast(selections, target, form="224")
    np.testing.assert_array_equal(counts, [2])
    np.testing.assert_allclose(values, [softplus(1 - 3) + softplus(2 - 6)], rtol=1e-5)
    # Valid is sampled where the tokens are.
    for column, expected in ((14, 2), (16, 1)):
        valid = jnp.ones((1, 32, 32), bool).at[0, 0, column].set(False)
        counts = token_contrast(selections, target, where=valid, form="224")[1]
        np.testing.assert_array_equal(counts, [expected])


def test_invalid_tokens_are_left_out():
    valid = jnp.ones((1, 4, 4), bool).at[0, 0, 0].set(False)
    values, counts = token_contrast(
        (make_selection(THREE_TOKENS, COARSE),), TARGET, where=valid
    )
    np.testing.assert_allclose(values, [softplus(5 - 1)], rtol=1e-6)  # coarse 0 is out
    np.testing.assert_array_equal(counts, [1])
    values, counts = token_contrast(
        (make_selection(THREE_TOKENS),), TARGET, where=valid.at[0, 1, 0].set(False)
    )
    np.testing.assert_array_equal((values, counts), [[0], [0]])


@pytest.mark.parametrize("form", ["tokens", "slim-448"])
def test_gradient_is_finite_where_a_token_equals_the_click_token(form):
    def contrast_sum(tokens):
        selections = (make_selection((tokens, THREE_TOKENS[1]), click=tokens[:, 0]),)
        return token_contrast(selections, TARGET, form=form)[0].sum()

    for tokens in (jnp.array(THREE_TOKENS[0]), jnp.ones((1, 3, 2))):
        assert np.isfinite(jax.grad(contrast_sum)(tokens)).all()


@partial(jax.jit, static_argnames="form")
def random_loss(tokens, index, selected, click, target, *, form):
    fine = make_selected_tokens(tokens, index, num_tokens=16, selected=selected)
    coarse = make_selected_tokens(
        tokens[:, :3], index[:, :3] // 4, num_tokens=4, selected=selected[:, :3]
    )
    return token_contrast(
        (TokenSelectionOutput(click, fine, coarse, tokens),), target, form=form
    )


def random_example(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    index = np.stack([rng.permutation(16)[:6] for _ in range(2)])
    selected = rng.random((2, 6)) < 0.7
    tokens, target = rng.normal(size=(2, 6, 3)), rng.random((2, 4, 4)) < 0.5
    click = rng.normal(size=(2, 3))
    tokens, click = (jnp.asarray(x, dtype) for x in (tokens, click))
    return tokens, jnp.asarray(index), jnp.asarray(selected), click, jnp.asarray(target)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_tokens_form_ignores_other_examples_dropped_tokens_and_order(seed):
    arrays = random_example(seed)
    tokens, index, selected, click, target = arrays
    values, counts = random_loss(*arrays, form="tokens")
    noise = jnp.where(selected[..., None], tokens, 100.0)
    repeated = random_loss(noise, index, selected, click, target, form="tokens")
    np.testing.assert_array_equal(repeated, (values, counts))
    swapped_examples = random_loss(*(x[::-1] for x in arrays), form="tokens")
    np.testing.assert_allclose(
        swapped_examples, (values[::-1], counts[::-1]), rtol=1e-6
    )
    order = jnp.array([2, 0, 1, 5, 3, 4])  # the first three are the coarse ones, too
    reordered = (x[:, order] for x in (tokens, index, selected))
    repeated = random_loss(*reordered, click, target, form="tokens")
    np.testing.assert_allclose(repeated, (values, counts), rtol=1e-5)


@pytest.mark.parametrize("form", ["tokens", "448"])
def test_bfloat16_tokens_are_raised_to_float32(form):
    arrays = random_example(3, jnp.bfloat16)
    raised_arrays = [
        x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x for x in arrays
    ]
    values, counts = random_loss(*arrays, form=form)
    assert values.dtype == jnp.float32 and counts.sum() > 0
    np.testing.assert_array_equal(
        (values, counts), random_loss(*raised_arrays, form=form)
    )


def test_unknown_form_is_rejected():
    with pytest.raises(ValueError, match="'slim' is unknown; known: tokens, slim-448"):
        token_contrast((make_selection(THREE_TOKENS),), TARGET, form="slim")
