"""The sum of the losses that a config names."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax.losses.focal import normalized_focal_loss
from mst_jax.structs import Batch, Outputs


def mean_normalized_focal(outputs: Outputs, batch: Batch) -> Float[Array, " b"]:
    """Mean of the normalised focal loss over the valid pixels; 0 if there are none."""
    loss = normalized_focal_loss(
        outputs.logits, batch.target, axis=(-2, -1), where=batch.valid
    )
    return loss.sum((-2, -1)) / jnp.maximum(batch.valid.sum((-2, -1)), 1)


TERMS: dict[str, Callable[[Outputs, Batch], Float[Array, " b"]]] = {
    "normalized_focal": mean_normalized_focal,
}


def check_terms(weights: Mapping[str, float]) -> None:
    """Raises ValueError unless `weights` names known losses, with positive weights."""
    unknown = sorted(set(weights) - set(TERMS))
    if unknown or not weights:
        raise ValueError(
            f"config.losses names {', '.join(unknown) or 'no loss'}; "
            f"known losses: {', '.join(TERMS)}"
        )
    for name, weight in weights.items():
        if not weight > 0:
            raise ValueError(
                f"config.losses.{name} is {weight}, expected more than 0; "
                "leave a loss out that you do not want"
            )


def total_loss(
    outputs: Outputs, batch: Batch, *, weights: Mapping[str, float]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Weighted sum of the named losses, each the mean over the batch.

    Args:
        outputs: of the model.
        batch: what was wanted.
        weights: name in `TERMS` -> weight.

    Returns:
        The sum, and every part before its weight, for the log.

    Raises:
        ValueError: see `check_terms`.
    """
    check_terms(weights)
    parts = {name: TERMS[name](outputs, batch).mean() for name in weights}
    return sum(weights[name] * part for name, part in parts.items()), parts
