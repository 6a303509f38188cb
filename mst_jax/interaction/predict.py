"""One prediction as users get it: zoom in, look twice, paste back."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, Int

from mst_jax.geometry import boxes
from mst_jax.interaction.zoom import move_clicks, next_region
from mst_jax.structs import Clicks

# (image [b h w 3], clicks [b k], previous [b h w]) -> logits [b h w]
Model = Callable[[Array, Clicks, Array], Array]


def as_tree(model: Model) -> Model:
    """Returns the model as a JAX tree, to be an argument of jitted code.

    A plain function becomes a tree without leaves; a model that is a tree already may
    then be exchanged for one with other parameters without compiling again.
    """
    return jax.tree_util.Partial(model) if jax.tree_util.all_leaves([model]) else model


def predict(
    model: Model,
    image: Float[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    previous: Float[Array, "b h w"],
    region: Int[Array, "b 4"],
    *,
    zoom: int | None,
    zoom_min_side: int = 200,
    mirror: bool = True,
    drop_outside: bool = False,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predicts the object of each picture; jit and vmap safe.

    Args:
        model: any callable of this signature, see `Model`.
        image: [b h w 3] RGB, 0 to 1; smaller pictures fill the upper left corner.
        size: [b 2] height and width of each picture without that padding.
        clicks: [b k] in pixels of the picture.
        previous: [b h w] probability of the last round, zeros at first; 0 on padding.
        region: [b 4] what the network saw last, see `next_region`; -1 = nothing yet.
        zoom: side in pixels of the square that the network sees; None: it sees the
            picture as it is, which therefore must not be padded.
        zoom_min_side: least height and width of what is zoomed in on, in pixels.
        mirror: averages the logits with those of the mirrored picture.
        drop_outside: clicks outside the region are not shown to the network.

    Returns:
        [b h w] float32 probability, 0 outside the region that was seen, and [b 4] that
        region, -1 without zoom.
    """
    look = _look_twice if mirror else _look
    if zoom is None:
        prob = jax.nn.sigmoid(look(model, image, clicks, previous))
        return prob, jnp.full_like(region, -1)
    choose = partial(next_region, min_side=zoom_min_side)
    region = jax.vmap(choose)(region, previous, size, clicks)
    layers = jnp.concatenate([image, previous[..., None]], axis=-1)
    layers = jax.vmap(partial(boxes.crop, side=zoom))(layers, region)
    move = partial(move_clicks, side=zoom, drop_outside=drop_outside)
    moved = jax.vmap(move)(clicks, region)
    logits = look(model, layers[..., :3], moved, layers[..., 3])
    height, width = previous.shape[1:]
    paste = jax.vmap(partial(boxes.paste, height=height, width=width))
    return paste(jax.nn.sigmoid(logits), region), region


def _look(
    model: Model,
    image: Float[Array, "b h w 3"],
    clicks: Clicks,
    previous: Float[Array, "b h w"],
) -> Float[Array, "b h w"]:
    """Asks the model once; its logits as float32."""
    return model(image, clicks, previous).astype(jnp.float32)


def _look_twice(
    model: Model,
    image: Float[Array, "b h w 3"],
    clicks: Clicks,
    previous: Float[Array, "b h w"],
) -> Float[Array, "b h w"]:
    """Asks once for pictures and their mirror pictures, and averages the logits.

    The two of an example lie side by side in the batch, so that they stay on one device.
    """
    row, column = clicks.yx[..., 0], clicks.yx[..., 1]
    flipped = jnp.stack([row, image.shape[2] - column - 1], axis=-1)
    logits = _look(
        model,
        _pairs(image, image[:, :, ::-1]),
        Clicks(_pairs(clicks.yx, flipped), _pairs(clicks.label, clicks.label)),
        _pairs(previous, previous[:, :, ::-1]),
    )
    straight, mirrored = rearrange(logits, "(b two) h w -> two b h w", two=2)
    return (straight + mirrored[:, :, ::-1]) / 2


def _pairs(one: Array, other: Array) -> Array:
    """Puts two batches together, example by example."""
    return rearrange([one, other], "two b ... -> (b two) ...")
