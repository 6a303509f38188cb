import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.geometry.iou import iou


def test_iou_is_counted_over_valid_pixels():
    predicted = jnp.array([[1, 1, 1, 0], [0, 0, 0, 1]], bool)
    target = jnp.array([[0, 1, 1, 1], [0, 0, 0, 0]], bool)
    valid = jnp.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
    assert iou(predicted, target, valid) == 0.5
    assert iou(predicted, target, jnp.ones_like(valid)) == np.float32(0.4)


def test_two_empty_masks_agree():
    empty, full = jnp.zeros((2, 2), bool), jnp.ones((2, 2), bool)
    assert iou(empty, empty, full) == 1.0
    assert iou(full, full, empty) == 1.0
    assert iou(empty, full, full) == 0.0


@given(seed=st.integers(0, 2**32 - 1))
def test_iou_is_symmetric_and_ignores_invalid_pixels(seed):
    rng = np.random.default_rng(seed)
    predicted, target, valid, noise = rng.random((4, 5, 6)) < 0.5
    value = iou(*map(jnp.asarray, (predicted, target, valid)))
    assert value == iou(*map(jnp.asarray, (target, predicted, valid)))
    changed = np.where(valid, predicted, noise)
    assert value == iou(*map(jnp.asarray, (changed, target, valid)))
