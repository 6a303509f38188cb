import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.losses.token_contrast import FORMS, token_contrast
from mst_jax.structs import TokenChoice
from tests.helpers.token_selections import GOLDEN, GOLDEN_TARGET, chosen, golden_choices

# Sixteen fine tokens of one pixel, four coarse tokens of 2 x 2.
TARGET = jnp.array([[[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]], bool)
NOTHING = np.zeros((1, 0, 2), np.float32), np.zeros((1, 0), int)
CLICK = jnp.zeros((1, 2))


def choice(fine, coarse=NOTHING, *, click=CLICK, kept=None, fused=None):
    """A choice of fine and coarse tokens, each (tokens, index), on 4 x 4 pixels."""
    fine = chosen(*fine, num_tokens=16, kept=kept)
    coarse = chosen(*coarse, num_tokens=4)
    fused = jnp.zeros_like(fine.tokens) if fused is None else jnp.asarray(fused)
    return TokenChoice(click, fine, coarse, fused)


def softplus(x):
    return np.log1p(np.exp(x))


def test_the_published_value():
    values, counts = token_contrast(golden_choices(), GOLDEN_TARGET, form="slim-448")
    np.testing.assert_array_equal(counts, [3, 3])
    np.testing.assert_allclose(values.sum() / 6, GOLDEN["contrast"], rtol=1e-6)


# Inside: (3, 4) and (0, 5); outside: (0, 1).
THREE = [[[3.0, 4.0], [0.0, 1.0], [0.0, 5.0]]], [[0, 10, 4]]


def test_the_distances_by_hand():
    # d+ = (5 + 5) / 2 and d- = 1.
    values, counts = token_contrast((choice(THREE),), TARGET)
    np.testing.assert_allclose(values, [softplus(5 - 1)], rtol=1e-6)
    np.testing.assert_array_equal(counts, [1])
    # Along the other axis: d+ = (3 + sqrt(16 + 25)) / 2, d- = (0 + 1) / 2.
    values, counts = token_contrast((choice(THREE),), TARGET, form="448")
    want = softplus((3 + np.sqrt(41)) / 2 - 0.5)
    np.testing.assert_allclose(values, [want], rtol=1e-6)
    np.testing.assert_array_equal(counts, [1])


def test_the_distances_are_to_the_click_token():
    click = jnp.array([[3.0, 5.0]])
    values, _ = token_contrast((choice(THREE, click=click),), TARGET)
    np.testing.assert_allclose(values, [softplus((1 + 3) / 2 - 5)], rtol=1e-6)


def test_the_fused_tokens_stand_for_the_fine_ones_in_the_224_family():
    fused = [[[2.0, 0.0], [0.0, 7.0], [0.0, 4.0]]]
    values, counts = token_contrast((choice(THREE, fused=fused),), TARGET, form="224")
    np.testing.assert_allclose(values, [softplus(3 - 7)], rtol=1e-5)
    np.testing.assert_array_equal(counts, [1])


INSIDE, OUTSIDE = ([[[3.0, 4.0]]], [[0]]), ([[[0.0, 1.0]]], [[10]])
# Coarse token 0 begins inside, 3 outside: its only object pixel is its last.
COARSE = [[[0.0, 2.0], [0.0, 6.0]]], [[3, 0]]


def test_coarse_tokens_count_only_where_the_fine_ones_do():
    fine = softplus(5 - 1)
    coarse = softplus(6 - 2)
    values, counts = token_contrast((choice(THREE, COARSE),), TARGET)
    np.testing.assert_allclose(values, [fine + coarse], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])
    for one_side in (INSIDE, OUTSIDE):
        values, counts = token_contrast((choice(one_side, COARSE),), TARGET)
        np.testing.assert_array_equal((values, counts), [[0], [0]])


