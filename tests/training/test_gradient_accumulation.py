"""Microbatches give the result of the batch, for losses with very different counts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import total_loss
from mst_jax.structs import Batch, Outputs
from mst_jax.training.gradient_accumulation import (
    join_microbatches,
    loss_and_gradient,
    map_microbatches,
    split_microbatches,
    sum_microbatches,
)

ROWS = jnp.arange(6.0)[:, None] * jnp.ones((1, 2))

PARAMS = {"gain": jnp.float32(0.5), "shift": jnp.float32(0.25)}
X = jnp.array([1.0, -2.0, 3.0, 0.5])


def test_a_microbatch_has_every_nth_example():
    np.testing.assert_array_equal(
        split_microbatches(ROWS, 2)[..., 0], [[0, 2, 4], [1, 3, 5]]
    )
    np.testing.assert_array_equal(
        split_microbatches(ROWS, 3)[..., 0], [[0, 3], [1, 4], [2, 5]]
    )
    np.testing.assert_array_equal(join_microbatches(split_microbatches(ROWS, 3)), ROWS)


def test_results_of_microbatches_have_the_order_of_the_examples():
    for num_microbatches in (1, 2, 3, 6):
        result = map_microbatches(
            lambda x, y: {"sum": (x + y).sum(-1)}, num_microbatches, ROWS, ROWS
        )
        np.testing.assert_array_equal(result["sum"], [0, 4, 8, 12, 16, 20])


def test_sums_over_microbatches_and_their_indices():
    def weighted_sum(index, x):
        assert x.shape == (3, 2)
        return {"weighted": (1 + index) * x.sum(), "index": index}

    # Examples 0 2 4 once and 1 3 5 twice, in two columns.
    assert sum_microbatches(weighted_sum, 2, ROWS) == {
        "weighted": 2 * 6 + 4 * 9,
        "index": 1,
    }
    assert sum_microbatches(lambda index, x: x.sum() + index, 1, ROWS) == 30


def linear_forward(params, index, x):
    """Logits of 2 by 2 equal pixels for each number."""
    logits = params["gain"] * x + params["shift"]
    return Outputs(jnp.broadcast_to(logits[:, None, None], (x.shape[0], 2, 2)))


@pytest.fixture
def batch():
    target = np.zeros((4, 2, 2), bool)
    target[[0, 2]] = True
    pixels = jnp.asarray(target)
    image = jnp.zeros((4, 2, 2, 3), jnp.uint8)
    return Batch(image, pixels, jnp.ones_like(pixels), jnp.zeros_like(pixels))


@pytest.fixture
def counting_loss(monkeypatch):
    """A loss of the logits in which an example counts only where its x is positive."""

    def loss(logits, target, *, where):
        values = logits[:, 0, 0]
        counts = (values > 0).astype(jnp.float32)
        return counts * values**2, counts

    term = total_loss.LossTerm("logits", loss)
    monkeypatch.setitem(total_loss.LOSS_TERMS, "positive", term)
    return {"positive": {"weight": 2.0}}


@pytest.mark.parametrize("grad_accum_steps", [1, 2])
def test_loss_and_gradient_by_hand(counting_loss, batch, grad_accum_steps):
    """Logits 0.75 -0.75 1.75 0.5: three count, 1 + 2 of them in two microbatches."""
    (loss, terms), gradient = loss_and_gradient(
        linear_forward,
        PARAMS,
        batch,
        (X,),
        losses=counting_loss,
        grad_accum_steps=grad_accum_steps,
    )
    squares = 0.75**2 + 1.75**2 + 0.5**2
    np.testing.assert_allclose(loss, 2 * squares / 3, rtol=1e-6)
    np.testing.assert_allclose(terms["positive"], squares / 3, rtol=1e-6)
    # d/d gain = 2 * 2 * (0.75 * 1 + 1.75 * 3 + 0.5 * 0.5) / 3
    np.testing.assert_allclose(gradient["gain"], 4 * 6.25 / 3, rtol=1e-6)
    np.testing.assert_allclose(gradient["shift"], 4 * 3.0 / 3, rtol=1e-6)
    # Masks 0, 1 and 2 are correct; the last mask is full and should be empty.
    np.testing.assert_allclose(terms["iou"], 0.75)


def test_the_mean_of_microbatch_means_is_another_update(counting_loss, batch):
    """What optax.MultiSteps does: microbatches 0 2 and 1 3 have 2 and 1 that count."""
    microbatches = [jax.tree.map(lambda x, i=i: x[i::2], (batch, X)) for i in range(2)]
    gradients = [
        loss_and_gradient(
            linear_forward, PARAMS, microbatch, (x,), losses=counting_loss
        )[1]["gain"]
        for microbatch, x in microbatches
    ]
    # (4 * 6 / 2 + 4 * 0.25) / 2
    np.testing.assert_allclose(np.mean(gradients), 6.5, rtol=1e-6)


def test_frozen_parameters_have_no_gradient(batch):
    _, gradient = loss_and_gradient(
        linear_forward,
        PARAMS,
        batch,
        (X,),
        losses={"bce": 1.0},
        grad_accum_steps=2,
        frozen=("gain",),
    )
    assert gradient["gain"] == 0 and gradient["shift"] != 0


def test_counts_that_do_not_depend_on_the_model_cost_nothing(batch):
    """The forward pass that counts is not in the program: it sorts as often without."""

    def sorting_forward(params, index, x):
        return linear_forward(params, index, jnp.sort(x))

    def count_sorts(grad_accum_steps):
        function = partial(
            loss_and_gradient,
            sorting_forward,
            losses={"bce": 1.0},
            grad_accum_steps=grad_accum_steps,
        )
        program = jax.jit(function).lower(PARAMS, batch, (X,)).compile()
        return program.as_text().count(" sort(")

    assert count_sorts(2) == count_sorts(1) == 1
