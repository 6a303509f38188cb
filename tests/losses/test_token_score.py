import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.losses.token_score import token_score
from tests.helpers.token_selections import GOLDEN, GOLDEN_TARGET, golden_choices, scored

# Four fine tokens of 2 x 2 pixels; one coarse token of 4 x 4.
TARGET = jnp.array([[[1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]]], bool)


@pytest.mark.parametrize("form, suffix", [("focal", ""), ("squared", "_224")])
def test_the_published_value(form, suffix):
    values, counts = token_score(golden_choices(suffix), GOLDEN_TARGET, form=form)
    np.testing.assert_array_equal(counts, [6, 6])
    np.testing.assert_allclose(values.sum() / counts.sum(), GOLDEN[form], rtol=1e-6)


def test_two_scales_by_hand():
    # Fine tokens: inside, outside, inside, outside (top-left pixels). Coarse: inside.
    choice = scored([[0.5, 0.5, 0.8, 0.2]], [[0.25]])
    values, counts = token_score((choice,), TARGET)
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
    values, counts = token_score((choice, choice), TARGET, form="squared")
    fine = (0.25 + 0.25 + 0.04 + 0.04) / 4
    np.testing.assert_allclose(values, [2 * (fine + 0.75**2)], rtol=1e-6)
    np.testing.assert_array_equal(counts, [4])


@pytest.mark.parametrize("form", ["focal", "squared"])
def test_an_example_without_a_positive_click_does_not_count(form):
    fine, coarse = jnp.array([[0.5, 0.1, 0.8, 0.2]]), jnp.array([[0.25]])
    alone = token_score((scored(fine, coarse),), TARGET, form=form)
    fine, coarse = (jnp.concatenate([x, 0 * x]) for x in (fine, coarse))
    target = jnp.concatenate([TARGET, TARGET])
    values, counts = token_score((scored(fine, coarse),), target, form=form)
    np.testing.assert_array_equal(values, [alone[0][0], 0])
    np.testing.assert_array_equal(counts, [2, 0])

    def total(fine):
        return token_score((scored(fine, coarse),), target, form=form)[0].sum()

    slope = jax.grad(total)(fine)
    np.testing.assert_array_equal(slope[1], np.zeros(4))
    assert abs(slope[0]).min() > 0


@pytest.mark.parametrize("form", ["focal", "squared"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_scores_of_0_and_1_have_finite_values_and_slopes(form, dtype):
    def total(scores):
        values, _ = token_score((scored(scores, scores[:, :1]),), TARGET, form=form)
        return values.sum()

    value, slope = jax.jit(jax.value_and_grad(total))(jnp.array([[0, 0, 1, 1]], dtype))
    assert value.dtype == jnp.float32
    assert np.isfinite(value) and np.isfinite(np.float32(slope)).all()


def test_tokens_that_are_not_valid_are_left_out():
    valid = jnp.ones((1, 4, 4), bool).at[0, 0, 2].set(False)  # corner of fine token 1
    fine = jnp.array([[0.5, 0.9, 0.8, 0.3]])
    values, counts = token_score(
        (scored(fine, [[1.0]]),), TARGET, valid, form="squared"
    )
    np.testing.assert_allclose(values, [(0.25 + 0.04 + 0.09) / 3], rtol=1e-6)
    np.testing.assert_array_equal(counts, [2])
    values, counts = token_score((scored(fine, [[0.5]]),), TARGET, valid & False)
    np.testing.assert_array_equal((values, counts), [[0], [0]])


focal = jax.jit(lambda fine, target: token_score((scored(fine, fine[:, :1]),), target))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_examples_do_not_know_each_other_and_better_scores_cost_less(seed):
    rng = np.random.default_rng(seed)
    scores = jnp.asarray(rng.uniform(0.05, 0.95, (3, 4)), jnp.float32)
    target = jnp.asarray(rng.random((3, 4, 4)) < 0.5)
    values, counts = focal(scores, target)
    for i in range(3):
        again = [jnp.stack([x[i]] * 3) for x in (scores, target)]
        np.testing.assert_allclose(focal(*again)[0][0], values[i], rtol=1e-5)
    inside = target[:, ::2, ::2].reshape(3, 4)
    better, _ = focal(jnp.where(inside, scores + 0.05, scores - 0.05), target)
    assert (better < values).all() and (values > 0).all() and (counts == 2).all()


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="'mean' is unknown; known: focal, squared"):
        token_score((scored([[1.0]], [[1.0]]),), TARGET, form="mean")
