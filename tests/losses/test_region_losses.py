"""Soft IoU and Dice: values by hand, axes, extreme masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import losses

dice_loss, soft_iou_loss = (
    jax.jit(loss_fn, static_argnames="axis")
    for loss_fn in (losses.dice_loss, losses.soft_iou_loss)
)


def test_two_pixels_match_hand_computation():
    # p = 1/2 and 3/4 at labels 1 and 0.
    logits, labels = jnp.array([0.0, np.log(3.0)]), jnp.array([1, 0])
    np.testing.assert_allclose(soft_iou_loss(logits, labels), 1 - 0.5 / 1.75)
    expected = 1 - (2 * 0.5 + 1) / (1.25 + 1 + 1)
    np.testing.assert_allclose(dice_loss(logits, labels), expected, rtol=1e-6)


def test_axis_selects_the_pixels_of_an_example():
    logits, labels = jnp.zeros((2, 3, 4)), jnp.ones((2, 3, 4), bool)
    for loss_fn in (soft_iou_loss, dice_loss):
        assert loss_fn(logits, labels, axis=-1).shape == (2, 3)
        assert loss_fn(logits, labels, axis=(0, 2)).shape == (3,)
        np.testing.assert_allclose(
            loss_fn(logits, labels, axis=(0, 2)),
            loss_fn(jnp.zeros((3, 8)), jnp.ones((3, 8), bool), axis=-1),
        )


@pytest.mark.parametrize("loss_fn", [soft_iou_loss, dice_loss])
def test_equal_and_disjoint_masks(loss_fn):
    labels = jnp.array([[1, 1, 0, 0]])
    right_logits = jnp.where(labels > 0, 60.0, -60.0)
    np.testing.assert_allclose(
        loss_fn(right_logits, labels, axis=-1), [0.0], atol=1e-20
    )
    max_loss = 1.0 if loss_fn is soft_iou_loss else 1 - 1 / 5
    np.testing.assert_allclose(
        loss_fn(-right_logits, labels, axis=-1), [max_loss], rtol=1e-6
    )


@pytest.mark.parametrize("loss_fn", [soft_iou_loss, dice_loss])
@pytest.mark.parametrize("logit", [-50.0, -80.0])
def test_empty_mask_of_an_empty_target_has_no_loss(loss_fn, logit):
    def total_loss(x):
        return loss_fn(x, jnp.zeros(16, bool))

    value, gradient = jax.value_and_grad(total_loss)(jnp.full(16, logit))
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    assert jnp.isfinite(gradient).all()
