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
    Answers,
    class_loss,
    find_answers,
    full_cells,
    mask_loss,
)
from mst_jax.structs import Queries

B, HEADS, Q, H, W = 3, 2, 4, 6, 4

match = jax.jit(match_queries)
answer = jax.jit(find_answers)


@pytest.fixture(scope="module")
def case():
    """Three examples of 24x16 pixels; the target of the last one has vanished."""
    rng = np.random.default_rng(0)
    queries = Queries(
        class_logits=jnp.asarray(rng.normal(size=(B, HEADS, Q, 2)), jnp.float32),
        mask_logits=jnp.asarray(rng.normal(size=(B, HEADS, Q, H, W)), jnp.float32),
    )
    target = np.kron(rng.random((B, H, W)) < 0.5, np.ones((4, 4))) > 0
    target[2] = False
    target[2, 5, 5] = True
    valid = np.ones(target.shape, bool)
    valid[0, :4] = False
    return queries, jnp.asarray(target), jnp.asarray(valid)


def part(name, *case, **options):
    values, counts = jax.jit(lambda *x: QUERY_LOSSES[name](*x, **options))(*case)
    return values.sum() / counts.sum()


def test_a_cell_is_full_where_all_pixels_are_that_it_is_resized_from():
    """The middle 2x2 of each 4x4 pixels; one row and one column of cells."""
    region = np.ones((4, 16), bool)
    region[0] = region[3] = region[:, 0] = False  # outside the middle
    region[1, 5] = region[2, 10] = False
    np.testing.assert_array_equal(
        full_cells(jnp.asarray(region), 1, 4), [[True, False, False, True]]
    )


def test_rounding_fills_and_empties_no_cell(rng):
    """Patches of 14 pixels: 7 pixels to 2 cells, weights of no short fraction."""
    assert full_cells(jnp.ones((448, 448), bool), 128, 128).all()
    assert not full_cells(jnp.zeros((448, 448), bool), 128, 128).any()


def test_who_answers_is_a_click():
    """Two heads, three queries; example 1 has two targets, example 2 lost one."""
    probabilities = np.array([[[0.5, 0.5], [0.8, 0.2], [0.25, 0.75]]] * 2)
    class_logits = jnp.asarray(np.log([probabilities, probabilities]), jnp.float32)
    answers = Answers(
        query=jnp.array([[[2, 0], [1, 2]], [[1, 0], [0, 1]]]),
        exists=jnp.array([[True, True], [True, False]]),
        targets=jnp.zeros((2, 2, 1, 1), bool),
        valid=jnp.ones((2, 1, 1), bool),
    )
    queries = Queries(class_logits, jnp.zeros((2, 2, 3, 1, 1)))
    values, counts = class_loss(queries, answers, no_click_weight=1.0, click_weight=0.5)
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
        ("adaptive_focal", {"delta": 0.1, "ada": False}),
        ("dice", {}),
    ],
)
def test_the_query_that_fits_learns_the_mask(case, name, options):
    """Example by example, head by head, pixel by pixel; over the number of targets."""
    queries, target, valid = case
    total = 0.0
    for b in range(2):  # the third example has no target
        cells = valid[b, 1::4, 1::4]
        wanted = target[b, 1::4, 1::4]
        for classes, masks in zip(
            queries.class_logits[b], queries.mask_logits[b], strict=True
        ):
            query, _ = match(classes, masks, wanted[None], cells)
            x, y = masks[query[0]][cells], wanted[cells]
            if name == "dice":
                total += dice_loss(x, y)
            else:
                total += adaptive_focal_loss(x, y, **options).mean()
    got = part(f"query_{name}", *case, **options)
    np.testing.assert_allclose(got, total / 2, rtol=1e-5)


def test_every_head_is_matched_anew(case):
    queries, target, valid = case
    # The second head says what the first does, its queries in another order.
    order = np.array([2, 0, 3, 1])
    turned = jax.tree.map(
        lambda a: jnp.stack([a[:, 0], a[:, 0][:, order]], axis=1), queries
    )
    query = answer(turned, target[:, None], valid).query[..., 0]
    np.testing.assert_array_equal(order[query[:2, 1]], query[:2, 0])


