"""A small model, two pictures and a step that is quick to compile."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mst_jax.clicks.encode import disk_maps
from mst_jax.structs import Batch, Outputs
from mst_jax.training.train_state import start_state
from mst_jax.training.train_step import make_step

SIDE = 32
SMALL = dict(
    size="tiny", crop=SIDE, patch=8, width=16, depth=2, num_heads=2, head=8
) | dict(pyramid=(8, 8, 8, 8), window=0)


def draw_batch():
    """Two pictures: a bright square on the left, a bright bar at the bottom."""
    target = np.zeros((2, SIDE, SIDE), bool)
    target[0, 6:20, 4:18] = True
    target[1, 22:30, 2:30] = True
    image = np.where(target[..., None], 220, 40).astype(np.uint8).repeat(3, axis=-1)
    valid = np.ones_like(target)
    valid[:, 0] = False
    return Batch(
        image=jnp.asarray(image),
        target=jnp.asarray(target),
        valid=jnp.asarray(valid),
        others=jnp.zeros(target.shape, bool),
    )


class Threshold(nn.Module):
    """Believes in bright pixels near what was clicked; learns how bright and how near."""

    @nn.compact
    def __call__(self, image, clicks, previous, *, train=False):
        gain = self.param("gain", nn.initializers.ones, (2,))
        disks = jax.vmap(lambda one: disk_maps(one, *previous.shape[1:]))(clicks)
        bright = gain[0] * (image.mean(-1) - 0.4)
        return Outputs(10.0 * bright + gain[1] * (disks[..., 0] - disks[..., 1]))


def make_small_step(module, losses, num_parts=1, *, teacher=()):
    optimizer = optax.sgd(0.1)
    update = make_step(
        module, optimizer, lambda _: 0.1, losses, num_parts, 0.9, max_first=2
    )
    update = jax.jit(update, donate_argnums=0)

    def run(params, batch, *, seed=2):
        own = jax.tree.map(jnp.copy, params)
        key = jax.random.key(seed)
        kept = jax.tree.map(jnp.copy, teacher)
        first = start_state(own, optimizer, key, averages=True, teacher=kept)
        return update(first, batch)

    return run
