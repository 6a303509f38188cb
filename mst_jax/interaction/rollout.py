"""Simulate rounds of interaction: predict, measure the overlap, add the next click.

The model and the simulated user are functions that the caller passes. Training runs a
few rounds without gradient, evaluation up to twenty, both through `rollout`.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.geometry.iou import iou
from mst_jax.structs import Clicks, Rollout

T = TypeVar("T")

# (clicks [b k], prob [b h w], roi [b 4]) -> new prob and roi
PredictFn = Callable[[Clicks, Array, Array], tuple[Array, Array]]
# (prob [b h w], clicks [b k], index of the round in this call) -> clicks with one more
AddClickFn = Callable[[Array, Clicks, Array], Clicks]


def start_rollout(
    clicks: Clicks, height: int, width: int, *, max_rounds: int
) -> Rollout:
    """Create the state before the first round.

    Args:
        clicks: [b k] clicks so far; later rounds fill the empty slots.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        max_rounds: Length t of the logs. Later rounds run, but are neither logged nor
            compared with `stop_iou`.
    """
    num_examples = clicks.label.shape[0]
    # With dtypes: a program for weakly typed arrays would not take its own results.
    return Rollout(
        clicks=clicks,
        prob=jnp.zeros((num_examples, height, width), jnp.float32),
        roi=jnp.full((num_examples, 4), -1, jnp.int32),
        num_rounds=jnp.zeros(num_examples, int),
        ious=jnp.zeros((num_examples, max_rounds), jnp.float32),
        rois=jnp.full((num_examples, max_rounds, 4), -1, jnp.int32),
    )


def rollout(
    predict: PredictFn,
    add_click: AddClickFn,
    start: Rollout,
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    *,
    num_rounds: Int[Array, ""] | int,
    stop_iou: Float[Array, ""] | float = jnp.inf,
    stop_at_next_finished: bool = False,
) -> Rollout:
    """Run rounds: the model predicts, the IoU is logged, the simulated user clicks.

    An example that has reached `stop_iou` is finished: it gets no further click and its
    state stays constant while the others continue. The loop ends when all examples are
    finished. The returned state can be continued, also by another call.

    Args:
        predict: The model; a closure holds its images and parameters.
        add_click: The simulated user.
        start: State to continue from.
        target: [b h w] True on the target objects.
        valid: [b h w] True on pixels that count for the IoU.
        num_rounds: Maximum number of rounds to run now; may be traced.
        stop_iou: IoU, 0 to 1, at which an example is finished; infinity = never.
        stop_at_next_finished: Return as soon as one more example is finished, so that the
            caller can give its batch slot to another example. At least one example must
            be unfinished at the start.

    Returns:
        The state after the last round and the click that follows it. The loop is not
        reverse-mode differentiable: differentiate a prediction made from the state.
    """
    finished_at_start = _is_finished(start, stop_iou)

    def should_continue(carry: tuple[Array, Rollout]) -> Bool[Array, ""]:
        round_index, state = carry
        finished = _is_finished(state, stop_iou)
        is_over = (
            (finished & ~finished_at_start).any()
            if stop_at_next_finished
            else finished.all()
        )
        return (round_index < num_rounds) & ~is_over

    def run_round(carry: tuple[Array, Rollout]) -> tuple[Array, Rollout]:
        round_index, state = carry
        # 1. Predict with the clicks so far, and log the result.
        prob, roi = predict(state.clicks, state.prob, state.roi)
        overlap = jax.vmap(iou)(prob > MASK_THRESHOLD, target, valid)
        new_state = _log_round(state, prob, roi, overlap)
        # 2. The user adds a click; a finished example gets none.
        clicks = add_click(prob, state.clicks, round_index)
        gets_no_click = _is_finished(new_state, stop_iou)
        clicks = select_examples(gets_no_click, state.clicks, clicks)
        new_state = dataclasses.replace(new_state, clicks=clicks)
        # 3. Examples that were finished before this round stay as they were.
        was_finished = _is_finished(state, stop_iou)
        return round_index + 1, select_examples(was_finished, state, new_state)

    _, end = jax.lax.while_loop(should_continue, run_round, (jnp.int32(0), start))
    return end


def _log_round(
    state: Rollout,
    prob: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    overlap: Float[Array, " b"],
) -> Rollout:
    """Store the results of one round; a full log stays unchanged."""
    log_index = jax.lax.broadcasted_iota(jnp.int32, state.ious.shape, 1)
    is_current = log_index == state.num_rounds[:, None]
    return dataclasses.replace(
        state,
        prob=prob,
        roi=roi,
        num_rounds=state.num_rounds + 1,
        ious=jnp.where(is_current, overlap[:, None], state.ious),
        rois=jnp.where(is_current[..., None], roi[:, None], state.rois),
    )


def _is_finished(
    state: Rollout, stop_iou: Float[Array, ""] | float
) -> Bool[Array, " b"]:
    """Return True where a logged round has reached `stop_iou`."""
    return (state.num_rounds > 0) & (state.ious >= stop_iou).any(axis=1)


def select_examples(use_first: Bool[Array, " b"], first: T, second: T) -> T:
    """Take each example from the first or from the second of two pytrees.

    Args:
        use_first: [b] True where the example comes from the first tree.
        first: Tree of arrays [b ...].
        second: Tree of the same structure.
    """

    def select(first_leaf: Array, second_leaf: Array) -> Array:
        condition = use_first.reshape(-1, *[1] * (first_leaf.ndim - 1))
        return jnp.where(condition, first_leaf, second_leaf)

    return jax.tree.map(select, first, second)