def test_a_vanished_target_teaches_no_mask_and_all_queries_not_to_be_clicked(case):
    case_of_one = queries, target, valid = jax.tree.map(lambda a: a[2:], case)
    answers = answer(queries, target[:, None], valid)
    assert not answers.exists.any()
    values, counts = jax.jit(QUERY_LOSSES["query_adaptive_focal"])(*case_of_one)
    assert values[0] == 0 and counts[0] == 0
    values, counts = jax.jit(QUERY_LOSSES["query_class"])(*case_of_one)
    want = -jax.nn.log_softmax(queries.class_logits)[..., 0].sum()
    np.testing.assert_allclose(values[0], want, rtol=1e-6)
    assert counts[0] == Q


def test_several_targets_an_example(case):
    queries, target, valid = case
    targets = jnp.stack([target, ~target, jnp.zeros_like(target)], axis=1)
    find = jax.jit(find_answers, static_argnames="assign")
    answers = find(queries, targets, valid, assign=hungarian_algorithm)
    query = np.asarray(answers.query)
    assert (query[:2, :, 0] != query[:2, :, 1]).all()
    np.testing.assert_array_equal(
        answers.exists, [[True, True, False], [True, True, False], [False, True, False]]
    )
    _, counts = mask_loss(queries, answers, loss=MASK_LOSSES["dice"])
    np.testing.assert_array_equal(counts, [2, 2, 1])


def test_ignored_pixels_and_other_examples_get_no_gradient(case):
    queries, target, valid = case

    def total(queries):
        return sum(
            QUERY_LOSSES[f"query_{name}"](queries, target, valid)[0].sum()
            for name in ("adaptive_focal", "dice", "class")
        )

    gradient = jax.jit(jax.grad(total))(queries)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert (gradient.mask_logits[0, :, :, 0] == 0).all()  # the first row is ignored
    assert (gradient.mask_logits[2] == 0).all()
    learning = (gradient.mask_logits != 0).any((-2, -1)).sum(-1)
    np.testing.assert_array_equal(learning, [[1, 1], [1, 1], [0, 0]])


def test_an_example_without_valid_pixels_is_finite(case):
    queries, target, valid = case

    @jax.jit
    def all_losses(nowhere):
        return [loss(queries, target, nowhere) for loss in QUERY_LOSSES.values()]

    for values, counts in all_losses(jnp.zeros_like(valid)):
        assert jnp.isfinite(values).all() and jnp.isfinite(counts).all()


def test_options_are_those_of_matching_and_of_the_loss():
    names = list(inspect.signature(QUERY_LOSSES["query_poly"]).parameters)
    assert names == [
        *("queries", "target", "valid"),
        *("match_by", "match_class", "match_mask", "match_dice"),
        *("gamma", "alpha"),
    ]
    assert set(QUERY_LOSSES) == {"query_class"} | {f"query_{x}" for x in MASK_LOSSES}


def test_options_of_matching_arrive(case):
    queries, target, valid = case
    only_class = dict(match_class=1.0, match_mask=0.0, match_dice=0.0)
    query = find_answers(queries, target[:, None], valid, **only_class).query[..., 0]
    classes = jax.nn.softmax(queries.class_logits)[..., 1]
    np.testing.assert_array_equal(query[:2], classes[:2].argmax(-1))
    picked = jnp.stack(
        [queries.mask_logits[b, a, query[b, a]] for b in (0, 1) for a in (0, 1)]
    )
    wanted, cells = (x[:2, 1::4, 1::4].repeat(2, axis=0) for x in (target, valid))
    want = MASK_LOSSES["dice"](picked, wanted, cells).sum() / 2
    np.testing.assert_allclose(part("query_dice", *case, **only_class), want, rtol=1e-5)
