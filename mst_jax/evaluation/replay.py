"""The masks of a session that is over, from its clicks."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.ahead_of_time import compiled
from mst_jax.evaluation.protocol import Protocol, make_ask
from mst_jax.interaction.padding import pad, padded_size
from mst_jax.interaction.zoom_predict import Model, as_tree
from mst_jax.structs import EMPTY, Clicks


def replay(
    model: Model,
    target: EvaluationTarget,
    clicks: Int[np.ndarray, "n 3"],
    shown: Sequence[int],
    **settings: int | float | bool | str | None,
) -> dict[int, Bool[np.ndarray, "h w"]]:
    """Shows the model the clicks of a session again, one by one.

    Args:
        model: as in `simulate`.
        target: the object.
        clicks: [n 3] row, column and 1 = positive or 0 = negative.
        shown: numbers of clicks after which the mask is wanted; numbers beyond n are
            left out.
        settings: of `Protocol`, as they were in the session.

    Returns:
        Number of clicks -> [h w] mask, the one that the session had.
    """
    protocol = Protocol(**settings)
    height, width = target.target.shape
    padded = padded_size(height, width, zoom=protocol.zoom)
    size = np.array([[height, width]], np.int32)
    prob = jax.device_put(np.zeros((1, *padded), np.float32))
    region = jax.device_put(np.full((1, 4), -1, np.int32))
    fixed = jax.device_put((as_tree(model), pad(target.image, padded), size))
    masks = {}
    for count in range(1, min(max(shown), len(clicks)) + 1):
        said = jax.device_put(_in_slots(clicks[:count], protocol.max_clicks))
        arguments = (*fixed, said, prob, region)
        prob, region = compiled(_look, *arguments, protocol=protocol)(*arguments)
        if count in shown:
            masks[count] = np.asarray(prob[0, :height, :width]) > THRESHOLD
    return masks


def _in_slots(clicks: Int[np.ndarray, "n 3"], num_slots: int) -> Clicks:
    """One example's clicks as a batch with empty slots behind."""
    yx = np.full((1, num_slots, 2), -1.0, np.float32)
    label = np.full((1, num_slots), EMPTY, np.int32)
    yx[0, : len(clicks)], label[0, : len(clicks)] = clicks[:, :2], clicks[:, 2]
    return Clicks(yx=yx, label=label)


def _look(
    model: Model,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prob: Float[Array, "b h w"],
    region: Int[Array, "b 4"],
    *,
    protocol: Protocol,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    return make_ask(model, image, size, protocol=protocol)(clicks, prob, region)
