"""Recompute the masks of a finished session from its clicks."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.ahead_of_time import compile_ahead_of_time
from mst_jax.evaluation.protocol import EvaluationProtocol, make_predict_fn
from mst_jax.interaction.padding import pad_to, padded_size
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree
from mst_jax.structs import EMPTY, Clicks


def replay_session(
    model: ClickModelFn,
    target: EvaluationTarget,
    clicks: Int[np.ndarray, "n 3"],
    click_counts: Sequence[int],
    *,
    protocol: EvaluationProtocol,
) -> dict[int, Bool[np.ndarray, "h w"]]:
    """Show the model the clicks of a session again, one after the other.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits [b h w]`.
        target: The object of the session.
        clicks: [n 3] row, column and 1 = positive or 0 = negative.
        click_counts: Numbers of clicks after which to return the mask; those above n are
            ignored.
        protocol: Options of the session.

    Returns:
        Number of clicks -> [h w] mask after these clicks, equal to that of the session.
    """
    height, width = target.target.shape
    padded_shape = padded_size(height, width, zoom_size=protocol.zoom.size)
    size = np.array([[height, width]], np.int32)
    prob = jax.device_put(np.zeros((1, *padded_shape), np.float32))
    roi = jax.device_put(np.full((1, 4), -1, np.int32))
    constant_arguments = jax.device_put(
        (as_pytree(model), pad_to(target.image, padded_shape), size)
    )
    # The model and its image stay on the device for all rounds.
    masks_by_count = {}
    for num_clicks in range(1, min(max(click_counts), len(clicks)) + 1):
        # Each round needs the mask and region of the round before, shown or not.
        shown_clicks = jax.device_put(
            _clicks_in_slots(clicks[:num_clicks], protocol.max_clicks)
        )
        program_arguments = (*constant_arguments, shown_clicks, prob, roi)
        run_program = compile_ahead_of_time(
            _predict_round, *program_arguments, protocol=protocol
        )
        prob, roi = run_program(*program_arguments)
        # Cut off the padding of the image.
        if num_clicks in click_counts:
            masks_by_count[num_clicks] = (
                np.asarray(prob[0, :height, :width]) > MASK_THRESHOLD
            )
    return masks_by_count


def _clicks_in_slots(clicks: Int[np.ndarray, "n 3"], num_slots: int) -> Clicks:
    """Return the clicks of one example as a batch of one, followed by empty slots."""
    yx = np.full((1, num_slots, 2), -1.0, np.float32)
    label = np.full((1, num_slots), EMPTY, np.int32)
    yx[0, : len(clicks)] = clicks[:, :2]
    label[0, : len(clicks)] = clicks[:, 2]
    return Clicks(yx=yx, label=label)  # pyright: ignore[reportArgumentType]


def _predict_round(
    model: ClickModelFn,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prob: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    protocol: EvaluationProtocol,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predict one round as the session did."""
    return make_predict_fn(model, image, size, protocol=protocol)(clicks, prob, roi)
