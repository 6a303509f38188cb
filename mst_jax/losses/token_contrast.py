"""The contrastive loss of the selected tokens: object tokens near the click token."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax.collectives import any_across_devices
from mst_jax.losses.token_score import sample_cell_corners, token_cell_side
from mst_jax.structs import SelectedTokens, TokenSelectionOutput

# Pixels that a coarse token covers at patch 16, to which `coarse_cell` refers.
COARSE_CELL = 32


@dataclasses.dataclass(frozen=True)
class ContrastForm:
    """Differences between the forms of the contrastive loss.

    Attributes:
        per_channel: True: distances are taken along the wrong axis.
        use_fused: True: the fine tokens are those after attention to the coarse ones.
        coarse_cell: Side of the cells in which the target of the coarse tokens is
            sampled, where theirs is 32.
        shares_slots: True: slot j counts in every example as soon as its token is not
            zero in one of them. False: it counts in the examples with a positive click
            that selected it.
    """

    per_channel: bool
    use_fused: bool
    coarse_cell: int
    shares_slots: bool


SLIM_FORM = ContrastForm(
    per_channel=True, use_fused=False, coarse_cell=COARSE_CELL, shares_slots=True
)
FUSED_FORM = ContrastForm(
    per_channel=False, use_fused=True, coarse_cell=28, shares_slots=True
)
CONTRAST_FORMS = {
    "tokens": ContrastForm(
        per_channel=False, use_fused=False, coarse_cell=COARSE_CELL, shares_slots=False
    ),
    "slim-448": SLIM_FORM,
    "448": SLIM_FORM,
    "224": FUSED_FORM,
    "224-large": FUSED_FORM,
    "1024": FUSED_FORM,
}


def token_contrast(
    selections: Sequence[TokenSelectionOutput],
    targets: Bool[Array, "b h w"],
    *,
    where: Bool[Array, "b h w"] | None = None,
    form: str = "tokens",
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """Compute the loss that draws object tokens nearer to the click token than others.

    A term is log(1 + exp(d+ - d-)) with d+ and d- the mean distances of the click token
    to the selected tokens of one scale inside and outside the target, in one example and
    one token selection; a token is inside if its top-left pixel is, and left out if that
    is not valid. A term counts if there are tokens on both sides; that of the coarse
    tokens only if that of the fine ones counts too. The loss of a batch is
    `values.sum() / max(counts.sum(), 1)`.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3.4; Hermans et al., In Defense of
    the Triplet Loss, arXiv 1703.07737, Eq. 8.
    Departure: "tokens" corrects three errors of the released programs, which the forms
    of the other names keep: distances along the wrong axis, a coarse target at 1/28 of
    the image that is read as if at 1/32, and examples whose slots count by what other
    examples of the batch selected.

    Args:
        selections: Outputs of the token selections, at least one.
        targets: [b h w] target masks at the size of the image.
        where: [b h w] False on pixels that do not count; None: all pixels count.
        form: Name of the form in `CONTRAST_FORMS`.

    Returns:
        [b] sum of the terms that count, and [b] their number.

    Raises:
        ValueError: Unknown form.
    """
    if form not in CONTRAST_FORMS:
        known_forms = ", ".join(CONTRAST_FORMS)
        raise ValueError(f"contrast form {form!r} is unknown; known: {known_forms}")
    options = CONTRAST_FORMS[form]
    valid = jnp.ones_like(targets) if where is None else where
    values, counts = [], []
    for selection in selections:
        # 1. The term of the fine tokens.
        fine_tokens = selection.fused if options.use_fused else selection.fine.tokens
        fine_value, fine_counts = _scale_term(
            selection.fine, fine_tokens, selection.click, targets, valid, options
        )
        # 2. The term of the coarse tokens, whose target may lie on another grid.
        coarse_value, coarse_counts = _scale_term(
            selection.coarse,
            selection.coarse.tokens,
            selection.click,
            targets,
            valid,
            options,
            target_cell=options.coarse_cell,
        )
        values += [fine_value, coarse_value]
        counts += [fine_counts, fine_counts & coarse_counts]
    all_values, all_counts = jnp.stack(values), jnp.stack(counts)
    counted_values = jnp.where(all_counts, all_values, 0.0)
    return counted_values.sum(0), all_counts.sum(0, dtype=jnp.float32)


def _scale_term(
    scale: SelectedTokens,
    tokens: Float[Array, "b m c"],
    click_token: Float[Array, "b c"],
    targets: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"],
    options: ContrastForm,
    *,
    target_cell: int = COARSE_CELL,
) -> tuple[Float[Array, " b"], Bool[Array, " b"]]:
    """Compute the term of one scale of one token selection.

    Args:
        scale: Selected tokens of the scale.
        tokens: [b m c] features of the selected tokens.
        click_token: [b c] click token of the token selection.
        targets: [b h w] target masks at the size of the image.
        valid: [b h w] False on pixels that do not count.
        options: Form of the loss.
        target_cell: Side of the cells in which the target is sampled, in 1/32 of a token's.

    Returns:
        [b] value of the term, and [b] whether it counts.
    """
    # 1. Which of the selected tokens lie inside the target, and which are valid.
    cell_side = token_cell_side(targets, scale.scores.shape[1])
    target_cells = sample_cell_corners(
        targets, cell_side=cell_side * target_cell // COARSE_CELL
    )
    in_target = jnp.take_along_axis(target_cells, scale.index, axis=1)
    valid_cells = sample_cell_corners(valid, cell_side=cell_side)
    is_counted = jnp.take_along_axis(valid_cells, scale.index, axis=1)
    # 2. Which of them were selected.
    if options.shares_slots:
        is_counted &= any_across_devices((tokens != 0).any(2))[None]
    else:
        is_counted &= scale.selected & (scale.scores != 0).any(1)[:, None]
    # 3. The soft margin of each example.
    is_near, is_far = is_counted & in_target, is_counted & ~in_target
    margin_fn = jax.vmap(soft_margin, in_axes=(0, 0, 0, 0, None))
    term_value = margin_fn(tokens, click_token, is_near, is_far, options.per_channel)
    return term_value, is_near.any(1) & is_far.any(1)


def soft_margin(
    tokens: Float[Array, "m c"],
    click_token: Float[Array, " c"],
    is_near: Bool[Array, " m"],
    is_far: Bool[Array, " m"],
    per_channel: bool,
) -> Float[Array, ""]:
    """Compute log(1 + exp(d+ - d-)) of one example in float32.

    Args:
        tokens: [m c] features of any float dtype.
        click_token: [c] click token.
        is_near: [m] True for tokens to draw near; if there are none, d+ = 0.
        is_far: [m] True for tokens to push away; if there are none, d- = 0.
        per_channel: Whether to take distances along the wrong axis, see `mean_distance`.

    Returns:
        The soft margin.
    """
    click_row = click_token.astype(jnp.float32)[None]
    squared_diff = jnp.square(tokens.astype(jnp.float32) - click_row)
    near_distance = mean_distance(squared_diff, is_near, per_channel)
    far_distance = mean_distance(squared_diff, is_far, per_channel)
    return jax.nn.softplus(near_distance - far_distance)


def mean_distance(
    squared_diff: Float[Array, "m c"], is_counted: Bool[Array, " m"], per_channel: bool
) -> Float[Array, ""]:
    """Compute the mean distance of the tokens that count; 0 if none counts.

    Args:
        squared_diff: [m c] squared differences to the click token.
        is_counted: [m] True for tokens that count.
        per_channel: False: the mean over the tokens of their Euclidean distance. True:
            the mean over the channels of the root of the sum over the tokens, as
            slim-448 and 448 have it by exchanged axes.

    Returns:
        The mean distance.
    """
    squared_diff = jnp.where(is_counted[:, None], squared_diff, 0.0)
    if per_channel:
        return _safe_sqrt(squared_diff.sum(0)).mean()
    return _safe_sqrt(squared_diff.sum(1)).sum() / jnp.maximum(is_counted.sum(), 1)


def _safe_sqrt(values: Float[Array, " n"]) -> Float[Array, " n"]:
    """Compute the square root, with the gradient 0 instead of infinity at 0."""
    # The inner `where` keeps the infinite slope out of the backward pass.
    return jnp.where(values > 0, jnp.sqrt(jnp.where(values > 0, values, 1.0)), 0.0)
