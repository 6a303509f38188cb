"""Small models with random parameters, random inputs, and targets for them."""

import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.models.load import parameter_shapes
from mst_jax.structs import Batch, Clicks

SMALL_SIMPLECLICK = dict(
    crop=64,
    window=32,
    width=16,
    depth=8,
    num_heads=2,
    pyramid_widths=(8, 8, 8, 8),
    decoder_width=8,
)
SMALL_MST = dict(
    size="nano",
    crop=64,
    depth=2,
    width=24,
    num_heads=2,
    pyramid_widths=(8, 8, 8, 8),
    decoder_width=8,
)
SMALL_ADAPTIVECLICK = dict(
    size="nano",
    crop=64,
    depth=1,
    width=16,
    num_heads=2,
    pyramid_widths=(8, 8, 8, 8),
    decoder_width=16,
    window=0,
    pixel_decoder=dict(
        num_layers=1, num_heads=2, num_points=2, num_groups=4, mlp_hidden=16
    ),
    mask_decoder=dict(num_queries=5, num_layers=3, num_heads=2, mlp_hidden=16),
)
ADAPTIVECLICK_LOSSES = dict(query_class=0.6, query_adaptive_focal=2.0, query_dice=1.5)


def random_params(module, *, seed=0):
    """Draw parameters none of which is 0 or 1, so that each one changes the outputs.

    Args:
        module: Model whose parameters are drawn.
        seed: Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape), jnp.float32),
        parameter_shapes(module),
    )


def random_params_near_unit_norms(module):
    """Draw parameters with norm scales near 1.

    With post-norm layers, scales near 0 would shrink every output.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + 1 if path[-1].key == "scale" else leaf,
        random_params(module),
    )


def random_inputs(height, width, *, seed=1):
    """Draw (image, clicks, previous mask) of two examples.

    Args:
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        seed: Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    clicks = Clicks(
        yx=jnp.asarray(rng.uniform(0, min(height, width), (2, 5, 2)), jnp.float32),
        label=jnp.asarray([[1, 0, 1, -1, -1], [1, 1, 0, 0, -1]]),
    )
    image = jnp.asarray(rng.random((2, height, width, 3)), jnp.float32)
    return image, clicks, jnp.asarray(rng.random((2, height, width)), jnp.float32)


def centered_target_batch(image):
    """Return a batch of the images [b h w 3] with an object in the middle of each."""
    b, h, w, _ = image.shape
    target = jnp.zeros((b, h, w), bool).at[:, h // 4 : h // 2, w // 4 : -8].set(True)
    return Batch(image, target, jnp.ones_like(target), jnp.zeros_like(target))
