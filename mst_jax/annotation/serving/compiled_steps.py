"""The programs of a click: frame what the network sees, look at it, put it back.

Only looking needs the network, and what it looks at has one size whatever the picture's:
so users of different pictures share one pass, and a new size of picture compiles little.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.interaction import zoom_predict
from mst_jax.interaction.zoom_predict import Model
from mst_jax.models.load import TrainedModel
from mst_jax.structs import Clicks, TokenChoice


class Framed(NamedTuple):
    """What the network is shown of one picture.

    Attributes:
        layers: [1 i j 4] picture, 0 to 1, and the last probability.
        clicks: [1 k] in pixels of the layers.
    """

    layers: Float[Array, "1 i j 4"]
    clicks: Clicks


@functools.partial(jax.jit, static_argnames=("zoom", "zoom_min_side"))
def frame(
    image: UInt8[Array, "1 h w 3"],
    size: Int[Array, "1 2"],
    clicks: Clicks,
    prob: Float[Array, "1 h w"],
    region: Int[Array, "1 4"],
    *,
    zoom: int | None,
    zoom_min_side: int,
) -> tuple[Framed, Int[Array, "1 4"]]:
    """Runs `interaction.zoom_predict.frame` on a picture as it is kept, in 8 bits."""
    image = image.astype(jnp.float32) / 255.0
    layers, clicks, region = zoom_predict.frame(
        image, size, clicks, prob, region, zoom=zoom, zoom_min_side=zoom_min_side
    )
    return Framed(layers, clicks), region


@functools.partial(jax.jit, static_argnames=("mirror",))
def look(
    model: Model, framed: tuple[Framed, ...], *, mirror: bool
) -> Float[Array, "b i j"]:
    """Shows the network what was framed, of all users in one pass: probabilities."""
    together = jax.tree.map(lambda *parts: jnp.concatenate(parts), *framed)
    return zoom_predict.look(model, together.layers, together.clicks, mirror=mirror)


@functools.partial(jax.jit, static_argnames=("shape", "zoom"))
def put_back(
    patch: Float[Array, "1 i j"],
    region: Int[Array, "1 4"],
    *,
    shape: tuple[int, int],
    zoom: int | None,
) -> tuple[Float[Array, "1 h w"], Bool[Array, "1 h w"]]:
    """Pastes what was seen into the picture; probability and mask."""
    prob = patch if zoom is None else zoom_predict.put_back(patch, region, *shape)
    return prob, prob > THRESHOLD


@jax.jit
def choose(model: TrainedModel, framed: Framed) -> tuple[TokenChoice, ...]:
    """What each token selection chooses in what was framed, not mirrored."""
    layers = framed.layers
    return model.look(layers[..., :3], framed.clicks, layers[..., 3]).choices
