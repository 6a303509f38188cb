import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import dice_loss, soft_iou_loss


def test_two_pixels_by_hand():
    # p = 1/2 and 3/4 at targets 1 and 0.
    logits, targets = jnp.array([0.0, np.log(3.0)]), jnp.array([1, 0])
    np.testing.assert_allclose(soft_iou_loss(logits, targets), 1 - 0.5 / 1.75)
    want = 1 - (2 * 0.5 + 1) / (1.25 + 1 + 1)
    np.testing.assert_allclose(dice_loss(logits, targets), want, rtol=1e-6)


def test_the_axes_of_an_example_are_named():
    logits, targets = jnp.zeros((2, 3, 4)), jnp.ones((2, 3, 4), bool)
    for loss in (soft_iou_loss, dice_loss):
        assert loss(logits, targets).shape == (2, 3)
        assert loss(logits, targets, axis=(0, 2)).shape == (3,)
        np.testing.assert_allclose(
            loss(logits, targets, axis=(0, 2)),
            loss(jnp.zeros((3, 8)), jnp.ones((3, 8), bool)),
        )


@pytest.mark.parametrize("loss", [soft_iou_loss, dice_loss])
def test_the_ends(loss):
    targets = jnp.array([[1, 1, 0, 0]])
    sides = jnp.where(targets > 0, 60.0, -60.0)
    np.testing.assert_allclose(loss(sides, targets), [0.0], atol=1e-20)
    apart = 1.0 if loss is soft_iou_loss else 1 - 1 / 5
    np.testing.assert_allclose(loss(-sides, targets), [apart], rtol=1e-6)


@pytest.mark.parametrize("loss", [soft_iou_loss, dice_loss])
@pytest.mark.parametrize("logit", [-50.0, -80.0])
def test_nothing_where_nothing_is_wanted_is_right(loss, logit):
    def total(x):
        return loss(x, jnp.zeros(16, bool))

    value, gradient = jax.value_and_grad(total)(jnp.full(16, logit))
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    assert jnp.isfinite(gradient).all()
