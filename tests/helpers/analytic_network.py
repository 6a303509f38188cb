"""A network that is a formula and a picture for it, the one of the golden sessions."""

import jax.numpy as jnp
import numpy as np

from mst_jax.data.targets import EvaluationTarget


def bumps(image, clicks, previous):
    """Logits: a hill at each positive click, a pit at each negative one.

    It looks at the picture, at the place and at the previous mask too, so that a wrong
    crop, a forgotten mask or a wrong mirror shows.
    """
    height, width = image.shape[1:3]
    row, column = np.mgrid[:height, :width].astype(np.float32)
    apart = jnp.square(row[None, None] - clicks.yx[..., 0, None, None])
    apart += jnp.square(column[None, None] - clicks.yx[..., 1, None, None])
    bump = jnp.exp(-apart / (2 * (0.12 * max(height, width)) ** 2))
    sign = jnp.where(clicks.label == 1, 9.0, -9.0) * clicks.kept
    logits = (sign[..., None, None] * bump).sum(1)
    logits += 3 * (image.mean(-1) - 0.5) + 2 * (previous - 0.5)
    return logits + (2 * (column / width - 0.5) - 2)[None]


def draw_picture(height=60, width=84):
    """A bright disk and a bright corner on noise: (image, target)."""
    rng = np.random.default_rng(3)
    row, column = np.mgrid[:height, :width]
    target = (row - height / 3) ** 2 + (column - width / 2) ** 2 < width * 5
    target |= (row > 2 * height // 3) & (column > 2 * width // 3)
    image = rng.random((height, width, 3)) * 120 + 120 * target[..., None]
    return image.astype(np.uint8), target


def draw_targets(sizes, seed=3):
    """One object on noise for each (height, width); some pixels do not count."""
    rng = np.random.default_rng(seed)
    found = []
    for number, (height, width) in enumerate(sizes):
        row, column = np.mgrid[:height, :width]
        target = (row - height / 3) ** 2 + (column - width / 2) ** 2 < width * 5
        target |= (row > 2 * height // 3) & (column > width // 2)
        image = (rng.random((height, width, 3)) * 120 + 120 * target[..., None]) % 256
        valid = rng.random(target.shape) < 0.97
        found.append(
            EvaluationTarget(
                f"p{number}", image.astype(np.uint8), target & valid, valid
            )
        )
    return found
