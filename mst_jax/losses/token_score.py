"""The loss of the token scores, and the targets at the size of the tokens."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax.structs import TokenSelectionOutput

# Scores are kept this far from 0 and 1, so that their logarithms are finite.
SCORE_MARGIN = 1e-7


def token_cell_side(image_mask: Bool[Array, "b h w"], num_tokens: int) -> int:
    """Compute the side in pixels of the square cell that one token covers.

    Args:
        image_mask: [b h w] mask at the size of the image.
        num_tokens: Number of tokens of one scale in an image.

    Returns:
        Side of a cell in pixels.

    Raises:
        ValueError: No square divides the image into this number of cells.
    """
    _, image_height, image_width = image_mask.shape
    cell_side = max(round((image_height * image_width / num_tokens) ** 0.5), 1)
    if (image_height // cell_side) * (image_width // cell_side) != num_tokens:
        raise ValueError(
            f"{num_tokens} tokens do not divide an image of "
            f"{image_height}x{image_width} into squares; give the target at "
            "the size of the model's input image"
        )
    return cell_side


def sample_cell_corners(
    image_mask: Bool[Array, "b h w"], *, cell_side: int
) -> Bool[Array, "b n"]:
    """Sample a mask at the top-left pixel of each whole cell, row by row.

    Args:
        image_mask: [b h w] mask at the size of the image, such as target or valid.
        cell_side: Side of the square cells in pixels.

    Returns:
        [b n] value of each cell.
    """
    _, image_height, image_width = image_mask.shape
    # Incomplete cells at the lower and right edges belong to no token.
    whole_cells = image_mask[
        :,
        : image_height - image_height % cell_side,
        : image_width - image_width % cell_side,
    ]
    return jax.lax.collapse(whole_cells[:, ::cell_side, ::cell_side], 1)


def focal_score_loss(
    scores: Float[Array, "b n"], in_target: Bool[Array, "b n"]
) -> Float[Array, "b n"]:
    """Compute -0.25 (1 - s)^2 log s inside the target, -0.75 s^2 log(1 - s) outside."""
    clipped_scores = jnp.clip(scores, SCORE_MARGIN, 1.0 - SCORE_MARGIN)
    true_prob = jnp.where(in_target, clipped_scores, 1.0 - clipped_scores)
    class_weight = jnp.where(in_target, -0.25, -0.75)
    return class_weight * jnp.square(1.0 - true_prob) * jnp.log(true_prob)


def squared_score_loss(
    scores: Float[Array, "b n"], in_target: Bool[Array, "b n"]
) -> Float[Array, "b n"]:
    """Compute the squared difference of score and target."""
    return jnp.square(scores - in_target)


ScoreLossFn = Callable[[Float[Array, "b n"], Bool[Array, "b n"]], Float[Array, "b n"]]

# slim-448 and 448 have the first; 224, 224-large and 1024 the second.
SCORE_FORMS: dict[str, ScoreLossFn] = {
    "focal": focal_score_loss,
    "squared": squared_score_loss,
}


def token_score(
    selections: Sequence[TokenSelectionOutput],
    targets: Bool[Array, "b h w"],
    *,
    where: Bool[Array, "b h w"] | None = None,
    form: str = "focal",
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """Compute the loss that draws scores to 1 inside the target and to 0 outside.

    A term is the mean over the tokens of one scale, in one example and one token
    selection. It counts if any of its scores is not 0 (an example without a positive
    click scores 0 everywhere) and any of its tokens is valid. A token is inside if its
    top-left pixel is. The loss of a batch is `values.sum() / max(counts.sum(), 1)`.

    Source: Xu et al., MST, arXiv 2401.04403, as released.

    Args:
        selections: Outputs of the token selections, at least one.
        targets: [b h w] target masks at the size of the image.
        where: [b h w] False on pixels that do not count; None: all pixels count.
        form: Name of the score loss in `SCORE_FORMS`.

    Returns:
        [b] sum of the terms that count, and [b] their number.

    Raises:
        ValueError: Unknown form.
    """
    if form not in SCORE_FORMS:
        known_forms = ", ".join(SCORE_FORMS)
        raise ValueError(f"score form {form!r} is unknown; known: {known_forms}")
    valid = jnp.ones_like(targets) if where is None else where
    values, counts = [], []
    scales = (
        scale
        for selection in selections
        for scale in (selection.fine, selection.coarse)
    )
    for scale in scales:
        scores = scale.scores.astype(jnp.float32)
        # 1. Target and valid at the size of the tokens.
        cell_side = token_cell_side(targets, scores.shape[1])
        token_valid = sample_cell_corners(valid, cell_side=cell_side)
        token_loss = SCORE_FORMS[form](
            scores, sample_cell_corners(targets, cell_side=cell_side)
        )
        # 2. The mean over the valid tokens.
        loss_sum = jnp.where(token_valid, token_loss, 0.0).sum(1)
        scale_term = loss_sum / jnp.maximum(token_valid.sum(1), 1)
        # 3. Without a positive click all scores are 0, and the term does not count.
        is_counted = (scores.sum(1) != 0) & token_valid.any(1)
        values.append(jnp.where(is_counted, scale_term, 0.0))
        counts.append(is_counted)
    return jnp.stack(values).sum(0), jnp.stack(counts).sum(0, dtype=jnp.float32)
