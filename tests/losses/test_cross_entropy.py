import jax.numpy as jnp
import numpy as np

from mst_jax.losses import (
    balanced_cross_entropy_loss,
    binary_cross_entropy_loss,
    weighted_cross_entropy_loss,
)

# The right side has probability 1/2, 1/4, 3/4, 1/4; one object pixel.
LOGITS = np.log([1.0, 3.0, 1 / 3, 3.0]).astype(np.float32)
TARGETS = np.array([1, 0, 0, 0])
WANT = np.log([2.0, 4.0, 4 / 3, 4.0])


def value(loss, where=None, **options):
    where = None if where is None else jnp.asarray(where)
    return loss(jnp.asarray(LOGITS), jnp.asarray(TARGETS), where=where, **options)


def test_four_pixels_by_hand():
    np.testing.assert_allclose(value(binary_cross_entropy_loss), WANT, rtol=1e-6)


def test_objects_weigh_more():
    loss = value(weighted_cross_entropy_loss, object_weight=3.0)
    np.testing.assert_allclose(loss, [3, 1, 1, 1] * WANT, rtol=1e-6)


def test_the_rare_class_weighs_more():
    loss = value(balanced_cross_entropy_loss)
    np.testing.assert_allclose(loss, [3 / 4, 1 / 4, 1 / 4, 1 / 4] * WANT, rtol=1e-6)


def test_pixels_that_do_not_count_are_not_in_the_balance():
    loss = value(balanced_cross_entropy_loss, where=[True, True, True, False])
    np.testing.assert_allclose(loss, [2 / 3, 1 / 3, 1 / 3, 0] * WANT, rtol=1e-6)


def test_one_class_alone_has_no_balanced_loss():
    for targets in (jnp.zeros(4, bool), jnp.ones(4, bool)):
        loss = balanced_cross_entropy_loss(jnp.asarray(LOGITS), targets)
        np.testing.assert_array_equal(loss, np.zeros(4))
