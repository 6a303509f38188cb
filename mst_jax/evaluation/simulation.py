"""Simulate the interactive segmentation of one object in one compiled program."""

import dataclasses
import time
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mst_jax.evaluation.ahead_of_time import compile_ahead_of_time
from mst_jax.evaluation.protocol import EvaluationProtocol, run_sessions
from mst_jax.geometry.binary_masks import as_binary_mask
from mst_jax.interaction.padding import pad_to, padded_size
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree

# Protocol of the click literature.
DEFAULT_PROTOCOL = EvaluationProtocol()

# Value of `stop_iou` that no session reaches.
NEVER_STOP = 1.01


@dataclasses.dataclass(frozen=True)
class SimulatedSession:
    """Clicks and predictions of one simulated session with n clicks.

    Attributes:
        clicks: [n 3] row, column, and 1 = positive or 0 = negative.
        ious: [n] IoU with the target after each click, 0 to 1.
        rois: [n 4] region of interest after each click: top, bottom, left, right,
            inclusive; -1 without zoom.
        prob: [h w] float32 probability after the last click.
        seconds: Seconds per click: execution of the compiled program and transfer of its
            result.
    """

    clicks: Int[np.ndarray, "n 3"]
    ious: Float[np.ndarray, " n"]
    rois: Int[np.ndarray, "n 4"]
    prob: Float[np.ndarray, "h w"]
    seconds: float


def simulate(
    model: ClickModelFn,
    image: np.ndarray,
    target: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    stop_iou: float = NEVER_STOP,
    seed: int = 0,
    protocol: EvaluationProtocol = DEFAULT_PROTOCOL,
) -> SimulatedSession:
    """Simulate a user who clicks one object.

    The program is compiled once for each model and image size (sizes are rounded up, see
    `padded_size`) and cached for the next call. A model that is a JAX pytree can have
    other parameters in the next call without a new compilation.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits [b h w]`.
        image: [h w 3] uint8 RGB.
        target: [h w] True on the target object.
        valid: [h w] False on pixels that do not count; None = all count.
        stop_iou: IoU at which the session ends; above 1 = never.
        seed: Seed of a user with random clicks.
        protocol: All other options; the default is the click literature's.

    Returns:
        The session.

    Raises:
        ValueError: The image is not uint8 [h w 3], a mask has another size, or the target
            is empty.
    """
    target, valid = check_masks(image, target, valid)
    height, width = target.shape
    # 1. Pad to a size that other images share, and move everything to the device.
    padded_shape = padded_size(height, width, zoom_size=protocol.zoom.size)
    program_arguments = jax.device_put(
        (
            as_pytree(model),
            pad_to(image, padded_shape),
            np.array([[height, width]], np.int32),
            pad_to(target, padded_shape),
            pad_to(valid, padded_shape),
            np.array([seed], np.int32),
            np.float32(stop_iou),
        )
    )
    run_program = compile_ahead_of_time(
        run_sessions, *program_arguments, protocol=protocol
    )
    # 2. Run the whole session; the clock starts after the compilation.
    start_time = time.perf_counter()
    end_state = jax.device_get(run_program(*program_arguments))
    num_clicks = int(end_state.num_rounds[0])
    # 3. Cut the padding off the prediction, and unused entries off the logs.
    return SimulatedSession(
        clicks=click_rows(end_state.clicks.yx[0], end_state.clicks.label[0])[
            :num_clicks
        ],
        ious=end_state.ious[0, :num_clicks],
        rois=end_state.rois[0, :num_clicks],
        prob=end_state.prob[0, :height, :width],
        seconds=(time.perf_counter() - start_time) / num_clicks,
    )


def click_rows(
    yx: Float[np.ndarray, "k 2"], label: Int[np.ndarray, " k"]
) -> Int[np.ndarray, "k 3"]:
    """Join coordinates and labels of clicks into one integer array.

    Args:
        yx: [k 2] row and column of each click in pixels.
        label: [k] 1 = positive, 0 = negative, -1 = empty slot.

    Returns:
        [k 3] row, column and label.
    """
    return np.column_stack([yx, label]).astype(np.int32)


def check_masks(
    image: Any, target: Any, valid: Any | None
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Check an image and its masks, and convert the masks to bool.

    Args:
        image: [h w 3] uint8 RGB.
        target: [h w] True on the target object, or one number there and 0 elsewhere.
        valid: [h w] False or 0 on pixels that do not count; None = all count.

    Returns:
        [h w] target and [h w] valid as bool.

    Raises:
        ValueError: The image is not uint8 [h w 3], a mask has another size or more than
            two values, or the target is empty.
    """
    shape = np.shape(image)
    image_dtype = getattr(image, "dtype", type(image).__name__)
    if image_dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            f"image is {image_dtype} {list(shape)}, expected uint8 [h w 3]; "
            "read it as RGB from 0 to 255"
        )
    given_valid = np.ones(shape[:2], bool) if valid is None else valid
    for name, mask in (("target", target), ("valid", given_valid)):
        if np.shape(mask) != shape[:2]:
            raise ValueError(
                f"{name} is {list(np.shape(mask))}, expected {list(shape[:2])} like the "
                "image; resize one to the other"
            )
    target_mask = as_binary_mask(target, "target")
    valid_mask = as_binary_mask(given_valid, "valid")
    # NoC is undefined for an object that has no pixel to find.
    if not (target_mask & valid_mask).any():
        raise ValueError(
            "target has no valid pixel, expected an object; leave this example out"
        )
    return target_mask, valid_mask
