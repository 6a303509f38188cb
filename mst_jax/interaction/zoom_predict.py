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
    layers, clicks, region = frame(
        image,
        size,
        clicks,
        previous,
        region,
        zoom=zoom,
        zoom_min_side=zoom_min_side,
        drop_outside=drop_outside,
    )
    patch = look(model, layers, clicks, mirror=mirror)
    if zoom is None:
        return patch, region
    return put_back(patch, region, *previous.shape[1:]), region


def frame(
    image: Float[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    previous: Float[Array, "b h w"],
    region: Int[Array, "b 4"],
    *,
    zoom: int | None,
    zoom_min_side: int = 200,
    drop_outside: bool = False,
) -> tuple[Float[Array, "b i j 4"], Clicks, Int[Array, "b 4"]]:
    """Chooses what the network sees, the first part of `predict`; arguments as there.

    Returns:
        [b i j 4] picture and last probability, `zoom` pixels high and wide, the clicks
        in pixels of it, and the [b 4] region it shows. Without zoom all is as it was,
        and the region -1.
    """
    layers = jnp.concatenate([image, previous[..., None]], axis=-1)
    if zoom is None:
        return layers, clicks, jnp.full_like(region, -1)
    choose = partial(next_region, min_side=zoom_min_side)
    region = jax.vmap(choose)(region, previous, size, clicks)
    layers = jax.vmap(partial(boxes.crop, side=zoom))(layers, region)
    move = partial(move_clicks, side=zoom, drop_outside=drop_outside)
    return layers, jax.vmap(move)(clicks, region), region


def look(
    model: Model, layers: Float[Array, "b i j 4"], clicks: Clicks, *, mirror: bool
) -> Float[Array, "b i j"]:
    """Asks the model, the second part of `predict`; examples may be of many pictures.

    Returns:
        [b i j] float32 probability of what `frame` framed.
    """
    ask = _look_twice if mirror else _look
    return jax.nn.sigmoid(ask(model, layers[..., :3], clicks, layers[..., 3]))


def put_back(
    patch: Float[Array, "b i j"], region: Int[Array, "b 4"], height: int, width: int
) -> Float[Array, "b {height} {width}"]:
    """Pastes what was seen into pictures of zeros, the last part of `predict`."""
    return jax.vmap(partial(boxes.paste, height=height, width=width))(patch, region)


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
