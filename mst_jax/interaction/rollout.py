"""The loop: predict, measure, click; the only place where model and user meet.

Neither is known here. Training plays a few rounds without gradient, evaluation twenty
and the demo one, all through this function.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.geometry.iou import iou
from mst_jax.structs import Clicks, Rollout

T = TypeVar("T")

# (clicks [b k], prob [b h w], region [b 4]) -> new prob and region
Predict = Callable[[Clicks, Array, Array], tuple[Array, Array]]
# (prob [b h w], clicks [b k], number of the round from 0) -> clicks with one more
Answer = Callable[[Array, Clicks, Array], Clicks]


def start_rollout(
    clicks: Clicks, height: int, width: int, *, max_rounds: int
) -> Rollout:
    """Begins conversations of b examples: clicks [b k], nothing predicted yet.

    Args:
        clicks: [b k] given so far; empty slots are room for the answers.
        height: of the pictures.
        width: of the pictures.
        max_rounds: length of the logs; more rounds may be played, but are not noted.
    """
    num_examples = clicks.label.shape[0]
    return Rollout(
        clicks=clicks,
        prob=jnp.zeros((num_examples, height, width), jnp.float32),
        region=jnp.full((num_examples, 4), -1),
        num_rounds=jnp.zeros(num_examples, int),
        ious=jnp.zeros((num_examples, max_rounds), jnp.float32),
        regions=jnp.full((num_examples, max_rounds, 4), -1),
    )


def rollout(
    predict: Predict,
    answer: Answer,
    start: Rollout,
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    *,
    num_rounds: Int[Array, ""] | int,
    stop_iou: Float[Array, ""] | float = jnp.inf,
    pause: bool = False,
) -> Rollout:
    """Plays rounds: the model predicts, the overlap is noted, the user clicks.

    An example that reached `stop_iou` is finished: it gets no further click and nothing
    of it changes, while the others go on. The loop ends when all are finished. The
    result may be played on.

    Args:
        predict: the model; see `Predict`. What it needs besides, it holds.
        answer: the user; see `Answer`.
        start: the state to begin from.
        target: [b h w] the wanted objects.
        valid: [b h w] pixels that count for the overlap.
        num_rounds: most rounds to play now; may be traced.
        stop_iou: overlap, 0 to 1, at which an example is finished; infinite: never.
        pause: end as soon as one more example is finished, so that another may take its
            place.

    Returns:
        The state after the last round, with the answer to it. No gradient flows through
        a loop whose length is not known: differentiate a prediction made from it.
    """
    at_first = _finished(start, stop_iou)

    def goes_on(carry: tuple[Array, Rollout]) -> Bool[Array, ""]:
        number, state = carry
        finished = _finished(state, stop_iou)
        is_over = (finished & ~at_first).any() if pause else finished.all()
        return (number < num_rounds) & ~is_over

    def play(carry: tuple[Array, Rollout]) -> tuple[Array, Rollout]:
        number, state = carry
        prob, region = predict(state.clicks, state.prob, state.region)
        overlap = jax.vmap(iou)(prob > THRESHOLD, target, valid)
        after = _noted(state, prob, region, overlap)
        clicks = answer(prob, state.clicks, number)
        unanswered = _finished(after, stop_iou)
        clicks = choose(unanswered, state.clicks, clicks)
        after = dataclasses.replace(after, clicks=clicks)
        return number + 1, choose(_finished(state, stop_iou), state, after)

    _, end = jax.lax.while_loop(goes_on, play, (jnp.int32(0), start))
    return end


def _noted(
    state: Rollout,
    prob: Float[Array, "b h w"],
    region: Int[Array, "b 4"],
    overlap: Float[Array, " b"],
) -> Rollout:
    """Writes one round down; a full log takes no more."""
    rounds = jax.lax.broadcasted_iota(jnp.int32, state.ious.shape, 1)
    here = rounds == state.num_rounds[:, None]
    return dataclasses.replace(
        state,
        prob=prob,
        region=region,
        num_rounds=state.num_rounds + 1,
        ious=jnp.where(here, overlap[:, None], state.ious),
        regions=jnp.where(here[..., None], region[:, None], state.regions),
    )


def _finished(state: Rollout, stop_iou: Float[Array, ""] | float) -> Bool[Array, " b"]:
    """True where a noted round has reached the wanted overlap."""
    return (state.num_rounds > 0) & (state.ious >= stop_iou).any(axis=1)


def choose(first: Bool[Array, " b"], one: T, other: T) -> T:
    """Takes some examples from one tree and the rest from the other."""

    def pick(one: Array, other: Array) -> Array:
        return jnp.where(first.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(pick, one, other)
