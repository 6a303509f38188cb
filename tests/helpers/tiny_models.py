"""The four recipes in their smallest form, and something to train them on."""

import jax.numpy as jnp
import numpy as np

from mst_jax.models.recipes import LOSSES
from mst_jax.structs import Batch

_ROW = dict(
    size="nano", crop=64, depth=2, width=16, num_heads=2, pyramid=(8, 8, 8, 8), head=16
)
_QUERIES = dict(
    pixels=dict(num_layers=1, num_heads=2, num_points=2, num_groups=4),
    queries=dict(num_queries=3, num_layers=2, num_heads=2),
)
_TOKENS = dict(every=1, selection=dict(score_heads=2, fuse_heads=2))

TINY = {
    "simpleclick": _ROW | dict(window=32, dropout=0.0),
    "mst": _ROW | _TOKENS | dict(dropout=0.0),
    "adaptiveclick": _ROW | _QUERIES | dict(window=32),
    "mst_adaptive": _ROW | _TOKENS | _QUERIES,
}
"""Name of a recipe -> its arguments; nothing is drawn in training."""


def recipe_losses(name: str) -> dict:
    """The losses of a recipe, as published."""
    return dict(LOSSES[name])


def tiny_batch(num: int, *, side: int = 64, seed: int = 0) -> Batch:
    """Noise with a bright rectangle on it, which is wanted; one row does not count."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 120, (num, side, side, 3), np.uint8)
    target = np.zeros((num, side, side), bool)
    for number in range(num):
        top, left = rng.integers(2, side // 2, 2)
        target[number, top : top + side // 3, left : left + side // 3] = True
    image[target] += 120
    valid = np.ones_like(target)
    valid[:, 0] = False
    pixels = [jnp.asarray(x) for x in (image, target, valid, np.zeros_like(target))]
    return Batch(*pixels)
