"""A small model, a batch of two images, and a training step that compiles quickly."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mst_jax.clicks.encode import click_disk_maps
from mst_jax.structs import Batch, Outputs
from mst_jax.training.train_state import init_train_state
from mst_jax.training.train_step import ClickSimulationOptions, make_train_step

IMAGE_SIDE = 32
SMALL_MODEL = dict(
    size="tiny",
    crop=IMAGE_SIDE,
    patch_size=8,
    width=16,
    depth=2,
    num_heads=2,
    decoder_width=8,
    pyramid_widths=(8, 8, 8, 8),
    window=0,
)


def make_small_batch():
    """Return two images: a bright square on the left, a bright bar at the bottom."""
    target = np.zeros((2, IMAGE_SIDE, IMAGE_SIDE), bool)
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


class BrightnessModel(nn.Module):
    """Segment bright pixels near positive clicks; learn how bright and how near."""

    @nn.compact
    def __call__(self, image, clicks, prev_mask, *, train=False):
        gain = self.param("gain", nn.initializers.ones, (2,))
        disk_maps = jax.vmap(lambda c: click_disk_maps(c, *prev_mask.shape[1:]))(clicks)
        brightness = gain[0] * (image.mean(-1) - 0.4)
        near_clicks = disk_maps[..., 0] - disk_maps[..., 1]
        return Outputs(10.0 * brightness + gain[1] * near_clicks)


def make_small_step(module, losses, grad_accum_steps=1, *, teacher=None):
    """Return a function (params, batch, seed=) -> (state, metrics) of one SGD step."""
    optimizer = optax.sgd(0.1)
    train_step = make_train_step(
        module,
        optimizer,
        lambda _: 0.1,
        losses,
        ClickSimulationOptions(max_initial=2),
        grad_accum_steps=grad_accum_steps,
        ema_decay=0.9,
    )
    train_step = jax.jit(train_step, donate_argnums=0)

    def run_step(params, batch, *, seed=2):
        # The step reuses the memory of its state, so it gets copies.
        state = init_train_state(
            jax.tree.map(jnp.copy, params),
            optimizer,
            jax.random.key(seed),
            with_ema=True,
            teacher=jax.tree.map(jnp.copy, teacher),
        )
        return train_step(state, batch)

    return run_step
