"""Define the evaluation protocol: a simulated user clicks until the mask is good.

`EvaluationProtocol` holds the options, `run_sessions` is the jitted program that runs
the sessions of a batch.
"""

import dataclasses
import functools
import zlib
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import evaluation_click
from mst_jax.clicks.noisy_clicks import noisy_click
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.refine import RefinementOptions, refine
from mst_jax.interaction.rollout import AddClickFn, PredictFn, rollout, start_rollout
from mst_jax.interaction.zoom_predict import ClickModelFn, predict_with_zoom
from mst_jax.structs import Clicks, Rollout

# Zoom of the click literature: f-BRS, RITM, SimpleClick, AdaptiveClick.
LITERATURE_ZOOM = ZoomOptions(size=448, min_side=200, flip_tta=True, drop_outside=False)

# Zoom of MST's released program.
MST_ZOOM = dataclasses.replace(LITERATURE_ZOOM, min_side=20, drop_outside=True)

# Side of the crop in pixels with which published programs evaluate DAVIS.
DAVIS_ZOOM_SIZE = 672

ProtocolName = Literal["literature", "mst"]


@dataclasses.dataclass(frozen=True)
class UserOptions:
    """How the simulated user clicks; the defaults are those of the click literature.

    Attributes:
        click_spread: Standard deviation of the clicks around the best pixel, relative to
            its distance to the edge of the error region; see `clicks.noisy_clicks`.
        first_click: "center" = the first click hits the best pixel; "random" = it hits
            any pixel of the object.
    """

    click_spread: float = 0.0
    first_click: str = "center"

    def __post_init__(self) -> None:
        # Not `click_spread < 0`: that would accept NaN.
        if not self.click_spread >= 0:
            raise ValueError(f"click_spread is {self.click_spread}, expected 0 or more")
        if self.first_click not in ("center", "random"):
            raise ValueError(
                f"first_click is {self.first_click!r}, expected 'center' or 'random'"
            )

    @property
    def is_deterministic(self) -> bool:
        """Return whether the user always clicks the best pixel."""
        return self.click_spread == 0 and self.first_click == "center"


@dataclasses.dataclass(frozen=True)
class EvaluationProtocol:
    """How sessions run; the defaults are those of the click literature.

    The published programs can run a second forward pass after the first prediction. With
    these options they never do, because the first region of interest is the whole image.
    So it is left out here.

    Attributes:
        max_clicks: Number of clicks after which a session ends.
        zoom: Zoom on the object and test-time augmentation.
        refinement: Further forward passes with the same clicks.
        user: How the simulated user clicks.
    """

    max_clicks: int = 20
    zoom: ZoomOptions = LITERATURE_ZOOM
    refinement: RefinementOptions = dataclasses.field(default_factory=RefinementOptions)
    user: UserOptions = dataclasses.field(default_factory=UserOptions)

    def __post_init__(self) -> None:
        if not self.max_clicks >= 1:
            raise ValueError(f"max_clicks is {self.max_clicks}, expected 1 or more")


def published_protocol(name: ProtocolName, dataset: str) -> EvaluationProtocol:
    """Return the protocol with which published programs evaluate a dataset.

    Args:
        name: "literature" or "mst".
        dataset: Name of the dataset; those of DAVIS have a larger crop.
    """
    zoom = {"literature": LITERATURE_ZOOM, "mst": MST_ZOOM}[name]
    if dataset.startswith("davis"):
        zoom = dataclasses.replace(zoom, size=DAVIS_ZOOM_SIZE)
    return EvaluationProtocol(zoom=zoom)


def session_seed(seed: int, object_id: str) -> int:
    """Return the seed of one session, whatever runs before it or in the same batch.

    Args:
        seed: Seed of the evaluation.
        object_id: Name of the object within its dataset.
    """
    # A checksum, because Python's hash differs between processes; 31 bits fit int32.
    return zlib.crc32(f"{seed}/{object_id}".encode()) & 0x7FFFFFFF


