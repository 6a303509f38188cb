"""Matching of queries and targets: published results, small cases, errors."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax.assignment import hungarian_algorithm
from scipy.optimize import linear_sum_assignment

from mst_jax.losses.matching import match_queries, matching_cost

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "matching.npz")
NUM_QUERIES, SIDE = 10, 28
ALL_VALID = jnp.ones((SIDE, SIDE), bool)

match_one = jax.jit(match_queries)


@pytest.fixture(scope="module")
def golden():
    return (
        jnp.asarray(GOLDEN["class_logits"]),
        jnp.asarray(GOLDEN["mask_logits"]).reshape(NUM_QUERIES, SIDE, SIDE),
        jnp.asarray(GOLDEN["targets"]).reshape(2, SIDE, SIDE),
    )


@pytest.fixture(scope="module")
def match_all():
    """Return the compiled matching by the Hungarian algorithm."""

    def match(*arrays):
        return match_queries(*arrays, assign_fn=hungarian_algorithm)

    return jax.jit(match)


def test_one_target_matches_the_published_program(golden):
    class_logits, mask_logits, targets = golden
    query_index, target_exists = match_one(
        class_logits, mask_logits, targets[:1], ALL_VALID
    )
    np.testing.assert_array_equal(query_index, GOLDEN["one"])
    assert target_exists.all()


def test_two_targets_match_the_published_program(golden, match_all):
    query_index, target_exists = match_all(*golden, ALL_VALID)
    np.testing.assert_array_equal(query_index, GOLDEN["two"])
    assert target_exists.all()


def test_cost_is_the_weighted_sum_of_three_costs():
    """One pixel, in the target; its probability and that of the class are 1/2."""
    arrays = jnp.zeros((1, 2)), jnp.zeros((1, 1)), jnp.ones((1, 1), bool)
    cost = matching_cost(
        *arrays,
        jnp.ones(1, bool),
        mask_cost="bce",
        class_cost_weight=3.0,
        mask_cost_weight=7.0,
        dice_cost_weight=11.0,
    )
    expected = -3.0 / 2 + 7.0 * np.log(2) + 11.0 * (1 - 2 / 2.5)
    np.testing.assert_allclose(cost, [[expected]], rtol=1e-6)


def row_masks(*target_rows):
    """Queries whose masks are single rows, and targets that are such rows; 3x3."""
    masks = 8.0 * np.eye(3)[:, :, None].repeat(3, -1) - 4.0
    targets = np.array([masks[index] > 0 for index in target_rows])
    return jnp.zeros((3, 2)), jnp.asarray(masks, jnp.float32), jnp.asarray(targets)


def test_equal_targets_get_different_queries_by_cost(match_all):
    class_logits, mask_logits, targets = row_masks(1, 1)
    # A mask that covers rows 1 and 2 is second best.
    mask_logits = mask_logits.at[2, 1].set(4.0)
    query_index, _ = match_all(
        class_logits, mask_logits, targets, jnp.ones((3, 3), bool)
    )
    assert set(query_index.tolist()) == {1, 2}


def test_assignment_has_the_minimum_total_cost(rng, match_all):
    def draw_normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    cost_of = jax.jit(matching_cost)
    for _ in range(5):
        class_logits, mask_logits = draw_normal(6, 2), draw_normal(6, 4, 4)
        targets, valid = draw_normal(3, 4, 4) > 0, draw_normal(4, 4) < 1
        flat_arrays = (
            array.reshape(*array.shape[:-2], 16)
            for array in (mask_logits, targets, valid)
        )
        cost = np.asarray(cost_of(class_logits, *flat_arrays))
        query_index, _ = match_all(class_logits, mask_logits, targets, valid)
        target_index, expected_index = linear_sum_assignment(cost.T)
        np.testing.assert_array_equal(query_index[target_index], expected_index)


def test_targets_without_valid_cells_take_no_query_away(match_all):
    class_logits, mask_logits, targets = row_masks(0, 1, 2)
    valid = jnp.ones((3, 3), bool).at[0].set(False)
    query_index, target_exists = match_all(class_logits, mask_logits, targets, valid)
    np.testing.assert_array_equal(target_exists, [False, True, True])
    np.testing.assert_array_equal(query_index[1:], [1, 2])


def test_ignored_cells_do_not_decide():
    class_logits, mask_logits, targets = row_masks(1)
    # Query 1 is wrong on the last column, which is ignored.
    mask_logits = mask_logits.at[1, :, 2].multiply(-1.0)
    valid = jnp.ones((3, 3), bool).at[:, 2].set(False)
    query_index, _ = match_one(class_logits, mask_logits, targets, valid)
    np.testing.assert_array_equal(query_index, [1])


def test_class_decides_between_equal_masks():
    class_logits = jnp.zeros((3, 2)).at[2, 1].set(1.0)
    masks = jnp.zeros((3, 2, 2))
    target = jnp.ones((1, 2, 2), bool)
    query_index, _ = match_one(class_logits, masks, target, target[0])
    np.testing.assert_array_equal(query_index, [2])


def test_matching_ends_on_nan(golden, match_all):
    class_logits, mask_logits, targets = golden
    query_index, _ = match_all(class_logits, jnp.nan * mask_logits, targets, ALL_VALID)
    assert len(set(query_index.tolist())) == 2


@pytest.mark.parametrize(
    ("num_targets", "message"),
    [
        (2, "2 targets per example, but no way to assign them"),
        (4, "4 targets do not fit 3 queries"),
    ],
)
def test_targets_that_cannot_be_matched_are_rejected(num_targets, message):
    targets = jnp.ones((num_targets, 2, 2), bool)
    with pytest.raises(ValueError, match=message):
        match_queries(jnp.zeros((3, 2)), jnp.zeros((3, 2, 2)), targets, targets[0])


def test_unknown_cost_is_rejected():
    class_logits, mask_logits, targets = row_masks(1)
    with pytest.raises(ValueError, match="mask_cost is 'dise', expected one of adap"):
        match_queries(class_logits, mask_logits, targets, targets[0], mask_cost="dise")
