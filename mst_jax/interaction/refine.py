"""Cascade-forward refinement: predict several times with the same clicks.

Each refinement step sees the mask of the step before it.

Source: Sun et al., CFR-ICL: Cascade-Forward Refinement with Iterative Click Loss for
Interactive Image Segmentation, AAAI 2024.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.interaction.rollout import PredictFn, select_examples
from mst_jax.structs import Clicks

# Value of `RefinementOptions.convergence_pixels` in the released program.
CONVERGENCE_PIXELS = 20


@dataclasses.dataclass(frozen=True)
class RefinementOptions:
    """How often a prediction is refined; the default is no refinement.

    Attributes:
        num_steps: Maximum number of refinement steps after each first prediction.
        max_clicks: Refine while a session has at most this many clicks; None = always.
        convergence_pixels: An example stops being refined after a step that changed at
            most this many pixels of its mask (the adaptive form); None = all steps run.
    """

    num_steps: int = 0
    max_clicks: int | None = None
    convergence_pixels: int | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            is_absent = value is None and name != "num_steps"
            if not (is_absent or (type(value) is int and value >= 0)):
                raise ValueError(
                    f"refinement {name} is {value!r}, expected a whole number from 0"
                )


def refine(
    predict: PredictFn,
    clicks: Clicks,
    prob: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    options: RefinementOptions,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predict once, then repeat the prediction with the same clicks and the new mask.

    An example that has converged stays unchanged while the others are refined.

    Args:
        predict: One forward pass, see `rollout.PredictFn`.
        clicks: [b k] clicks so far.
        prob: [b h w] probability of the previous round.
        roi: [b 4] region of interest of the previous round, -1 = none yet.
        options: Number of steps and when to stop early.

    Returns:
        [b h w] probability and [b 4] region of interest of the last step.
    """
    prob, roi = predict(clicks, prob, roi)
    num_slots = clicks.label.shape[-1]
    max_clicks = num_slots if options.max_clicks is None else options.max_clicks
    num_clicks = clicks.num_clicks
    is_active = (num_clicks > 0) & (num_clicks <= max_clicks)

    def should_continue(carry: tuple) -> Bool[Array, ""]:
        step, is_active, _ = carry
        return (step < options.num_steps) & is_active.any()

    def refine_once(carry: tuple) -> tuple:
        step, is_active, (prob, roi) = carry
        # 1. The same clicks, with the mask of the step before.
        refined_prob, refined_roi = predict(clicks, prob, roi)
        is_changed = (refined_prob > MASK_THRESHOLD) != (prob > MASK_THRESHOLD)
        num_changed = is_changed.sum((1, 2))
        # 2. Examples that had converged before this step stay as they were.
        refined = select_examples(is_active, (refined_prob, refined_roi), (prob, roi))
        # 3. The result of the step that shows the convergence still counts.
        if options.convergence_pixels is not None:
            is_active = is_active & (num_changed > options.convergence_pixels)
        return step + 1, is_active, refined

    start = (jnp.int32(0), is_active, (prob, roi))
    return jax.lax.while_loop(should_continue, refine_once, start)[2]