def test_the_rule_is_one_of_each_token_selection():
    both = choice(INSIDE, COARSE), choice(THREE, COARSE)
    values, counts = token_contrast(both, TARGET)
    np.testing.assert_allclose(values, [2 * softplus(4)], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", [TARGET | True, TARGET & False])
def test_a_target_that_is_everywhere_or_nowhere_counts_nothing(form, target):
    picked = (choice(THREE, COARSE, fused=THREE[0]),)
    values, counts = token_contrast(picked, target, form=form)
    np.testing.assert_array_equal((values, counts), [[0], [0]])


@pytest.mark.parametrize("form", ["tokens", "slim-448"])
def test_without_a_positive_click_nothing_counts_and_nothing_learns(form):
    # No row is kept, so all rows are zero, as the click token is.
    def loss(tokens, click):
        none = jnp.zeros((1, 3), bool)
        fine = choice((tokens, THREE[1]), COARSE, click=click, kept=none)
        values, counts = token_contrast((fine,), TARGET, form=form)
        return values.sum(), counts

    zeros = jnp.zeros((1, 3, 2))
    slopes, counts = jax.grad(loss, (0, 1), has_aux=True)(zeros, CLICK)
    np.testing.assert_array_equal(counts, [0])
    for slope in slopes:
        np.testing.assert_array_equal(slope, np.zeros_like(slope))


def test_rows_that_were_kept_without_a_click_do_not_count_in_ours():
    picked = choice(THREE)
    unscored = dataclasses.replace(picked.fine, scores=jnp.zeros((1, 16)))
    picked = dataclasses.replace(picked, fine=unscored)
    values, counts = token_contrast((picked,), TARGET)
    np.testing.assert_array_equal((values, counts), [[0], [0]])


def test_a_dropped_row_takes_part_as_zeros_where_others_of_the_batch_kept_theirs():
    # Row 2 is dropped in the first example only, row 3 in both.
    tokens = np.zeros((2, 4, 2), np.float32)
    tokens[:, 0], tokens[:, 1], tokens[1, 2] = (3, 4), (0, 1), (6, 8)
    kept = jnp.array([[True, True, False, False], [True, True, True, False]])
    fine = tokens, [[0, 10, 1, 4]] * 2
    coarse = np.zeros((2, 0, 2), np.float32), np.zeros((2, 0), int)
    both = choice(fine, coarse, kept=kept, click=jnp.zeros((2, 2)))
    target = jnp.concatenate([TARGET, TARGET])
    own, _ = token_contrast((both,), target)
    np.testing.assert_allclose(own, softplus([5 - 1, (5 + 10) / 2 - 1]), rtol=1e-6)
    both = dataclasses.replace(both, fused=jnp.asarray(tokens))
    shared, _ = token_contrast((both,), target, form="224")
    want = softplus([(5 + 0) / 2 - 1, (5 + 10) / 2 - 1])
    np.testing.assert_allclose(shared, want, rtol=1e-6)


def test_the_224_family_reads_the_coarse_target_where_it_is_not():
    # Pictures of 224: 7 x 7 coarse tokens, 8 x 8 cells of 28 pixels. Token 7 begins row 1;
    # cell 7 ends row 0, and its corner is pixel (0, 196).
    fine = chosen([[[0.0, 1.0], [0.0, 3.0]]], [[0, 783]], num_tokens=784)
    coarse = chosen([[[0.0, 2.0], [0.0, 6.0]]], [[7, 8]], num_tokens=49)
    picked = (TokenChoice(CLICK, fine, coarse, fine.tokens),)
    at_28 = jnp.zeros((1, 224, 224), bool).at[0, 0, 0].set(True).at[0, 0, 196].set(True)
    at_32 = jnp.zeros((1, 224, 224), bool).at[0, 0, 0].set(True).at[0, 32, 0].set(True)
    both = softplus(1 - 3) + softplus(2 - 6)
    for form, target, want in (
        ("224", at_28, (both, 2)),
        ("224", at_32, (softplus(1 - 3), 1)),
        ("tokens", at_28, (softplus(1 - 3), 1)),
        ("tokens", at_32, (both, 2)),
    ):
        values, counts = token_contrast(picked, target, form=form)
        np.testing.assert_allclose((values[0], counts[0]), want, rtol=1e-5)


def test_the_slip_of_the_224_family_is_seven_eighths_of_any_patch():
    """Coarse tokens of 16 pixels, 2 x 2; cells of 14, so that none is missing."""
    fine = chosen([[[0.0, 1.0], [0.0, 3.0]]], [[0, 63]], num_tokens=64)
    coarse = chosen([[[0.0, 2.0], [0.0, 6.0]]], [[1, 3]], num_tokens=4)
    picked = (TokenChoice(CLICK, fine, coarse, fine.tokens),)
    target = jnp.zeros((1, 32, 32), bool).at[0, 0, 0].set(True).at[0, 0, 14].set(True)
    values, counts = token_contrast(picked, target, form="224")
    np.testing.assert_array_equal(counts, [2])
    np.testing.assert_allclose(values, [softplus(1 - 3) + softplus(2 - 6)], rtol=1e-5)
    # What is not valid is read where the tokens are.
    for column, want in ((14, 2), (16, 1)):
        valid = jnp.ones((1, 32, 32), bool).at[0, 0, column].set(False)
        counts = token_contrast(picked, target, valid, form="224")[1]
        np.testing.assert_array_equal(counts, [want])


def test_tokens_that_are_not_valid_are_left_out():
    valid = jnp.ones((1, 4, 4), bool).at[0, 0, 0].set(False)
    values, counts = token_contrast((choice(THREE, COARSE),), TARGET, valid)
    np.testing.assert_allclose(values, [softplus(5 - 1)], rtol=1e-6)  # coarse 0 is out
    np.testing.assert_array_equal(counts, [1])
    values, counts = token_contrast(
        (choice(THREE),), TARGET, valid.at[0, 1, 0].set(False)
    )
    np.testing.assert_array_equal((values, counts), [[0], [0]])


@pytest.mark.parametrize("form", ["tokens", "slim-448"])
def test_slopes_are_finite_where_a_token_is_the_click_token(form):
    def loss(tokens):
        picked = (choice((tokens, THREE[1]), click=tokens[:, 0]),)
        return token_contrast(picked, TARGET, form=form)[0].sum()

    for tokens in (jnp.array(THREE[0]), jnp.ones((1, 3, 2))):
        assert np.isfinite(jax.grad(loss)(tokens)).all()


@partial(jax.jit, static_argnames="form")
def random_loss(tokens, index, kept, click, target, *, form):
    fine = chosen(tokens, index, num_tokens=16, kept=kept)
    coarse = chosen(tokens[:, :3], index[:, :3] // 4, num_tokens=4, kept=kept[:, :3])
    return token_contrast(
        (TokenChoice(click, fine, coarse, tokens),), target, form=form
    )


def random_example(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    index = np.stack([rng.permutation(16)[:6] for _ in range(2)])
    kept = rng.random((2, 6)) < 0.7
    tokens, target = rng.normal(size=(2, 6, 3)), rng.random((2, 4, 4)) < 0.5
    click = rng.normal(size=(2, 3))
    tokens, click = (jnp.asarray(x, dtype) for x in (tokens, click))
    return tokens, jnp.asarray(index), jnp.asarray(kept), click, jnp.asarray(target)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_ours_knows_neither_other_examples_nor_dropped_rows_nor_an_order(seed):
    example = random_example(seed)
    tokens, index, kept, click, target = example
    values, counts = random_loss(*example, form="tokens")
    noise = jnp.where(kept[..., None], tokens, 100.0)
    again = random_loss(noise, index, kept, click, target, form="tokens")
    np.testing.assert_array_equal(again, (values, counts))
    swapped = random_loss(*(x[::-1] for x in example), form="tokens")
    np.testing.assert_allclose(swapped, (values[::-1], counts[::-1]), rtol=1e-6)
    order = jnp.array([2, 0, 1, 5, 3, 4])  # the first three are the coarse ones, too
    turned = (x[:, order] for x in (tokens, index, kept))
    again = random_loss(*turned, click, target, form="tokens")
    np.testing.assert_allclose(again, (values, counts), rtol=1e-5)


@pytest.mark.parametrize("form", ["tokens", "448"])
def test_bfloat16_tokens_are_raised(form):
    example = random_example(3, jnp.bfloat16)
    raised = [x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x for x in example]
    values, counts = random_loss(*example, form=form)
    assert values.dtype == jnp.float32 and counts.sum() > 0
    np.testing.assert_array_equal((values, counts), random_loss(*raised, form=form))


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="'slim' is unknown; known: tokens, slim-448"):
        token_contrast((choice(THREE),), TARGET, form="slim")
