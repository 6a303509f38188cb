"""Tiny models of the four recipes, and a batch to train them on."""

import jax.numpy as jnp
import numpy as np

from configs.published import MODEL_LOSSES
from mst_jax.structs import Batch

_SIZE = dict(
    size="nano",
    crop=64,
    depth=2,
    width=16,
    num_heads=2,
    pyramid_widths=(8, 8, 8, 8),
    decoder_width=16,
)
_QUERY_DECODER = dict(
    pixel_decoder=dict(num_layers=1, num_heads=2, num_points=2, num_groups=4),
    mask_decoder=dict(num_queries=3, num_layers=2, num_heads=2),
)
_TOKEN_SELECTION = dict(insert_every=1, selection=dict(score_heads=2, fuse_heads=2))

TINY_MODELS = {
    "simpleclick": _SIZE | dict(window=32, dropout=0.0),
    "mst": _SIZE | _TOKEN_SELECTION | dict(dropout=0.0),
    "adaptiveclick": _SIZE | _QUERY_DECODER | dict(window=32),
    "mst_adaptive": _SIZE | _TOKEN_SELECTION | _QUERY_DECODER,
}
"""Name of a recipe -> its arguments; without dropout, so that training is repeatable."""


def published_losses(name: str) -> dict:
    """Return the losses of a recipe, as published."""
    return dict(MODEL_LOSSES[name])


def tiny_batch(num_examples: int, *, side: int = 64, seed: int = 0) -> Batch:
    """Draw noise with a bright rectangle, the target; the first row does not count.

    Args:
        num_examples: Number of examples.
        side: Side of the square images in pixels.
        seed: Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 120, (num_examples, side, side, 3), np.uint8)
    target = np.zeros((num_examples, side, side), bool)
    for index in range(num_examples):
        top, left = rng.integers(2, side // 2, 2)
        target[index, top : top + side // 3, left : left + side // 3] = True
    image[target] += 120
    valid = np.ones_like(target)
    valid[:, 0] = False
    no_others = np.zeros_like(target)
    return Batch(*(jnp.asarray(array) for array in (image, target, valid, no_others)))
