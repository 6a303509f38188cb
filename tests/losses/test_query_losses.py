"""Losses of a query decoder: matching, class and mask losses, gradients."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax.assignment import hungarian_algorithm

from mst_jax.losses import adaptive_focal_loss, dice_loss
from mst_jax.losses.mask_losses import MASK_LOSSES
from mst_jax.losses.matching import match_queries
from mst_jax.losses.query_losses import (
    QUERY_LOSSES,
    QueryMatches,
    match_targets,
    query_class_loss,
    query_mask_loss,
    shrink_to_full_cells,
)
from mst_jax.structs import QueryOutputs

B, HEADS, Q, H, W = 3, 2, 4, 6, 4

LOSSES_OF_PIXELS = {"adaptive_focal": adaptive_focal_loss, "dice": dice_loss}

match = jax.jit(match_queries)
match_all = jax.jit(match_targets)


@pytest.fixture(scope="module")
def case():
    """Three examples of 24x16 pixels; the target of the last one has vanished."""
    rng = np.random.default_rng(0)
    queries = QueryOutputs(
        class_logits=jnp.asarray(rng.normal(size=(B, HEADS, Q, 2)), jnp.float32),
        mask_logits=jnp.asarray(rng.normal(size=(B, HEADS, Q, H, W)), jnp.float32),
    )
    target = np.kron(rng.random((B, H, W)) < 0.5, np.ones((4, 4))) > 0
    target[2] = False
    target[2, 5, 5] = True
    valid = np.ones(target.shape, bool)
    valid[0, :4] = False
    return queries, jnp.asarray(target), jnp.asarray(valid)


def query_loss(name, queries, target, valid, **options):
    loss_fn = jax.jit(functools.partial(QUERY_LOSSES[name], **options))
    values, counts = loss_fn(queries, target, where=valid)
    return values.sum() / counts.sum()


def test_cell_is_full_where_all_its_source_pixels_are():
    """The middle 2x2 of each 4x4 pixels; one row and one column of cells."""
    mask = np.ones((4, 16), bool)
    mask[0] = mask[3] = mask[:, 0] = False  # outside the middle
    mask[1, 5] = mask[2, 10] = False
    np.testing.assert_array_equal(
        shrink_to_full_cells(jnp.asarray(mask), 1, 4), [[True, False, False, True]]
    )


def test_rounding_changes_no_cell(rng):
    """Patches of 14 pixels: 7 pixels to 2 cells, weights of no short fraction."""
    assert shrink_to_full_cells(jnp.ones((448, 448), bool), 128, 128).all()
    assert not shrink_to_full_cells(jnp.zeros((448, 448), bool), 128, 128).any()


def test_matched_queries_are_clicks():
    """Two heads, three queries; example 1 has two targets, example 2 lost one."""
    probabilities = np.array([[[0.5, 0.5], [0.8, 0.2], [0.25, 0.75]]] * 2)
    class_logits = jnp.asarray(np.log([probabilities, probabilities]), jnp.float32)
    matches = QueryMatches(
        query_index=jnp.array([[[2, 0], [1, 2]], [[1, 0], [0, 1]]]),
        target_exists=jnp.array([[True, True], [True, False]]),
        targets=jnp.zeros((2, 2, 1, 1), bool),
        valid=jnp.ones((2, 1, 1), bool),
    )
    queries = QueryOutputs(class_logits, jnp.zeros((2, 2, 3, 1, 1)))
    values, counts = query_class_loss(
        queries, matches, no_click_weight=1.0, click_weight=0.5
    )
    first = 0.5 * np.log(2) - np.log(0.8) - 0.5 * np.log(0.75)
    first += np.log(2) - 0.5 * np.log(0.2) - 0.5 * np.log(0.75)
    second = np.log(2) - 0.5 * np.log(0.2) - np.log(0.25)
    second += 0.5 * np.log(2) - np.log(0.8) - np.log(0.25)
    np.testing.assert_allclose(values, [first, second], rtol=1e-5)
    np.testing.assert_allclose(counts, [2.0, 2.5])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adaptive_focal", {}),
        ("adaptive_focal", {"delta": 0.1, "adaptive_gamma": False}),
        ("dice", {}),
    ],
)
def test_matched_query_learns_the_mask(case, name, options):
    """Example by example, head by head, pixel by pixel; over the number of targets."""
    queries, target, valid = case
    loss = functools.partial(LOSSES_OF_PIXELS[name], **options)
    loss_fn = jax.jit(lambda x, y: loss(x, y).mean())
    total = 0.0
    for b in range(2):  # the third example has no target
        valid_cells = np.asarray(valid)[b, 1::4, 1::4]
        target_cells = np.asarray(target)[b, 1::4, 1::4]
        for classes, masks in zip(
            queries.class_logits[b], queries.mask_logits[b], strict=True
        ):
            query_index, _ = match(classes, masks, target_cells[None], valid_cells)
            x = np.asarray(masks)[query_index[0]][valid_cells]
            total += loss_fn(x, target_cells[valid_cells])
    actual = query_loss(f"query_{name}", *case, **options)
    np.testing.assert_allclose(actual, total / 2, rtol=1e-5)


def test_every_head_has_its_own_matching(case):
    queries, target, valid = case
    # The second head has the queries of the first in another order.
    order = np.array([2, 0, 3, 1])
    reordered = jax.tree.map(
        lambda leaf: jnp.stack([leaf[:, 0], leaf[:, 0][:, order]], axis=1), queries
    )
    query_index = match_all(reordered, target[:, None], valid).query_index[..., 0]
    np.testing.assert_array_equal(order[query_index[:2, 1]], query_index[:2, 0])


def test_vanished_target_has_no_mask_loss_and_makes_every_query_no_click(case):
    queries, target, valid = jax.tree.map(lambda leaf: leaf[2:], case)
    matches = match_all(queries, target[:, None], valid)
    assert not matches.target_exists.any()
    values, counts = jax.jit(QUERY_LOSSES["query_adaptive_focal"])(
        queries, target, where=valid
    )
    assert values[0] == 0 and counts[0] == 0
    values, counts = jax.jit(QUERY_LOSSES["query_class"])(queries, target, where=valid)
    expected = -jax.nn.log_softmax(queries.class_logits)[..., 0].sum()
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)
    assert counts[0] == Q


def test_several_targets_in_an_example(case):
    queries, target, valid = case
    targets = jnp.stack([target, ~target, jnp.zeros_like(target)], axis=1)
    find = jax.jit(match_targets, static_argnames="assign_fn")
    matches = find(queries, targets, valid, assign_fn=hungarian_algorithm)
    query_index = np.asarray(matches.query_index)
    assert (query_index[:2, :, 0] != query_index[:2, :, 1]).all()
    np.testing.assert_array_equal(
        matches.target_exists,
        [[True, True, False], [True, True, False], [False, True, False]],
    )
    _, counts = query_mask_loss(queries, matches, loss_fn=MASK_LOSSES["dice"])
    np.testing.assert_array_equal(counts, [2, 2, 1])


def test_ignored_pixels_and_other_examples_get_no_gradient(case):
    queries, target, valid = case

    def loss_sum(queries):
        return sum(
            QUERY_LOSSES[f"query_{name}"](queries, target, where=valid)[0].sum()
            for name in ("adaptive_focal", "dice", "class")
        )

    gradient = jax.jit(jax.grad(loss_sum))(queries)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert (gradient.mask_logits[0, :, :, 0] == 0).all()  # the first row is ignored
    assert (gradient.mask_logits[2] == 0).all()
    learning = (gradient.mask_logits != 0).any((-2, -1)).sum(-1)
    np.testing.assert_array_equal(learning, [[1, 1], [1, 1], [0, 0]])


def test_example_without_valid_pixels_is_finite(case):
    queries, target, valid = case

    @jax.jit
    def all_losses(no_pixels):
        return [
            loss_fn(queries, target, where=no_pixels)
            for loss_fn in QUERY_LOSSES.values()
        ]

    for values, counts in all_losses(jnp.zeros_like(valid)):
        assert jnp.isfinite(values).all() and jnp.isfinite(counts).all()


def test_options_are_those_of_matching_and_of_the_loss():
    names = list(inspect.signature(QUERY_LOSSES["query_poly"]).parameters)
    assert names == [
        *("queries", "targets", "where"),
        *("mask_cost", "class_cost_weight", "mask_cost_weight", "dice_cost_weight"),
        *("gamma", "alpha"),
    ]
    assert set(QUERY_LOSSES) == {"query_class"} | {f"query_{x}" for x in MASK_LOSSES}


def test_matching_options_are_used(case):
    queries, target, valid = case
    only_class = dict(class_cost_weight=1.0, mask_cost_weight=0.0, dice_cost_weight=0.0)
    find = jax.jit(functools.partial(match_targets, **only_class))
    query_index = find(queries, target[:, None], valid).query_index[..., 0]
    classes = jax.nn.softmax(queries.class_logits)[..., 1]
    np.testing.assert_array_equal(query_index[:2], classes[:2].argmax(-1))
    matched_logits = jnp.stack(
        [queries.mask_logits[b, a, query_index[b, a]] for b in (0, 1) for a in (0, 1)]
    )
    target_cells, valid_cells = (
        x[:2, 1::4, 1::4].repeat(2, axis=0) for x in (target, valid)
    )
    expected = (
        MASK_LOSSES["dice"](matched_logits, target_cells, where=valid_cells).sum() / 2
    )
    np.testing.assert_allclose(
        query_loss("query_dice", *case, **only_class), expected, rtol=1e-5
    )


@pytest.mark.parametrize("large_logit", [np.inf, -np.inf])
@pytest.mark.parametrize("field", ["class_logits", "mask_logits"])
def test_gradient_at_infinite_logits_is_finite(case, field, large_logit):
    queries, target, valid = case
    logits = getattr(queries, field).at[:, :, 1].set(large_logit)
    queries = dataclasses.replace(queries, **{field: logits})

    def loss_sum(queries):
        return sum(
            QUERY_LOSSES[f"query_{name}"](queries, target, where=valid)[0].sum()
            for name in ("adaptive_focal", "dice", "class")
        )

    gradient = jax.jit(jax.grad(loss_sum))(queries)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradient))
