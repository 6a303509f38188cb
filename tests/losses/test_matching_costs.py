"""Matching costs: published values, values by hand, ignored pixels, saturation."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.losses.matching_costs import (
    MASK_COSTS,
    adaptive_focal_cost,
    bce_cost,
    dice_cost,
    focal_cost,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "matching.npz")
COSTS = MASK_COSTS | {"dice": dice_cost}
LOG3 = np.log(3.0)  # the logit of 3/4


@pytest.mark.parametrize("name", COSTS)
def test_costs_match_the_published_program(name):
    logits, targets = map(jnp.asarray, (GOLDEN["mask_logits"], GOLDEN["targets"]))
    cost = COSTS[name](logits, targets, jnp.ones(logits.shape[1], bool))
    np.testing.assert_allclose(cost, GOLDEN[name], rtol=1e-6)


def test_two_pixels_match_hand_computation():
    """Probabilities 3/4 and 1/4; the targets hold the first pixel, or both."""
    logits = jnp.array([[LOG3, -LOG3]])
    targets = jnp.array([[True, False], [True, True]])
    valid = jnp.ones(2, bool)
    right_loss, wrong_loss = -np.log(3 / 4), -np.log(1 / 4)
    np.testing.assert_allclose(
        bce_cost(logits, targets, valid),
        [[right_loss, (right_loss + wrong_loss) / 2]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        dice_cost(logits, targets, valid), [[1 - 2.5 / 3, 1 - 3 / 4]], rtol=1e-6
    )
    focal = focal_cost(logits, targets, valid, gamma=1.0, alpha=0.75)
    both_pixels = 0.75 * (right_loss / 4 + wrong_loss * 3 / 4) / 2
    np.testing.assert_allclose(
        focal, [[(0.75 + 0.25) * right_loss / 4 / 2, both_pixels]], rtol=1e-6
    )


def test_adaptive_focal_cost_of_one_target_matches_hand_computation():
    """gamma_a = 2 + 1 - 3/4, pt = 3/4; one target shares its weight with no other."""
    logits, targets = jnp.array([[LOG3, -LOG3]]), jnp.array([[True, False]])
    cost = adaptive_focal_cost(logits, targets, jnp.ones(2, bool))
    expected = 0.5 * (-np.log(3 / 4) / (1 + 0.4 * 2.25) + 0.25**2.25 + 1)
    np.testing.assert_allclose(cost, [[expected]], rtol=1e-6)


@pytest.mark.parametrize("name", COSTS)
def test_ignored_pixels_are_as_if_removed(name, rng):
    logits = jnp.asarray(rng.normal(size=(3, 12)), jnp.float32)
    targets, valid = jnp.asarray(rng.random((2, 12)) < 0.5), jnp.asarray(range(12)) < 8
    expected = COSTS[name](logits[:, :8], targets[:, :8], valid[:8])
    cost = COSTS[name](logits, targets, valid)
    np.testing.assert_allclose(cost, expected, rtol=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_ignored_logits_and_targets_change_nothing(seed):
    rng = np.random.default_rng(seed)
    logits, noise = rng.normal(size=(2, 3, 12)).astype(np.float32)
    targets, valid = rng.random((2, 12)) < 0.5, rng.random(12) < 0.5
    changed = np.where(valid, logits, noise), targets ^ ~valid
    for cost in map(jax.jit, COSTS.values()):
        np.testing.assert_array_equal(
            cost(*changed, valid), cost(logits, targets, valid)
        )


def test_empty_target_does_not_enter_the_adaptive_cost(rng):
    logits = jnp.asarray(rng.normal(size=(3, 12)), jnp.float32)
    targets = jnp.asarray(rng.random((2, 12)) < 0.5)
    valid = jnp.ones(12, bool)
    padded_targets = jnp.concatenate([targets, jnp.zeros((1, 12), bool)])
    np.testing.assert_allclose(
        adaptive_focal_cost(logits, padded_targets, valid)[:, :2],
        adaptive_focal_cost(logits, targets, valid),
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("logit", [-80.0, 0.0, 80.0])
@pytest.mark.parametrize("pixels", ["no object", "all object", "none valid"])
def test_saturated_costs_are_finite(name, logit, pixels):
    logits = jnp.full((2, 4), logit)
    targets = jnp.full((1, 4), pixels == "all object")
    valid = jnp.full(4, pixels != "none valid")
    assert jnp.isfinite(jax.jit(COSTS[name])(logits, targets, valid)).all()
