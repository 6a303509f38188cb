"""Looking again at the same clicks: each look sees the mask of the one before.

Source: cascade-forward refinement, Sun et al., CFR-ICL, AAAI 2024.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.interaction.rollout import Predict, choose
from mst_jax.structs import Clicks

STILL = 20
"""Pixels of the mask that may change in a look that is the last, as released."""


def refine(
    predict: Predict,
    clicks: Clicks,
    prob: Float[Array, "b h w"],
    region: Int[Array, "b 4"],
    *,
    num_more: int,
    first_clicks: int,
    least_change: int | None = None,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predicts, then looks `num_more` times again at the same clicks.

    An example that has had its looks does not change while the others go on.

    Args:
        predict: one look; see `rollout.Predict`.
        clicks: [b k] so far.
        prob: [b h w] probability of the last round.
        region: [b 4] what the network saw last.
        num_more: looks after the first one; at most so many where `least_change` is set.
        first_clicks: only the first so many clicks of a session are looked at again.
        least_change: an example is done after a look that changed no more than so many
            pixels of its mask (the adaptive form); None: never.

    Returns:
        New probability and region, as after the last look.
    """
    prob, region = predict(clicks, prob, region)
    num_clicks = clicks.num_clicks
    going = (num_clicks > 0) & (num_clicks <= first_clicks)

    def goes_on(carry: tuple) -> Bool[Array, ""]:
        number, going, _ = carry
        return (number < num_more) & going.any()

    def look(carry: tuple) -> tuple:
        number, going, (prob, region) = carry
        seen = predict(clicks, prob, region)
        changed = ((seen[0] > THRESHOLD) != (prob > THRESHOLD)).sum((1, 2))
        after = choose(going, seen, (prob, region))
        if least_change is not None:
            going = going & (changed > least_change)
        return number + 1, going, after

    start = (jnp.int32(0), going, (prob, region))
    return jax.lax.while_loop(goes_on, look, start)[2]
