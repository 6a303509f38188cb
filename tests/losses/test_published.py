"""Numerical parity of the losses with the published AdaptiveClick and SimpleClick."""

import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import (
    adaptive_focal_loss,
    binary_cross_entropy_loss,
    dice_loss,
    focal_loss,
    normalized_focal_loss,
)
from mst_jax.losses.mask_losses import MASK_LOSSES

GOLDEN = Path(__file__).parents[1] / "golden" / "losses.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def relative_distance(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("name", "loss_fn", "options"),
    [
        ("bce", binary_cross_entropy_loss, {}),
        ("focal", focal_loss, dict(alpha=0.25)),
        ("focal_noalpha", focal_loss, {}),
        ("nfl", normalized_focal_loss, dict(alpha=0.25)),
        ("dice", dice_loss, {}),
        ("afl_default", adaptive_focal_loss, {}),
        ("afl_d0", adaptive_focal_loss, dict(delta=0.0)),
        ("afl_d08_a0", adaptive_focal_loss, dict(delta=0.8, alpha=0.0)),
        ("afl_g1_noeps", adaptive_focal_loss, dict(gamma=1.0, epsilon=-1.0)),
        (
            "afl_g3_e025",
            adaptive_focal_loss,
            dict(gamma=3.0, epsilon=0.25, alpha=0.5),
        ),
    ],
)
def test_value_and_gradient_match_the_published_program(golden, name, loss_fn, options):
    """Three examples of 400 pixels, logits to +-20: the mean, and its gradient."""
    logits, labels = jnp.asarray(golden["logits"]), jnp.asarray(golden["targets"])
    axis = {"axis": -1} if "axis" in inspect.signature(loss_fn).parameters else {}

    def mean_loss(x):
        return loss_fn(x, labels, **axis, **options).mean()

    value, gradient = jax.value_and_grad(mean_loss)(logits)
    np.testing.assert_allclose(value, golden[f"{name}/loss"], rtol=1e-6)
    assert relative_distance(gradient, golden[f"{name}/grad"]) < 2e-6


@pytest.mark.parametrize(
    ("published", "name", "options"),
    [
        ("nfl", "normalized_focal", dict(alpha=0.5)),
        ("focal", "focal", dict(alpha=0.5)),
        ("soft_iou", "soft_iou", {}),
        ("bce", "bce", {}),
    ],
)
def test_ignored_pixels_match_the_published_program(golden, published, name, options):
    """Two masks of 32x32, logits to +-8; the published BCE divides by all pixels."""
    logits = jnp.asarray(golden["ignored/logits"])
    labels = jnp.asarray(golden["ignored/labels"])
    valid = labels >= 0
    scale = valid.mean((-2, -1)) if name == "bce" else 1.0

    def total_loss(x):
        values = scale * MASK_LOSSES[name](x, labels > 0, where=valid, **options)
        return values.sum(), values

    (_, values), gradient = jax.value_and_grad(total_loss, has_aux=True)(logits)
    np.testing.assert_allclose(values, golden[f"ignored/{published}/loss"], rtol=2e-6)
    assert relative_distance(gradient, golden[f"ignored/{published}/grad"]) < 2e-6
