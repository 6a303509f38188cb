"""In parts = at once, for losses that are means of very different counts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import total_loss
from mst_jax.structs import Batch, Outputs
from mst_jax.training.gradients import loss_and_gradient

PARAMS = {"gain": jnp.float32(0.5), "shift": jnp.float32(0.25)}
X = jnp.array([1.0, -2.0, 3.0, 0.5])


def look(params, number, x):
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
def counting(monkeypatch):
    """A loss of the logits in which an example counts only where its x is positive."""

    def loss(logits, target, valid):
        values = logits[:, 0, 0]
        counts = (values > 0).astype(jnp.float32)
        return counts * values**2, counts

    monkeypatch.setitem(total_loss.TERMS, "positive", total_loss.Term("logits", loss))
    return {"positive": {"weight": 2.0}}


def test_by_hand(counting, batch):
    """Logits 0.75 -0.75 1.75 0.5: three count. Parts of two would have 1 + 2 of them."""
    for num_parts in (1, 2):
        (loss, terms), gradient = loss_and_gradient(
            look, PARAMS, batch, (X,), losses=counting, num_parts=num_parts
        )
        squares = 0.75**2 + 1.75**2 + 0.5**2
        np.testing.assert_allclose(loss, 2 * squares / 3, rtol=1e-6)
        np.testing.assert_allclose(terms["positive"], squares / 3, rtol=1e-6)
        # d/d gain = 2 * 2 * (0.75 * 1 + 1.75 * 3 + 0.5 * 0.5) / 3
        np.testing.assert_allclose(gradient["gain"], 4 * 6.25 / 3, rtol=1e-6)
        np.testing.assert_allclose(gradient["shift"], 4 * 3.0 / 3, rtol=1e-6)
        # Wholly right: 0, 1 and 2; the last mask is full and should be empty.
        np.testing.assert_allclose(terms["iou"], 0.75)


def test_a_mean_of_means_would_be_another_update(counting, batch):
    """What optax.MultiSteps does: parts 0 2 and 1 3 have 2 and 1 that count."""
    parts = [jax.tree.map(lambda x, i=i: x[i::2], (batch, X)) for i in range(2)]
    alone = [
        loss_and_gradient(look, PARAMS, part, (x,), losses=counting)[1]["gain"]
        for part, x in parts
    ]
    # (4 * 6 / 2 + 4 * 0.25) / 2
    np.testing.assert_allclose(np.mean(alone), 6.5, rtol=1e-6)


def test_frozen_parameters_have_no_gradient(batch):
    _, gradient = loss_and_gradient(
        look, PARAMS, batch, (X,), losses={"bce": 1.0}, num_parts=2, frozen=("gain",)
    )
    assert gradient["gain"] == 0 and gradient["shift"] != 0


def test_counts_cost_nothing_where_they_do_not_depend_on_the_model(batch):
    """The forward pass that counts is not in the program: it sorts as often without."""

    def sorting(params, number, x):
        return look(params, number, jnp.sort(x))

    def sorts(num_parts):
        run = partial(loss_and_gradient, losses={"bce": 1.0}, num_parts=num_parts)
        program = jax.jit(partial(run, sorting)).lower(PARAMS, batch, (X,)).compile()
        return program.as_text().count(" sort(")

    assert sorts(2) == sorts(1) == 1
