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
ALL = jnp.ones((SIDE, SIDE), bool)


@pytest.fixture(scope="module")
def golden():
    return (
        jnp.asarray(GOLDEN["class_logits"]),
        jnp.asarray(GOLDEN["mask_logits"]).reshape(NUM_QUERIES, SIDE, SIDE),
        jnp.asarray(GOLDEN["targets"]).reshape(2, SIDE, SIDE),
    )


@pytest.fixture(scope="module")
def assigned():
    """Matching by the Hungarian method, compiled."""

    def match(*arrays):
        return match_queries(*arrays, assign=hungarian_algorithm)

    return jax.jit(match)


def test_one_target_as_in_the_published_program(golden):
    class_logits, mask_logits, targets = golden
    query, exists = match_queries(class_logits, mask_logits, targets[:1], ALL)
    np.testing.assert_array_equal(query, GOLDEN["one"])
    assert exists.all()


def test_two_targets_as_in_the_published_program(golden, assigned):
    query, exists = assigned(*golden, ALL)
    np.testing.assert_array_equal(query, GOLDEN["two"])
    assert exists.all()


def test_the_cost_is_the_weighted_sum():
    """One pixel, wanted; its probability and that of the class are 1/2."""
    arrays = jnp.zeros((1, 2)), jnp.zeros((1, 1)), jnp.ones((1, 1), bool)
    cost = matching_cost(
        *arrays,
        jnp.ones(1, bool),
        match_by="bce",
        match_class=3.0,
        match_mask=7.0,
        match_dice=11.0,
    )
    want = -3.0 / 2 + 7.0 * np.log(2) + 11.0 * (1 - 2 / 2.5)
    np.testing.assert_allclose(cost, [[want]], rtol=1e-6)


def flat_case(*wanted_by):
    """Queries whose masks are single rows, and targets that are such rows; 3x3."""
    masks = 8.0 * np.eye(3)[:, :, None].repeat(3, -1) - 4.0
    targets = np.array([masks[row] > 0 for row in wanted_by])
    return jnp.zeros((3, 2)), jnp.asarray(masks, jnp.float32), jnp.asarray(targets)


def test_targets_that_want_the_same_query_share_by_cost(assigned):
    class_logits, mask_logits, targets = flat_case(1, 1)
    # A mask that covers rows 1 and 2 is second best.
    mask_logits = mask_logits.at[2, 1].set(4.0)
    query, _ = assigned(class_logits, mask_logits, targets, jnp.ones((3, 3), bool))
    assert set(query.tolist()) == {1, 2}


def test_the_least_cost_in_all(rng, assigned):
    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    for _ in range(5):
        class_logits, mask_logits = draw(6, 2), draw(6, 4, 4)
        targets, valid = draw(3, 4, 4) > 0, draw(4, 4) < 1
        flat = (x.reshape(*x.shape[:-2], 16) for x in (mask_logits, targets, valid))
        cost = np.asarray(matching_cost(class_logits, *flat))
        query, _ = assigned(class_logits, mask_logits, targets, valid)
        numbers, queries = linear_sum_assignment(cost.T)
        np.testing.assert_array_equal(query[numbers], queries)


def test_targets_without_valid_cells_take_nobody_away(assigned):
    class_logits, mask_logits, targets = flat_case(0, 1, 2)
    valid = jnp.ones((3, 3), bool).at[0].set(False)
    query, exists = assigned(class_logits, mask_logits, targets, valid)
    np.testing.assert_array_equal(exists, [False, True, True])
    np.testing.assert_array_equal(query[1:], [1, 2])


def test_cells_that_do_not_count_do_not_decide():
    class_logits, mask_logits, targets = flat_case(1)
    # Query 1 is wrong on the last column, which is ignored.
    mask_logits = mask_logits.at[1, :, 2].multiply(-1.0)
    valid = jnp.ones((3, 3), bool).at[:, 2].set(False)
    query, _ = match_queries(class_logits, mask_logits, targets, valid)
    np.testing.assert_array_equal(query, [1])


def test_the_class_decides_among_equal_masks():
    class_logits = jnp.zeros((3, 2)).at[2, 1].set(1.0)
    masks = jnp.zeros((3, 2, 2))
    target = jnp.ones((1, 2, 2), bool)
    query, _ = match_queries(class_logits, masks, target, target[0])
    np.testing.assert_array_equal(query, [2])


def test_a_run_that_broke_does_not_hang(golden, assigned):
    class_logits, mask_logits, targets = golden
    query, _ = assigned(class_logits, jnp.nan * mask_logits, targets, ALL)
    assert len(set(query.tolist())) == 2


@pytest.mark.parametrize(
    ("num_targets", "sentence"),
    [
        (2, "2 targets an example, but no way to assign them"),
        (4, "4 targets do not fit 3 queries"),
    ],
)
def test_what_cannot_be_matched_is_named(num_targets, sentence):
    targets = jnp.ones((num_targets, 2, 2), bool)
    with pytest.raises(ValueError, match=sentence):
        match_queries(jnp.zeros((3, 2)), jnp.zeros((3, 2, 2)), targets, targets[0])


def test_an_unknown_cost_is_named():
    class_logits, mask_logits, targets = flat_case(1)
    with pytest.raises(ValueError, match="match_by is 'dise', expected one of adap"):
        match_queries(class_logits, mask_logits, targets, targets[0], match_by="dise")