def run_sessions(
    model: ClickModelFn,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    seed: Int[Array, " b"],
    stop_iou: Float[Array, ""] | float,
    *,
    protocol: EvaluationProtocol,
) -> Rollout:
    """Run the sessions of a batch of padded images; to be jitted.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits [b h w]`.
        image: [b h w 3] RGB; each image fills the upper left corner.
        size: [b 2] height and width without padding.
        target: [b h w] True on the target object.
        valid: [b h w] True on pixels that count; False on padding.
        seed: [b] seeds of users with random clicks, see `session_seed`.
        stop_iou: IoU at which a session ends; above 1 = never.
        protocol: All other options.

    Returns:
        The clicks, the IoU after each of them and the last probability.
    """
    num_examples, height, width = target.shape
    predict_once = make_predict_fn(model, image, size, protocol=protocol)
    add_click = make_add_click_fn(target, valid, seed, protocol=protocol)
    # The first click is computed from an empty prediction.
    no_clicks = Clicks.empty(num_examples, num_slots=protocol.max_clicks)
    no_prediction = empty_prediction(target.shape)
    first_clicks = add_click(no_prediction, no_clicks, jnp.int32(0))
    num_rounds = protocol.max_clicks
    start_state = start_rollout(first_clicks, height, width, max_rounds=num_rounds)
    return rollout(
        predict_once,
        add_click,
        start_state,
        target,
        valid,
        num_rounds=num_rounds,
        stop_iou=stop_iou,
    )


def empty_prediction(shape: tuple[int, ...]) -> Float[Array, "b h w"]:
    """Return zeros that the compiler does not treat as a constant.

    Otherwise XLA folds the distance transform of the constant, which takes long.

    Args:
        shape: Number of examples, height and width.
    """
    return jax.lax.optimization_barrier(jnp.zeros(shape))


def make_predict_fn(
    model: ClickModelFn,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    *,
    protocol: EvaluationProtocol,
) -> PredictFn:
    """Make the function that predicts in each round of a rollout.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits [b h w]`.
        image: [b h w 3] RGB; each image fills the upper left corner.
        size: [b 2] height and width without padding.
        protocol: Its zoom and refinement options are used.
    """
    # The image is sent to the device as uint8, a quarter of the bytes.
    float_image = image.astype(jnp.float32) / 255.0

    def predict_once(clicks: Clicks, prob: Array, roi: Array) -> tuple[Array, Array]:
        return predict_with_zoom(
            model, float_image, size, clicks, prob, roi, zoom=protocol.zoom
        )

    # Without refinement the program has no inner loop.
    if not protocol.refinement.num_steps:
        return predict_once
    return functools.partial(refine, predict_once, options=protocol.refinement)


def make_add_click_fn(
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    seed: Int[Array, " b"],
    *,
    protocol: EvaluationProtocol,
) -> AddClickFn:
    """Make the function that adds the user's next click in each round of a rollout.

    Args:
        target: [b h w] True on the target object.
        valid: [b h w] True on pixels that count; False on padding.
        seed: [b] seeds of users with random clicks, see `session_seed`.
        protocol: Its user options are used.
    """
    user_options = protocol.user
    sample_click = functools.partial(
        noisy_click,
        click_spread=user_options.click_spread,
        random_first=user_options.first_click == "random",
    )

    def add_best_click(prob: Array, clicks: Clicks, round_index: Array | int) -> Clicks:
        next_clicks = jax.vmap(evaluation_click)(prob, target, valid, clicks)
        return clicks.append(*next_clicks)

    def add_noisy_click(
        prob: Array, clicks: Clicks, round_index: Array | int
    ) -> Clicks:
        # The key depends on the session and the click only, not on other sessions.
        click_keys = jax.vmap(_click_key)(seed, clicks.num_clicks)
        next_clicks = jax.vmap(sample_click)(click_keys, prob, target, valid, clicks)
        return clicks.append(*next_clicks)

    return add_best_click if user_options.is_deterministic else add_noisy_click


def _click_key(seed: Int[Array, ""], click_index: Int[Array, ""]) -> Array:
    """Return the random key of one click of one session."""
    return jax.random.fold_in(jax.random.key(seed), click_index)
