"""A model that is a formula, and images and targets for it; golden sessions use them."""

import jax.numpy as jnp
import numpy as np

from mst_jax.data.targets import EvaluationTarget


def analytic_model(image, clicks, prev_mask):
    """Return logits with a hill at each positive click and a pit at each negative one.

    They also depend on the image, the position and the previous mask, so that a wrong
    crop, a forgotten mask or a wrong flip changes them.
    """
    height, width = image.shape[1:3]
    row, column = np.mgrid[:height, :width].astype(np.float32)
    # 1. A bump around each click, positive or negative.
    squared_distance = jnp.square(row[None, None] - clicks.yx[..., 0, None, None])
    squared_distance += jnp.square(column[None, None] - clicks.yx[..., 1, None, None])
    bump = jnp.exp(-squared_distance / (2 * (0.12 * max(height, width)) ** 2))
    sign = jnp.where(clicks.label == 1, 9.0, -9.0) * clicks.is_filled
    logits = (sign[..., None, None] * bump).sum(1)
    # 2. Image, previous mask and column.
    logits += 3 * (image.mean(-1) - 0.5) + 2 * (prev_mask - 0.5)
    return logits + (2 * (column / width - 0.5) - 2)[None]


def draw_image(height=60, width=84):
    """Draw a bright disk and a bright corner on noise: (image, target)."""
    rng = np.random.default_rng(3)
    row, column = np.mgrid[:height, :width]
    target = (row - height / 3) ** 2 + (column - width / 2) ** 2 < width * 5
    target |= (row > 2 * height // 3) & (column > 2 * width // 3)
    image = rng.random((height, width, 3)) * 120 + 120 * target[..., None]
    return image.astype(np.uint8), target


def draw_targets(sizes, seed=3):
    """Draw one object on noise for each (height, width); some pixels do not count."""
    rng = np.random.default_rng(seed)
    targets = []
    for index, (height, width) in enumerate(sizes):
        row, column = np.mgrid[:height, :width]
        target = (row - height / 3) ** 2 + (column - width / 2) ** 2 < width * 5
        target |= (row > 2 * height // 3) & (column > width // 2)
        image = (rng.random((height, width, 3)) * 120 + 120 * target[..., None]) % 256
        valid = rng.random(target.shape) < 0.97
        image = image.astype(np.uint8)
        targets.append(EvaluationTarget(f"p{index}", image, target & valid, valid))
    return targets
